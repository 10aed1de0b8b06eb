"""Kernels at checkpoints, small enough for a page: a byte for each pair of inputs, in each kernel's own range."""

import base64
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from orthontk.figures.heatmaps import by_class
from orthontk.figures.run import evenly
from orthontk.kernels import measures
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.report.thin import Detail

LEVELS = 255


def heatmap_data(series: KernelSeries, detail: Detail) -> dict[str, Any]:
    """The kernels' means over outputs, inputs sorted by class, upper triangles row by row.

    Kernels of more inputs than `detail.pixels` are averaged over blocks of inputs that follow each other in that order.
    """
    order, labels = by_class(series)
    checkpoints = evenly(list(zip(series.steps, series.kernels, strict=True)), detail.checkpoints)
    block = -(-len(labels) // detail.pixels)
    data: dict[str, Any] = {"labels": labels[::block], "block": block, "checkpoints": []}
    for step, theta in checkpoints:
        kernel = measures.mean_over_outputs(theta)[order][:, order].double()
        if kernel.isfinite().all():  # not where training has diverged
            small = _as_bytes(_blocks(kernel, block)) | {"digits": _digits(kernel)}
            data["checkpoints"].append({"step": step, "words": _in_words(kernel, labels), **small})
    return data


def _blocks(kernel: Tensor, size: int) -> Tensor:
    """Means over blocks of size × size; the last ones may be smaller."""
    rows = torch.stack([part.mean(0) for part in kernel.split(size)])
    return torch.stack([part.mean(1) for part in rows.split(size, dim=1)], dim=1)


def _as_bytes(kernel: Tensor) -> dict[str, Any]:
    values = kernel.numpy()[np.triu_indices(len(kernel))]
    low, high = float(values.min()), float(values.max())
    levels = np.rint((values - low) / max(high - low, 1e-300) * LEVELS).clip(0, LEVELS).astype(np.uint8)
    return {"low": low, "high": high, "levels": base64.b64encode(levels.tobytes()).decode()}


def _digits(kernel: Tensor) -> int:
    """So many that values a level apart are told apart: kernels of deep networks may span less than 1 %."""
    level = float(kernel.max() - kernel.min()) / LEVELS
    return 4 if level == 0 else min(15, max(4, math.ceil(math.log10(float(kernel.abs().max()) / level)) + 1))


def _in_words(kernel: Tensor, labels: list[int]) -> str:
    """Means on the diagonal, and off it within classes and between them."""
    classes = torch.tensor(labels)
    same, diagonal = classes[:, None] == classes[None], torch.eye(len(labels), dtype=torch.bool)
    parts = {"on the diagonal": diagonal, "within classes": same & ~diagonal, "between classes": ~same}
    digits = _digits(kernel)
    told = [f"{kernel[mask].mean():.{digits}g} {name}" for name, mask in parts.items() if mask.any()]
    return "mean of Θ: " + ", ".join(told)
