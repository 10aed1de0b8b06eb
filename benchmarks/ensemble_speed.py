"""Twenty replicas as an ensemble, as a multirun of single jobs, and as bare training loops one after another.

    python benchmarks/ensemble_speed.py                 # all of it: about five minutes on two cores
    python benchmarks/ensemble_speed.py --only jobs --steps 300
    python benchmarks/ensemble_speed.py --only jobs --measure    # with kernels, figures and W&B, as train.py has them
    python benchmarks/ensemble_speed.py --only jobs --steps 9000 --overrides data=mnist data.path=FOLDER
    python benchmarks/ensemble_speed.py --only loops --widths 64 256
    python benchmarks/ensemble_speed.py --only loops --device cuda --tf32 --depth 50 --widths 400 --batch 1000 \
        --inputs 3072

Jobs: FCN L=5 n=64, batch 128 on real digits, the ensemble's command against Hydra's multirun of its twenty jobs, both
from start to end with tests, and without kernels and figures unless --measure. The goal is at most 1/4 of the time. An
ensemble that does not train goes first, uncounted: on a fresh machine the first command reads the libraries from the
disk and compiles them, which would be the ensemble's alone. A command's start, which both pay once, is most of the
ensemble's time at 300 steps; 9,000 are twenty epochs of all of MNIST.

Loops: milliseconds a step of all twenty replicas, in turns, the fastest of some rounds: networks that PyTorch trains by
hand one after another, against the ensemble's own step in the chunk and the manner that its plan chose, and what the
naive way (`vmap` over all twenty) takes. The goal is never slower, and on a GPU ten times faster for L=50, n=400. All
sides multiply at the precision of `trainer.tf32`. A GPU runs a bare loop's small operations one after another, most of
it idle; what twenty replicas have to multiply sets the limit: with TF32 off a seventh of the bare loops' time there.
"""

import argparse
import copy
import logging
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.func import functional_call, stack_module_state, vmap

from orthontk.ensemble.measure import Work
from orthontk.ensemble.optimizer import Leaves
from orthontk.ensemble.plan import Plan, new_plan
from orthontk.ensemble.stack import StackedNetwork, replica_losses
from orthontk.init import initialize
from orthontk.networks import CNN, FCN
from orthontk.run.arithmetic import training_arithmetic

REPLICAS = 20
ROOT = Path(__file__).parent.parent
LOSS = torch.nn.CrossEntropyLoss()
SETTINGS = ("model=fcn", "model.width=64")
TRAINING_ALONE = ("callbacks=none", "figures=false", "logger=csv")


def jobs(steps: int, measure: bool, overrides: list[str]) -> None:
    """Both commands, from start to end: seconds, and processor seconds, which other work changes less."""
    found = {}
    print(f"\n{steps} steps")
    settings = [*SETTINGS, *(() if measure else TRAINING_ALONE), *overrides]
    ensemble, multirun = [f"ensemble.seeds={REPLICAS}"], ["-m", f"seed=range({REPLICAS})"]
    _train(*ensemble, *settings, "trainer.max_steps=0")
    for name, arguments in (("ensemble", ensemble), ("multirun of 20 jobs", multirun)):
        found[name] = _train(*arguments, *settings, f"trainer.max_steps={steps}")
        print(f"{name:<20} {found[name][0]:7.1f} s, {found[name][1]:7.1f} s of processors", flush=True)
    wall, processors = (one / other for one, other in zip(*found.values(), strict=True))
    print(f"{'ratio':<20} {wall:7.2f}    {processors:7.2f}    (goal: at most 0.25)")


