"""Speed of the exact `full` NTK against PyTorch's recipe, nngeometry and neural-tangents, in float32.

    sh benchmarks/ntk_peers.sh FOLDER            # once: environments for the two libraries
    python benchmarks/ntk_speed.py --peers FOLDER
    python benchmarks/ntk_speed.py --device cuda # against the recipe alone

All sides run in turns within one run, round after round, and every side's best call counts: other work on the machine
then disturbs all of them alike. A round has three calls of each side, and one of a library that needs over a second;
the recipe, which needs seconds where it is slow, has two calls in the first round. neural-tangents compiles beforehand.
nngeometry has no circular padding and no NTK parameterization: its networks pad with zeros, and it reads its inputs
from a DataLoader.

The last columns are our trace kernel, our arithmetic (by `explain_ntk`) as a share of the matrix rate measured in the
same run, and how many times faster than neural-tangents that arithmetic would be at all of that rate. It is that of a
product of 2048 × 2048 matrices by PyTorch, 8192 × 8192 on a GPU; on a CPU smaller products can be a tenth faster.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ntk_networks import build
from ntk_recipe import recipe_bytes, recipe_ntk
from ntk_settings import OUTPUTS, SETTINGS

from orthontk.kernels import empirical_ntk, explain_ntk

FOLDER = Path(__file__).parent
RECIPE_LIMIT = {"cpu": 6 * 2**30, "cuda": 24 * 2**30}  # bytes of Jacobians (it copies them) that the recipe fits with


class Peer:
    """Another library in its own interpreter, which times itself when asked."""

    def __init__(self, python: Path, script: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(FOLDER), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [python, FOLDER / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def time(self, setting: dict, repeats: int) -> dict[str, float]:
        """Best seconds of each of the library's implementations; empty where it has none for this setting."""
        self.process.stdin.write(json.dumps({"setting": setting, "repeats": repeats}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def best_of(repeats: int, call: Callable[[], object]) -> float:
    times = []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


def wait() -> None:
    """For what the GPU has still to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matrix_rate(device: str) -> float:
    """FLOP/s of a float32 product, best of three."""
    size = 2048 if device == "cpu" else 8192
    a, b, out = (torch.randn(size, size, device=device) for _ in range(3))
    return 2 * size**3 / best_of(3, lambda: torch.mm(a, b, out=out))


def measure(setting: dict, peers: dict[str, Peer], rounds: int, device: str) -> dict[str, float]:
    """Best seconds of each side, the matrix rate, and our FLOPs."""
    net, x1, x2 = build(setting, device)
    best: dict[str, float] = {}

    def note(name: str, seconds: float) -> None:
        best[name] = min(seconds, best.get(name, seconds))

    rate = 0.0
    for round_number in range(rounds):
        rate = max(rate, matrix_rate(device))
        note("orthontk", best_of(3, lambda: empirical_ntk(net, x1, x2)))
        note("trace", best_of(3, lambda: empirical_ntk(net, x1, x2, outputs="trace")))
        for name, peer in peers.items() if setting["kind"] != "vit" else ():
            if times := peer.time(setting, 3 if best.get(name, 1) < 1 else 1):
                note(name, min(times.values()))
        if round_number == 0 and recipe_bytes(net, setting["n1"], setting["n2"], OUTPUTS) < RECIPE_LIMIT[device]:
            note("recipe", best_of(2, lambda: recipe_ntk(net, x1, x2)))
    best["flops"] = explain_ntk(net, x1, x2).cost.flops
    best["rate"] = rate
    return best


def milliseconds(best: dict[str, float], name: str) -> str:
    return f"{1e3 * best[name]:,.1f}" if name in best else "—"


def ratio(best: dict[str, float], name: str) -> str:
    return f"{best[name] / best['orthontk']:.2f}" if name in best else "—"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder of ntk_peers.sh; without it, only the recipe is compared")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="*", default=range(1, len(SETTINGS) + 1), help="rows, from 1")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    if arguments.peers and arguments.device != "cpu":
        parser.error("--peers runs on the CPU only")
    peers = {}
    if arguments.peers:
        peers["nngeometry"] = Peer(arguments.peers / "nngeometry/bin/python", "ntk_peer_nngeometry.py")
        peers["neural-tangents"] = Peer(arguments.peers / "neural-tangents/bin/python", "ntk_peer_neural_tangents.py")
    on_gpu = arguments.device == "cuda"
    where = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}; milliseconds, best of {arguments.rounds} rounds")
    print(
        "| setting | recipe | nngeometry | neural-tangents | orthontk | ×recipe | ×nngeometry | ×neural-tangents "
        "| trace | full/trace | GFLOP | matrix rate | share | ×neural-tangents at 100% |"
    )
    print("|---" * 14 + "|")
    for row in arguments.rows:
        setting = SETTINGS[row - 1]
        best = measure(setting, peers, arguments.rounds, arguments.device)
        sides = [milliseconds(best, name) for name in ("recipe", "nngeometry", "neural-tangents", "orthontk")]
        ratios = [ratio(best, name) for name in ("recipe", "nngeometry", "neural-tangents")]
        trace = [milliseconds(best, "trace"), f"{best['orthontk'] / best['trace']:.2f}"]
        share = best["flops"] / best["orthontk"] / best["rate"]
        rates = [f"{best['flops'] / 1e9:.2f}", f"{best['rate'] / 1e9:.0f} GFLOP/s", f"{share:.0%}"]
        at_full_rate = "—"
        if "neural-tangents" in best:
            at_full_rate = f"{best['neural-tangents'] / best['orthontk'] / share:.2f}"
        print("| " + " | ".join([setting["name"], *sides, *ratios, *trace, *rates, at_full_rate]) + " |", flush=True)


if __name__ == "__main__":
    main()
