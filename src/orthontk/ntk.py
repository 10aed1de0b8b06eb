"""Recompute the NTK from a run's checkpoints, on any probe: `python -m orthontk.ntk RUN_DIRECTORY`."""

import argparse
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm import tqdm

from orthontk.callbacks.ntk import OUTPUTS
from orthontk.checks import InvalidValue, integer
from orthontk.cli import command
from orthontk.data import TensorDataModule
from orthontk.kernels import empirical_ntk
from orthontk.kernels.grid import DEFAULT_MEMORY_LIMIT
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.run.assemble import build_data, build_network, read_checkpoint
from orthontk.run.checkpoint_files import saved_step
from orthontk.run.directory import CONFIG


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.ntk",
        description="Compute the NTK at every checkpoint of a run (train with checkpoint.keep=all to have them all). "
        "Interrupted, the same command goes on after the last finished checkpoint.",
    )
    parser.add_argument("directory", type=Path, metavar="RUN_DIRECTORY")
    parser.add_argument("settings", nargs="*", metavar="data.KEY=VALUE", help="another probe: e.g. data.seed=1")
    parser.add_argument("--probe-size", type=int, default=40, help="inputs, class-balanced (default: 40)")
    parser.add_argument("--split", default="train", choices=("train", "val", "test"), help="where they come from")
    parser.add_argument("--inputs", type=Path, help="a .npy file of inputs (N, …) instead, used as they are")
    parser.add_argument("--outputs", default="full", choices=OUTPUTS)
    parser.add_argument("--memory-limit", type=int, default=DEFAULT_MEMORY_LIMIT, help="bytes (default: 2 GiB)")
    parser.add_argument("--out", type=Path, help="where to write (default: ntk-recomputed.safetensors in the run)")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    config = read_config(options.directory, options.settings)
    data = build_data(config)
    network = build_network(config, data).eval()
    x, probe = probe_of(options, data)
    x = x.to(next(network.parameters()).dtype)
    out = options.out or options.directory / "ntk-recomputed.safetensors"
    settings = {"run": "/".join(options.directory.resolve().parts[-2:]), "outputs": options.outputs}
    series = open_series(out, probe, settings | {"memory_limit": options.memory_limit})
    checkpoints = sorted((options.directory / "checkpoints").glob("step-*.ckpt"))
    if not checkpoints:
        raise InvalidValue("RUN_DIRECTORY", options.directory, "a run with checkpoints, which an ensemble is not")
    with tqdm(checkpoints, unit="kernel") as bar:
        for checkpoint in bar:
            if saved_step(checkpoint) not in series.steps:
                load_weights(network, checkpoint)
                theta = empirical_ntk(network, x, outputs=options.outputs, memory_limit=options.memory_limit)
                series.add(saved_step(checkpoint), theta)
                series.write()
    print(f"Kernels after {', '.join(map(str, series.steps))} steps: {out}")


def read_config(directory: Path, settings: list[str]) -> DictConfig:
    """The run's own configuration, with the probe's `data.*` settings in place of its own."""
    path = directory / CONFIG
    if not path.is_file():
        raise InvalidValue("RUN_DIRECTORY", directory, f"a run's directory, with its {CONFIG}")
    config = OmegaConf.load(path)
    for setting in settings:
        key = setting.partition("=")[0]
        if not key.startswith("data.") or "=" not in setting:
            raise InvalidValue("settings", setting, "data.KEY=VALUE")
    return OmegaConf.merge(config, OmegaConf.from_dotlist(settings))


def probe_of(options: argparse.Namespace, data: TensorDataModule) -> tuple[Tensor, dict[str, Tensor]]:
    """The inputs, and what identifies them in the file."""
    if options.inputs is None:
        x, labels, indices = data.probe(integer("probe_size", options.probe_size), options.split)
        return x, {"indices": indices, "labels": labels}
    try:
        x = torch.from_numpy(np.load(options.inputs, allow_pickle=False))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidValue("inputs", options.inputs, "a .npy file of numbers") from error
    if x.shape[1:] != data.input_shape:
        raise InvalidValue("inputs", tuple(x.shape), f"inputs of shape (N, {', '.join(map(str, data.input_shape))})")
    return x, {"inputs": x}


def open_series(path: Path, probe: dict[str, Tensor], settings: dict[str, object]) -> KernelSeries:
    """A new series, or the one begun in `path`, if it is of the same run, probe and settings."""
    if not path.parent.is_dir():
        raise InvalidValue("out", path, "a file in a folder that exists")
    if not path.exists():
        return KernelSeries(path, probe, settings)
    try:
        series = KernelSeries.read(path)
    except (SafetensorError, KeyError) as error:
        raise InvalidValue("out", path, "a new file, or one of this command") from error
    same = series.probe.keys() == probe.keys() and all(torch.equal(series.probe[k], probe[k].cpu()) for k in probe)
    if not same or series.settings != settings:
        raise InvalidValue("out", path, "another file: this one has kernels of another run or probe, or other settings")
    return series


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    state = read_checkpoint(checkpoint, "RUN_DIRECTORY")["state_dict"]
    own = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    network.load_state_dict(own)


if __name__ == "__main__":
    main()
