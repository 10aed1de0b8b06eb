"""How each parameter's share of a kernel is computed: which parameters go together, and by which path."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from orthontk.kernels import costs
from orthontk.kernels.costs import Cost, Sizes
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.uses import Use

INPUT_GRAM = "input gram"
PER_EXAMPLE = "per-example gradients"
PULLED_BACK = "pulled back"
TORCH_FUNC = "torch.func"


@dataclass
class Share:
    """A part of the kernel that is contracted in one go.

    Attributes:
        parameters: one parameter, or a dense weight and the bias that is added to the same z.
        path: "input gram", "per-example gradients", "pulled back" for what other weights are computed from, or
            "torch.func".
        uses: of the (first) parameter, or of the weights computed from it, in the order of the forward pass; empty for
            "torch.func".
        entries: K, numbers in the parameters.
    """

    parameters: list[str]
    path: str
    uses: list[Use] = field(repr=False)
    entries: int

    def cost(self, sizes: Sizes) -> Cost:
        if self.path == TORCH_FUNC:
            return costs.functional(self.entries, sizes)
        if self.path == PULLED_BACK:
            return costs.pulled_back(self.uses, self.entries, sizes)
        if self.path == INPUT_GRAM:
            return costs.input_gram(self.uses, sizes)
        return costs.per_example_gradients(self.uses, sizes)


def recorded_in(shares: list[Share]) -> set[str]:
    """The parameters whose gradients come of recorded uses."""
    return {name for share in shares if share.path != TORCH_FUNC for name in share.parameters}


def shares_of(
    tensors: StandIns,
    uses: dict[str, list[Use]],
    functions: list[ParameterFunction],
    left: set[str],
    sizes: Sizes,
) -> list[Share]:
    """The cheapest exact path for each parameter that the outputs depend on, in the order of the network's parameters.

    Args:
        uses: by parameter or function; they reach the outputs.
        functions: those whose parameters are all recorded.
        left: parameters for `torch.func`.
    """
    through: dict[str, list[Use]] = defaultdict(list)  # by parameter: the uses of what is computed from it
    for function in functions:
        for name in function.parameters:
            through[name] += uses[function.name]
    shares: list[Share] = []
    merged: set[str] = set()
    uses_of_edge = defaultdict(list)
    for name, mine in uses.items():
        if len(mine) == 1 and name in tensors.trainable and name not in left and name not in through:
            uses_of_edge[mine[0].edge].append(mine[0])
    for name, parameter in tensors.trainable.items():
        mine = uses.get(name, [])
        if name in left:
            shares.append(Share([name], TORCH_FUNC, [], parameter.numel()))
        elif name in through:
            shares.append(Share([name], PULLED_BACK, mine + through[name], parameter.numel()))
        elif not mine:  # the outputs do not depend on it
            continue
        elif _prefers_gram(mine, sizes):
            bias = _bias_of(mine, uses_of_edge)
            merged.update(bias)
            entries = sum(tensors.trainable[n].numel() for n in (name, *bias))
            shares.append(Share([name, *bias], INPUT_GRAM, mine, entries))
        else:
            shares.append(Share([name], PER_EXAMPLE, mine, parameter.numel()))
    return [share for share in shares if share.parameters[0] not in merged]


def _prefers_gram(uses: list[Use], sizes: Sizes) -> bool:
    if not costs.has_input_gram(uses):
        return False
    return costs.input_gram(uses, sizes).weight <= costs.per_example_gradients(uses, sizes).weight


def _bias_of(weight_uses: list[Use], uses_of_edge: dict[int, list[Use]]) -> list[str]:
    """The bias, if any, of a dense weight's module that enters the same z of one position: its δ are the weight's."""
    use, *others = weight_uses
    if others or math.prod(use.z_shape[:-1]) != 1:
        return []
    module = use.parameter.rpartition(".")[0]
    beside = [
        other
        for other in uses_of_edge[use.edge]
        if other.parameter != use.parameter and other.parameter.rpartition(".")[0] == module
    ]
    return [other.parameter for other in beside if other.shape.numel() == use.z_shape[-1]][:1]
