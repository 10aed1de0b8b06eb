"""What a kernel depends on, in a few bytes: for a file or another process to be known as of the same one."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthontk.kernels.parameters import StandIns

EXAMPLES = 4  # whose outputs are looked at
NUMBERS = 64  # of one example's outputs: means of neighbouring ones where there are more
ROUNDING = 100  # units of the last place, by which outputs may differ on another machine or with other threads
NETWORK, INPUTS = "the network or its parameters", "the inputs"  # as a refusal names them
SETTINGS = "outputs, dtype, memory_limit, number of processes or version of torch"
PLAIN = bool | int | float | complex | str | bytes | np.generic | None


@dataclass
class Identity:
    """What is kept beside a kernel on disk.

    Attributes:
        fingerprint: as `fingerprint` gives it.
        outputs: f of a few examples, which show the rest: the code of the forward pass and what it refers to.
    """

    fingerprint: dict[str, str]
    outputs: Tensor

    @property
    def line(self) -> str:
        return json.dumps([self.fingerprint, self.outputs.tolist()])

    def difference(self, line: str) -> str | None:
        """In what `line` differs, if it is of another computation; outputs may by rounding."""
        try:
            fingerprint, outputs = json.loads(line)
            other = torch.tensor(outputs, dtype=self.outputs.dtype, device="cpu")
            found = next((name for name, digest in self.fingerprint.items() if fingerprint[name] != digest), None)
        except (ValueError, TypeError, KeyError):
            return "the computation that is noted beside it"
        if found or other.shape != self.outputs.shape:
            return found or NETWORK
        largest = torch.where(self.outputs.isfinite(), self.outputs.abs(), 0).max().item()
        rounding = ROUNDING * torch.finfo(other.dtype).eps * largest
        return None if torch.allclose(other, self.outputs, rtol=0, atol=rounding, equal_nan=True) else NETWORK


@torch.no_grad()
def outputs_of_some(net: nn.Module, tensors: StandIns, x: Tensor) -> Tensor:
    """f of the first few examples, (n, at most 64), on the CPU."""
    outputs = tensors.call(net, x[:EXAMPLES])
    if outputs.shape[1] > NUMBERS:
        outputs = F.adaptive_avg_pool1d(outputs, NUMBERS)
    return outputs.cpu()


def description(net: nn.Module) -> str:
    """The modules and their attributes, as far as these are data, of which a forward pass may make use."""
    modules = re.sub(r"0x[0-9a-f]+", "", str(net))  # addresses, in the names of some functions
    attributes = [
        f"{path}.{name}={content}"
        for path, module in net.named_modules()
        for name, value in sorted(vars(module).items())
        if not name.startswith("_") and (content := content_of(value))
    ]
    return "\n".join([modules, *attributes])


def content_of(value: object) -> str:
    """A text that is the same for the same data, also in another process; empty for what is no data."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, dict):
        return str(sorted((content_of(key), content_of(part)) for key, part in value.items()))
    if isinstance(value, set | frozenset):
        return str(sorted(map(content_of, value)))
    if isinstance(value, list | tuple):
        return str(list(map(content_of, value)))
    if isinstance(value, np.ndarray):
        numbers = value.tobytes() if not value.dtype.hasobject else content_of(value.tolist()).encode()
        return f"{value.dtype} {value.shape} {hashlib.sha256(numbers).hexdigest()}"
    if isinstance(value, Tensor) and value.grad_fn is None:  # else what an earlier pass has left there
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(_bytes_of(value)).hexdigest()}"
    return ""


def fingerprint(description: str, tensors: StandIns, inputs: list[Tensor | None], *settings: object) -> dict[str, str]:
    """Hashes of what a kernel depends on, as far as it is data, by what a refusal calls it."""
    of_settings = _hash(repr((torch.__version__, *settings)), ())
    return {NETWORK: _hash(description, tensors.named()), INPUTS: _hash("", enumerate(inputs)), SETTINGS: of_settings}


def _hash(text: str, tensors: Iterable[tuple[object, Tensor | None]]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in tensors:
        digest.update(f"{name} {None if tensor is None else (tensor.dtype, tuple(tensor.shape))}".encode())
        if tensor is not None:
            digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: Tensor) -> np.ndarray:
    dense = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    numbers = dense.resolve_conj().resolve_neg().cpu().contiguous()
    return numbers.reshape(-1).view(torch.uint8).numpy()
