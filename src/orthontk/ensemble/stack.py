"""Many networks of one architecture as one: every parameter stacked on a leading axis."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from orthontk.ensemble.batched_fcn import batched_fcn
from orthontk.inheritance import runs_as
from orthontk.kernels.parameters import places_of
from orthontk.networks import FCN
from orthontk.training.losses import OneHotMSE, is_mean_cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]
Gradients = list[Tensor | None]  # None for what the loss does not depend on


class StackedNetwork(nn.Module):
    """R networks whose parameters are tensors (R, …); they start at zero, `fill` sets those of one.

    Args:
        template: a network of the architecture; it is not changed.
        replicas: R.
        batched: whether the replicas go through each operation together (fewer, larger operations: faster for narrow
            networks) or one after another (nothing more than as many single networks: faster for wide ones on a CPU).
            The two agree to rounding.
    """

    def __init__(self, template: nn.Module, replicas: int, batched: bool) -> None:
        super().__init__()
        self.batched, self.replicas = batched, replicas
        self.parameter_names = [name for name, _ in template.named_parameters()]
        self.buffer_names = [name for name, _ in template.named_buffers()]
        self.networks: dict[int, nn.Module] = {}  # that `network` has made of this memory
        self.places = places_of(template)
        self.modes = [part.training for part in template.modules()]  # a part may be frozen in evaluation mode
        for name, value in template.named_parameters():
            stacked = nn.Parameter(value.new_zeros(replicas, *value.shape).detach(), value.requires_grad)
            self.register_parameter(flat_name(name), stacked)
        for name, value in template.named_buffers():
            self.register_buffer(flat_name(name), value.new_zeros(replicas, *value.shape))
        empty = {name: value.detach().to("meta") for name, value in _tensors(template)}
        self._blank = [self._with_tensors(template, empty)]  # in a list, so that it is no submodule
        self._skeleton = copy.deepcopy(self._blank)  # is called, and what it keeps then must not be copied

    @property
    def skeleton(self) -> nn.Module:
        """The architecture without memory of its own, in the mode (training or evaluation) of the stack."""
        return self._in_own_mode(self._skeleton[0])

    def _in_own_mode(self, network: nn.Module) -> nn.Module:
        # Asked whenever one is used, since Lightning sets the mode of every submodule by itself.
        if network.training != self.training:
            for part, mode in zip(network.modules(), self.modes, strict=True):
                part.training = self.training and mode
        return network

    def stacked(self) -> dict[str, Tensor]:
        """Parameters (R, …) by their names in a single network."""
        return {name: getattr(self, flat_name(name)) for name in self.parameter_names}

    def trained(self) -> list[Tensor]:
        return [value for value in self.parameters() if value.requires_grad]

    def _buffers_by_name(self) -> dict[str, Tensor]:
        return {name: getattr(self, flat_name(name)) for name in self.buffer_names}

    def _values(self) -> dict[str, Tensor]:
        return self.stacked() | self._buffers_by_name()

    @torch.no_grad()
    def fill(self, index: int, network: nn.Module) -> None:
        for name, value in _tensors(network):
            getattr(self, flat_name(name))[index].copy_(value)

    def network(self, index: int) -> nn.Module:
        """The replica at `index` as a network of its own, which shares the stack's memory."""
        if index not in self.networks:
            own = {name: value.detach()[index] for name, value in self._values().items()}
            self.networks[index] = self._with_tensors(self._blank[0], own)
        return self._in_own_mode(self.networks[index])

    def _with_tensors(self, network: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
        """A copy of `network` that holds these tensors, each at all of its places: layers may share them."""
        network = copy.deepcopy(network)
        made = {
            name: nn.Parameter(tensors[name], getattr(self, flat_name(name)).requires_grad)
            for name in self.parameter_names
        }
        for place, name in self.places.items():
            path, _, attribute = place.rpartition(".")
            module = network.get_submodule(path)
            if name in made:
                module._parameters[attribute] = made[name]
            else:
                module._buffers[attribute] = tensors[name]
        return network

    def _apply(self, *arguments: Any, **options: Any) -> "StackedNetwork":
        self.networks.clear()  # the memory changes, for instance to a GPU's
        return super()._apply(*arguments, **options)

    @torch.no_grad()
    def keep(self, kept: Sequence[int]) -> None:
        """Drop every replica but those at `kept`, in their order."""
        rows = torch.tensor(list(kept), dtype=torch.long)
        for value in (*self.parameters(), *self.buffers()):
            value.data = value.data[rows.to(value.device)]
        self.replicas = len(kept)
        self.networks.clear()

    def forward(self, x: Tensor, shared: bool = True) -> Tensor:  # -> (R, N, O)
        """Outputs of every replica on inputs (N, …) that all see, or (R, N, …) if not `shared`."""
        if not self.batched:
            return torch.stack([self._single(r, x if shared else x[r]) for r in range(self.replicas)])
        return self._together(self.stacked(), x, shared)

    def some(self, rows: Sequence[int], x: Tensor, shared: bool = True) -> Tensor:  # -> (len(rows), N, O)
        """The same for the replicas at `rows`; x is (N, …), or (len(rows), N, …) if not `shared`."""
        if list(rows) == list(range(self.replicas)):
            return self(x, shared)
        if not self.batched:
            return torch.stack([self._single(r, x if shared else x[i]) for i, r in enumerate(rows)])
        chosen = copy.copy(self)
        chosen._parameters = {name: value.detach()[list(rows)] for name, value in self._parameters.items()}
        chosen._buffers = {name: value[list(rows)] for name, value in self._buffers.items()}
        return chosen(x, shared)

    def _together(self, parameters: dict[str, Tensor], x: Tensor, shared: bool) -> Tensor:
        skeleton = self.skeleton
        phi_is_fixed = len(parameters) + len(self.buffer_names) == 2 * len(getattr(skeleton, "layers", ()))
        if type(skeleton) is FCN and phi_is_fixed:
            return batched_fcn(skeleton, parameters, x, shared)

        def single(values: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
            return functional_call(skeleton, (values, buffers), (inputs,))

        return vmap(single, in_dims=(0, 0, None if shared else 0))(parameters, self._buffers_by_name(), x)

    def _single(self, index: int, x: Tensor) -> Tensor:
        return functional_call(self.skeleton, {name: value[index] for name, value in self._values().items()}, (x,))

    def gradients(self, x: Tensor, y: Tensor, loss: Loss, shared: bool) -> tuple[Tensor, Tensor, list[Gradients]]:
        """Outputs (R, N, O), losses (R,) and the gradient of each replica's own loss.

        The gradients are lists over the trained parameters: one list of stacked tensors if `batched`, otherwise one a
        replica. What the losses do not depend on has None.
        """
        if self.batched:
            with torch.enable_grad():
                outputs = self._together(self.stacked(), x, shared)
                losses = replica_losses(loss, outputs, y)
            # Replicas share no parameter, so the gradient of the sum is each one's own, and NaN stays where it is.
            gradients = torch.autograd.grad(losses.sum(), self.trained(), allow_unused=True)
            return outputs.detach(), losses.detach(), [list(gradients)]
        rows = range(self.replicas)
        parts = [self._single_gradients(r, x if shared else x[r], y if shared else y[r], loss) for r in rows]
        outputs, losses, gradients = zip(*parts, strict=True)
        return torch.stack(outputs), torch.stack(losses), list(gradients)

    def _single_gradients(self, index: int, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Gradients]:
        """The same for one replica, whose activations are freed before the next one's turn."""
        parameters = {
            name: value.detach()[index].requires_grad_(value.requires_grad) for name, value in self.stacked().items()
        }
        buffers = {name: value[index] for name, value in self._buffers_by_name().items()}
        with torch.enable_grad():
            outputs = functional_call(self.skeleton, (parameters, buffers), (x,))
            value = loss(outputs, y)
        trained = [parameter for parameter in parameters.values() if parameter.requires_grad]
        return outputs.detach(), value.detach(), list(torch.autograd.grad(value, trained, allow_unused=True))


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def replica_losses(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """The loss of each replica: outputs (R, N, O), labels (N,) or (R, N) -> (R,)."""
    if runs_as(loss, OneHotMSE):
        return loss(outputs, labels)
    labels = labels.expand(outputs.shape[:2])
    if is_mean_cross_entropy(loss):
        # Classes in the middle, as a stack's outputs lie in memory: the sums over them run over examples side by side.
        each = F.cross_entropy(outputs.mT, labels, reduction="none", label_smoothing=loss.label_smoothing)
        return each.mean(1)
    return torch.stack([loss(*pair) for pair in zip(outputs, labels, strict=True)])


def flat_name(name: str) -> str:
    """A name without the dots that torch does not allow in a parameter's own."""
    return name.replace(".", "-")