def _train(*overrides: str) -> tuple[float, float]:
    """Seconds of a command, on the clock and of processors; what it writes is deleted."""
    with tempfile.TemporaryDirectory() as directory:
        start, used = time.perf_counter(), _processor_seconds()
        command = [sys.executable, "train.py", *overrides, f"paths.output_dir={directory}"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - start, _processor_seconds() - used


def _processor_seconds() -> float:
    """What processes that this one has waited for used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def network(family: str, width: int, depth: int, inputs: int, seed: int) -> FCN | CNN:
    """An FCN on so many inputs, or a CNN on grey images of so many pixels."""
    net = FCN(inputs, 10, width, depth) if family == "fcn" else CNN(1, math.isqrt(inputs), 10, width, depth)
    return initialize(net, "gaussian", torch.Generator().manual_seed(seed))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def bare_loops(work: Work):
    networks = [copy.deepcopy(work.template) for _ in range(REPLICAS)]
    optimizers = [sgd(net.parameters()) for net in networks]

    def step() -> None:
        for net, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            LOSS(net(work.x), work.y).backward()
            optimizer.step()

    return step


def ensemble(work: Work, plan: Plan):
    """The step of every chunk, one after another: what a run does in its chunks' trainings."""
    stacks = [StackedNetwork(work.template, len(chunk), plan.batched) for chunk in plan.chunks(range(REPLICAS))]
    parts = []
    for stack in stacks:
        for row in range(stack.replicas):
            stack.fill(row, work.template)
        stack.to(work.x.device)
        leaves = Leaves(stack, [0.1] * stack.replicas, [0.1])
        parts.append((stack, leaves, sgd(leaves.parameter_groups())))

    def step() -> None:
        for stack, leaves, optimizer in parts:
            leaves.place(stack.gradients(work.x, work.y, LOSS, True)[2])
            optimizer.step()

    return step


def naive(work: Work):
    parameters, _ = stack_module_state([work.template] * REPLICAS)
    parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    optimizer = sgd(parameters.values())

    def step() -> None:
        optimizer.zero_grad()
        outputs = vmap(lambda own: functional_call(work.template, own, (work.x,)))(parameters)
        replica_losses(LOSS, outputs, work.y).sum().backward()
        optimizer.step()

    return step


def fastest(steps: dict, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of each, in turns, so that whatever else the machine does hits all."""
    best = dict.fromkeys(steps, float("inf"))
    end = time.perf_counter() + options.seconds
    for turn in range(options.rounds + 1):
        for name, step in steps.items():
            _wait()
            start = time.perf_counter()
            step()
            _wait()
            if turn > 0:
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
        if turn > 1 and time.perf_counter() > end:
            break
    return best


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def loops(family: str, widths: list[int], options: argparse.Namespace) -> None:
    depth, batch, inputs, device = options.depth, options.batch, options.inputs, options.device
    where = f"{device}, {torch.get_num_threads()} threads"
    if device != "cpu":
        where = f"{torch.cuda.get_device_name()}, TF32 {'on' if options.tf32 else 'off'}"
    print(f"\n{family.upper()} L={depth}, batch {batch}, {inputs} inputs, {REPLICAS} replicas, {where}")
    print(f"{'n':>5} {'bare loops':>13} {'ensemble':>13} {'naive vmap':>13} {'speed-up':>9}  chunk and manner chosen")
    for width in widths:
        shape = (inputs,) if family == "fcn" else (1, math.isqrt(inputs), math.isqrt(inputs))
        x, y = torch.rand(batch, *shape, device=device), torch.randint(10, (batch,), device=device)
        work = Work(network(family, width, depth, inputs, 0).to(device), sgd, LOSS, x, y, 1000)
        plan = new_plan(work, REPLICAS, REPLICAS * max(options.steps))
        best = fastest({"bare": bare_loops(work), "ensemble": ensemble(work, plan), "naive": naive(work)}, options)
        chosen = f"{plan.chunk}, {'batched' if plan.batched else 'one after another'}"
        print(
            f"{width:>5} {best['bare']:>10.2f} ms {best['ensemble']:>10.2f} ms {best['naive']:>10.2f} ms "
            f"{best['bare'] / best['ensemble']:>8.2f}×  {chosen}{'' if plan.milliseconds else ' (not measured)'}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("jobs", "loops"))
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[300, 1000, 3000], help="of jobs, each in turn; loops plan for most"
    )
    parser.add_argument("--measure", action="store_true", help="jobs with the default callbacks, figures and loggers")
    parser.add_argument("--overrides", nargs="*", default=[], help="of the jobs, as for train.py")
    parser.add_argument("--widths", type=int, nargs="*", default=[16, 64, 128, 256, 400, 800], help="of FCNs")
    parser.add_argument("--channels", type=int, nargs="*", default=[], help="of CNNs")
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--inputs", type=int, default=784)
    parser.add_argument("--rounds", type=int, default=20, help="at most")
    parser.add_argument("--seconds", type=float, default=10, help="for the rounds of a row, at most")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the loops")
    parser.add_argument("--tf32", action="store_true", help="trainer.tf32 of the loops")
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if options.only != "loops":
        for steps in options.steps:
            jobs(steps, options.measure, options.overrides)
    if options.only != "jobs":
        for family, widths in (("fcn", options.widths), ("cnn", options.channels)):
            if widths:
                with training_arithmetic(options.tf32):
                    loops(family, widths, options)


if __name__ == "__main__":
    main()
