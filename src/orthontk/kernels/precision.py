"""Full-precision arithmetic for the time of a computation, whatever the process has set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# TF32 and bfloat16 inside float32 products, low-precision sums, and what varies from call to call: (where, attribute,
# value for exact arithmetic).
SETTINGS = (
    (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    (torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    (torch.backends.cudnn.rnn, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.conv, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.rnn, "fp32_precision", "ieee"),
    (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
    (torch.backends.cudnn, "deterministic", True),  # the same bits again
    (torch.backends.cudnn, "benchmark", False),  # which chooses algorithms by the clock
)


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
