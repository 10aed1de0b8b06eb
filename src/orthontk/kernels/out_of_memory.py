"""Tells that memory ran out from what else torch raises RuntimeError for."""

import torch

SAID_OF_IT = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")  # the last by cuBLAS and cuDNN


def raise_out_of_memory(error: RuntimeError) -> None:
    """Raises `error` again if memory ran out, which another way of computing would only hide.

    Raises:
        RuntimeError: the error, of a CPU's allocator or a GPU's.
    """
    if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SAID_OF_IT):
        raise error
