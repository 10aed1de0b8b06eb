"""Recompute the NTK from a run's checkpoints, on any probe: `python -m orthontk.ntk RUN_DIRECTORY`."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm import tqdm

from orthontk.checks import InvalidValue
from orthontk.cli import command
from orthontk.counted import counted
from orthontk.ensemble.replicas import is_ensemble
from orthontk.ensemble.saved_replicas import ENDED, replicas_named, weights_of_ended, weights_of_replicas
from orthontk.identity import run_hash
from orthontk.kernels import empirical_ntk
from orthontk.kernels.grid import DEFAULT_MEMORY_LIMIT
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.kernels.problem import OUTPUTS
from orthontk.probe import SIZE, Probes
from orthontk.run.assemble import build_network, read_checkpoint
from orthontk.run.checkpoint_files import saved_step
from orthontk.run.directory import CHUNKS, CONFIG, RECOMPUTED
from orthontk.tensor_files import DamagedFile

UNREADABLE = "cannot be read; its kernels are left out"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.ntk",
        description="Compute the NTK at every checkpoint of a run (train with checkpoint.keep=all to have them all), "
        "of an ensemble for each replica. Interrupted, the same command goes on after the last finished checkpoint.",
    )
    parser.add_argument("directory", type=Path, metavar="RUN_DIRECTORY")
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="data.KEY=VALUE",
        help="another probe: e.g. data.seed=1; with data.normalize=standardize by the training's mean and deviation",
    )
    parser.add_argument("--probe-size", type=int, help=f"inputs, class-balanced (default: {SIZE})")
    parser.add_argument("--split", choices=("train", "val", "test"), help="where they come from (default: train)")
    parser.add_argument("--inputs", type=Path, help="a .npy file of inputs (N, …) instead, used as they are")
    parser.add_argument("--outputs", default="full", choices=OUTPUTS)
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU where PyTorch sees one)")
    parser.add_argument("--memory-limit", type=int, default=DEFAULT_MEMORY_LIMIT, help="bytes (default: 2 GiB)")
    parser.add_argument(
        "--replica", action="append", metavar="NAME", help="of an ensemble: this one only, such as seed3-gaussian-lr0.1"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=f"where to write (default: {RECOMPUTED} in the run; of an ensemble in replicas/NAME, or in OUT/NAME)",
    )
    return parser.parse_intermixed_args()  # settings may stand behind options


@dataclass
class Network:
    """One network of the run: the inputs its kernels are computed on, and where they go."""

    x: Tensor
    series: KernelSeries


@command
def main() -> None:
    options = arguments()
    config = read_config(options.directory)
    probes = Probes(config, options.settings, options.probe_size, options.split, options.inputs)
    checkpoints = checkpoints_of(options.directory)
    module = build_network(config, probes.own_data(config.data.seed)).eval().to(device_named(options.device))
    if is_ensemble(config):
        networks = networks_of_ensemble(options, config, probes)
    else:
        networks = {0: single_network(options, config, probes.of(config.data.seed))}
    dtype = next(module.parameters()).dtype
    left_out: dict[Path, str] = {}
    with tqdm(total=len(checkpoints), bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
        for position, checkpoint in enumerate(checkpoints, 1):
            step = saved_step(checkpoint)
            missing = {number: network for number, network in networks.items() if step not in network.series.steps}
            try:
                saved = weights_in(checkpoint, module) if missing else {}
            except (InvalidValue, DamagedFile):
                saved = {}
                left_out[checkpoint] = UNREADABLE
            wanted = sorted(missing.keys() & saved.keys())
            for number in wanted:
                module.load_state_dict(saved[number])
                x, series = missing[number].x.to(dtype), missing[number].series
                theta = empirical_ntk(module, x, outputs=options.outputs, memory_limit=options.memory_limit)
                if theta.isfinite().all():
                    series.add(step, theta)
                    series.write()
                else:
                    left_out[checkpoint] = "has kernels that are not finite; they are left out"
                bar.update(1 / len(wanted))
            bar.n = position
            bar.refresh()
    report_left_out(left_out, checkpoints)
    show_result([network.series for network in networks.values()], options)


def device_named(name: str | None) -> torch.device:
    """The device of that name; None: a GPU if there is one."""
    seen = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    usual = "cuda" if len(seen) > 1 else "cpu"
    if name not in (None, usual, *seen):
        raise InvalidValue("device", name, " or ".join(seen) + ", which is what PyTorch sees here")
    return torch.device(name or usual)


def report_left_out(reasons: dict[Path, str], checkpoints: list[Path]) -> None:
    """Say which checkpoints have kernels that are left out, and why.

    Raises:
        InvalidValue: none can be read.
    """
    if all(reasons.get(checkpoint) == UNREADABLE for checkpoint in checkpoints):
        raise InvalidValue("RUN_DIRECTORY", checkpoints[0], "a readable checkpoint file, which none of the run's is")
    for checkpoint, reason in reasons.items():
        print(f"warning: {checkpoint} {reason}")


def show_result(all_series: list[KernelSeries], options: argparse.Namespace) -> None:
    """What was computed, where it is, and whether replicas are left out."""
    done = [series for series in all_series if series.steps]
    if not done and "replica" not in all_series[0].settings:
        accepted = "a run that had not diverged before its first checkpoint"
        raise InvalidValue("RUN_DIRECTORY", options.directory, accepted)
    if not done:
        accepted = "replicas that had not diverged before the first checkpoint"
        raise InvalidValue("replica", ", ".join(options.replica or ["all"]), accepted)
    steps = sorted({step for series in done for step in series.steps})
    where = done[0].path if len(done) == 1 else f"{done[0].path.parents[1]}, of {len(done)} replicas"
    print(f"Kernels after {', '.join(map(str, steps))} steps: {where}")
    if missing := len(all_series) - len(done):
        print(f"None of {counted(missing, 'replica')}, which had diverged before the first checkpoint.")


def checkpoints_of(directory: Path) -> list[Path]:
    """Of a run, or of each chunk of an ensemble and of each replica that ended before its chunk, by step."""
    places = "checkpoints/step-*.ckpt", f"{CHUNKS}/*/checkpoints/step-*.ckpt", f"{CHUNKS}/*/{ENDED}/*.safetensors"
    found = [path for place in places for path in directory.glob(place)]
    if not found:
        accepted = "a run with checkpoints, which an ensemble keeps with checkpoint.keep=all only"
        raise InvalidValue("RUN_DIRECTORY", directory, accepted)
    return sorted(found, key=lambda path: (saved_step(path), path))


def single_network(options: argparse.Namespace, config: DictConfig, probe: tuple[Tensor, dict[str, Tensor]]) -> Network:
    if options.replica:
        raise InvalidValue("replica", options.replica[0], "none, as this run is no ensemble")
    return network_of(options, config, probe, options.out or options.directory / RECOMPUTED)


def networks_of_ensemble(options: argparse.Namespace, config: DictConfig, probes: Probes) -> dict[int, Network]:
    """By number, each with a folder of its own; replicas with data of their own have probes of their own."""
    root = options.out or options.directory / "replicas"
    if root.exists() and not root.is_dir():
        raise InvalidValue("out", root, "a folder, for the kernels of an ensemble")
    networks = {}
    for replica in replicas_named(config, options.replica):
        probe = probes.of(config.data.seed if config.ensemble.shared_batches else replica.seed)
        folder = root / replica.name
        folder.mkdir(parents=True, exist_ok=True)
        networks[replica.number] = network_of(options, config, probe, folder / RECOMPUTED, replica=replica.name)
    return networks


def network_of(
    options: argparse.Namespace, config: DictConfig, probe: tuple[Tensor, dict[str, Tensor]], out: Path, **names: str
) -> Network:
    # By its settings: a run keeps its file when its folder is renamed, and shares it with none of the same name.
    settings = {"run": run_hash(config), **names, "outputs": options.outputs, "memory_limit": options.memory_limit}
    return Network(probe[0], open_series(out, probe[1], settings | chosen_probe(options)))


def chosen_probe(options: argparse.Namespace) -> dict[str, object]:
    """How the probe differs from the run's own: the same images may be normalized otherwise."""
    data = sorted(setting for setting in options.settings if not setting.startswith("data.path="))  # which may move
    split = {"split": options.split} if options.split not in (None, "train") else {}
    return split | ({"data": data} if data else {})


