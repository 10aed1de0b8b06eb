"""Full-precision arithmetic for the time of a computation, whatever the process has set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# TF32 and bfloat16 inside float32 products, and low-precision sums: (where, attribute, value for exact arithmetic).
SETTINGS = (
    (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    (torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    (torch.backends.cudnn.rnn, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.conv, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.rnn, "fp32_precision", "ieee"),
    (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
)

LARGEST_KEPT = 2**25 - 2**16  # bytes; just below what glibc's threshold may grow to


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """No TF32, no bfloat16, no autocast, no compiled code, gradients on; all as it was on leaving.

    Compiled modules run eagerly: a compiled graph hides the operations that `Recorder` has to see.
    """
    before = [getattr(place, name) for place, name, _ in SETTINGS]
    try:
        for place, name, value in SETTINGS:
            setattr(place, name, value)
        eager = torch.compiler.set_stance("force_eager")
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False), eager:
            yield
    finally:
        for (place, name, _), value in zip(SETTINGS, before, strict=True):
            setattr(place, name, value)


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor, up to 64 MiB.

    glibc hands blocks back to the system at once until a block of up to 32 MiB was freed; then it keeps blocks of that
    size and twice as much in all (mallopt(3), M_MMAP_THRESHOLD). Getting memory anew costs a page fault every 4 KiB,
    which took up to a tenth of a kernel's time. The block is never touched, so it costs microseconds.
    """
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)
