"""The infinite-width NTK and NNGP of a relu CNN beside neural-tangents 0.6.5, turn by turn in one run.

    sh benchmarks/ntk_peers.sh FOLDER && python benchmarks/infinite_cnn.py FOLDER

The peer runs in its own virtual environment. Its times exclude compilation; both use two threads. `pool` sums over all
pairs of positions, so it takes 8 images, not the 64 of `flatten`: work grows with their square, and the peer would take
over an hour. --all times our side alone for 64.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

from orthontk.kernels import InfiniteKernels, infinite_kernels
from orthontk.networks import CNN

SETTINGS = [  # readout, images, side, depth, precision of the peer
    ("flatten", 64, 32, 6, 32),
    ("flatten", 64, 32, 6, 64),
    ("pool", 8, 32, 6, 32),
]
MEMORY_LIMIT = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", type=Path, help="the folder that ntk_peers.sh made")
    parser.add_argument("--repeats", type=int, default=7, help="of flatten; pool takes two")
    parser.add_argument("--all", action="store_true", help="also pool for 64 images, our side alone: minutes")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for readout, images, side, depth, precision in SETTINGS:
        net, x = setting(readout, images, side, depth)
        peer = Peer(options.peers / "neural-tangents", precision, readout, depth, x)
        ours, theirs = [], []
        for _ in range(options.repeats if readout == "flatten" else 2):
            seconds, kernels = timed(net, x)
            ours.append(seconds)
            theirs.append(peer.seconds())
        difference = abs(np.asarray(peer.close()) / np.stack([k[0].numpy() for k in kernels]) - 1).max()
        print(
            f"{readout} N={images} {side}x{side} L={depth}: ours (float64) {min(ours):.2f} s, neural-tangents "
            f"(float{precision}) {min(theirs):.2f} s, ratio {min(theirs) / min(ours):.2f}, first row differs by "
            f"{difference:.1e}",
            flush=True,
        )
    if options.all:
        print(f"pool N=64 32x32 L=6: ours {timed(*setting('pool', 64, 32, 6))[0]:.0f} s")


def setting(readout: str, images: int, side: int, depth: int) -> tuple[CNN, torch.Tensor]:
    x = torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return CNN(3, side, 1, 1, depth, readout=readout, activation="relu", weight_var=2.0, bias_var=0.01), x


def timed(net: CNN, x: torch.Tensor) -> tuple[float, InfiniteKernels]:
    start = time.perf_counter()
    kernels = infinite_kernels(net, x, memory_limit=MEMORY_LIMIT)
    return time.perf_counter() - start, kernels


class Peer:
    """A process that evaluates neural-tangents once for every line it is sent."""

    def __init__(self, venv: Path, precision: int, readout: str, depth: int, x: torch.Tensor) -> None:
        environment = {**os.environ, "JAX_ENABLE_X64": str(int(precision == 64)), "JAX_PLATFORMS": "cpu"}
        script = Path(__file__).with_name("infinite_cnn_peer.py")
        command = [venv / "bin/python", script, readout, str(depth), str(len(x)), str(x.shape[-1])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self.process.stdin.write(x.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
        self._read()  # compiled

    def seconds(self) -> float:
        self.process.stdin.write(b"\n")
        return self._read()["seconds"]

    def close(self) -> list[list[float]]:
        self.process.stdin.write(b"q")
        return self._read()["first_rows"]

    def _read(self) -> dict:
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


if __name__ == "__main__":
    main()