def read_config(directory: Path) -> DictConfig:
    path = directory / CONFIG
    if not path.is_file():
        raise InvalidValue("RUN_DIRECTORY", directory, f"a run's directory, with its {CONFIG}")
    return OmegaConf.load(path)


def open_series(path: Path, probe: dict[str, Tensor], settings: dict[str, object]) -> KernelSeries:
    """A new series, or the one begun in `path`, if it is of the same run, probe and settings."""
    if not path.parent.is_dir() or path.is_dir():
        raise InvalidValue("out", path, "a file in a folder that exists")
    if not path.exists():
        return KernelSeries(path, probe, settings)
    try:
        series = KernelSeries.read(path)
    except (SafetensorError, KeyError) as error:
        raise InvalidValue("out", path, "a new file, or one of this command") from error
    same = series.probe.keys() == probe.keys() and all(torch.equal(series.probe[k], probe[k].cpu()) for k in probe)
    if not same or series.settings != settings:
        accepted = "another file (--out): this one has kernels of another run or probe, or other settings"
        raise InvalidValue("out", path, accepted)
    return series


def weights_in(checkpoint: Path, module: nn.Module) -> dict[int, dict[str, Tensor]]:
    """What the networks in a checkpoint have for the parameters and buffers of `module`; a single one is number 0."""
    if checkpoint.parent.name == ENDED.name:
        return weights_of_ended(checkpoint, module)
    content: dict[str, Any] = read_checkpoint(checkpoint, "RUN_DIRECTORY")
    if "ensemble" in content:
        return weights_of_replicas(content, module)
    return {0: {name: content["state_dict"][f"network.{name}"] for name in module.state_dict()}}


if __name__ == "__main__":
    main()
