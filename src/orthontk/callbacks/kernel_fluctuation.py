"""How much the NTK of one input differs between draws of the weights."""

import copy
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.checks import InvalidValue, integer
from orthontk.init.initializer import NONE
from orthontk.init.stacked import draw_stacked
from orthontk.run.directory import NTK_DRAWS
from orthontk.tensor_files import write_tensors
from orthontk.training.metrics import log_metrics


class KernelFluctuation(ScheduledCallback):
    """Θ(x, x) of a network with one output over independent draws of its weights (Day, Kahn, Roberts 2023).

    x is the first input of the probe, rescaled so that ‖x‖² = n₀; for weights whose law no rotation changes, the law of
    Θ(x, x) depends on x through its norm alone. Writes `ntk_draws.safetensors` with `theta` (draws,), and logs
    `fluctuation/relative_variance`, Var[Θ]/E[Θ]², and `fluctuation/log_variance`, Var[log Θ]; of heavy tails the first
    is hard to estimate. Needs no training: `trainer.max_steps=0`.

    Args:
        draws: networks; other ones for every `seed`.
        batch: how many are drawn and differentiated at once; decides the random numbers, too.
    """

    def __init__(self, draws: int = 1000, batch: int = 50) -> None:
        super().__init__([0])
        self.draws, self.batch = integer("draws", draws, minimum=2), integer("batch", batch)

    def check_module(self, module: pl.LightningModule) -> None:
        if module.config["init"].get("scheme") in (None, NONE):
            raise InvalidValue("draws", self.draws, "an initialization by a scheme (init.scheme=…)")
        if getattr(module.network, "out_features", None) != 1:
            places = "data.classes=1, or of two classes model.out_features=1 with loss=mse"
            raise InvalidValue("draws", self.draws, f"a network with one output ({places})")

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        x = trainer.datamodule.probe(1)[0].double().cpu()
        x = x * (x.numel() ** 0.5 / x.norm())
        init = instantiate(module.config["init"]).keywords
        scheme, coupled = init["scheme"], init.get("coupled", False)
        network = copy.deepcopy(module.network).to("cpu", torch.float64)
        generator = torch.Generator().manual_seed(module.config["seed"])
        sizes = [min(self.batch, self.draws - start) for start in range(0, self.draws, self.batch)]
        drawn = (draw_stacked(network, scheme, size, generator, coupled=coupled) for size in sizes)
        theta = torch.cat([self_kernels(network, parameters, x) for parameters in drawn])
        relative = (theta.var() / theta.mean() ** 2).item()
        metrics = {"fluctuation/relative_variance": relative, "fluctuation/log_variance": theta.log().var().item()}
        log_metrics(trainer, metrics, step)
        if trainer.is_global_zero:
            write_tensors(Path(trainer.default_root_dir) / NTK_DRAWS, {"theta": theta}, {"draws": self.draws})


def self_kernels(network: nn.Module, drawn: dict[str, Tensor], x: Tensor) -> Tensor:
    """Θ(x, x), of all trainable parameters, of each of the stacked networks with one output.

    x is (1, …) and what is drawn (D, …); the networks have the other parameters in common. The result is (D,).
    """
    trainable = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    common = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def theta(own: dict[str, Tensor]) -> Tensor:
        values = common | own
        trained = {name: values[name] for name in trainable}
        gradients = grad(lambda p: functional_call(network, values | p, (x,)).squeeze())(trained)
        return torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum()

    return vmap(theta)(drawn)
