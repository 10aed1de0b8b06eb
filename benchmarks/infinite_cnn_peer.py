"""neural-tangents' side of benchmarks/infinite_cnn.py, run by its own virtual environment.

Reads the images, (N, H, W, 3) float64, from standard input; then one byte a request: a newline times one evaluation,
"q" prints the kernels' first rows and ends.
"""

import json
import sys
import time

import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from jax import jit
from neural_tangents import stax


def main() -> None:
    readout, depth, images, side = sys.argv[1], *map(int, sys.argv[2:])
    raw = sys.stdin.buffer.read(images * side * side * 3 * 8)
    x = jnp.asarray(np.frombuffer(raw).reshape(images, side, side, 3))
    layers = []
    for _ in range(depth - 1):
        layers += [stax.Conv(1, (3, 3), padding="CIRCULAR", W_std=2.0**0.5, b_std=0.1), stax.Relu()]
    last = stax.Flatten() if readout == "flatten" else stax.GlobalAvgPool()
    kernel_fn = stax.serial(*layers, last, stax.Dense(1, W_std=2.0**0.5, b_std=0.1))[2]
    compiled = jit(lambda x: kernel_fn(x, None, ("nngp", "ntk")))
    batch = 1 if readout == "pool" else 16  # what fits comfortably into memory
    batched = nt.batch(lambda x1, x2, *_: kernel_fn(x1, x2, ("nngp", "ntk")), batch_size=batch)

    def evaluate() -> tuple:
        kernels = compiled(x) if readout == "flatten" else batched(x, None)
        return kernels.nngp.block_until_ready(), kernels.ntk.block_until_ready()

    kernels = evaluate()
    print(json.dumps({"ready": True}), flush=True)
    while sys.stdin.buffer.read(1) == b"\n":
        start = time.perf_counter()
        kernels = evaluate()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    print(json.dumps({"first_rows": [np.asarray(k)[0].tolist() for k in kernels]}), flush=True)


if __name__ == "__main__":
    main()
