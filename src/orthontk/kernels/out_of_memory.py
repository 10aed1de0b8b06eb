"""Tells that memory ran out from what else torch raises RuntimeError for."""

import torch


def raise_out_of_memory(error: RuntimeError) -> None:
    """Raises `error` again if memory ran out, which another way of computing would only hide.

    Raises:
        RuntimeError: the error, of a CPU's allocator or a GPU's.
    """
    if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
        raise error
