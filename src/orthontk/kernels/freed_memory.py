"""Memory that is freed and asked for again within one computation."""

import torch

LARGEST_KEPT = 2**25 - 2**16  # bytes; just below what glibc's threshold may grow to


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor.

    glibc hands blocks back to the system at once until a block of up to 32 MiB was freed; then it keeps blocks of that
    size, twice as much at the end of its heap, and what there are of holes (mallopt(3), M_MMAP_THRESHOLD). Getting
    memory anew costs a page fault every 4 KiB, which took up to a tenth of a kernel's time. The block is never touched,
    so it costs microseconds.
    """
    torch.empty(LARGEST_KEPT, dtype=torch.uint8, device="cpu")
