"""neural-tangents' empirical NTK, timed on request; runs in the environment that `ntk_peers.sh` makes for it.

Reads one JSON object a line, {"setting": …, "repeats": r}; answers {"implementation name": best seconds, …}. Each
implementation is compiled and timed; Jacobian contraction is left out where its Jacobians do not fit.
"""

import json
import sys
import time

import jax
import neural_tangents as nt
from neural_tangents import stax
from ntk_settings import BIAS_VAR, OUTPUTS, WEIGHT_VAR

# With vmap_axes, as the documentation advises. NTK-vector products, and any of them without vmap_axes, took at least
# five times as long as the better of these two (or over five seconds) in the first six settings, where all were timed.
IMPLEMENTATIONS = {
    "jacobian contraction": nt.NtkImplementation.JACOBIAN_CONTRACTION,
    "structured derivatives": nt.NtkImplementation.STRUCTURED_DERIVATIVES,
}
SCALES = {"W_std": WEIGHT_VAR**0.5, "b_std": BIAS_VAR**0.5, "parameterization": "ntk"}


def tanh():
    return stax.ElementwiseNumerical(jax.numpy.tanh, deg=5)


def conv(channels: int):
    return stax.Conv(channels, (3, 3), padding="CIRCULAR", **SCALES)


def network(setting: dict):
    if setting["kind"] == "fcn":
        layers = [layer for width in setting["hidden"] for layer in (stax.Dense(width, **SCALES), tanh())]
        return stax.serial(*layers, stax.Dense(OUTPUTS, **SCALES))
    readout = [stax.Flatten() if setting["readout"] == "flatten" else stax.GlobalAvgPool()]
    if setting["kind"] == "cnn":
        layers = [layer for width in setting["hidden"] for layer in (conv(width), tanh())]
    else:
        first, *rest = setting["hidden"]
        layers = [conv(first)]
        for width in rest[::2]:
            branch = stax.serial(tanh(), conv(width), tanh(), conv(width))
            layers.append(stax.serial(stax.FanOut(2), stax.parallel(branch, stax.Identity()), stax.FanInSum()))
        layers.append(tanh())
    return stax.serial(*layers, *readout, stax.Dense(OUTPUTS, **SCALES))


def prepare(setting: dict) -> dict:
    """Compiled kernel functions by name, each already run once."""
    init, apply, _ = network(setting)
    key1, key2, key3 = jax.random.split(jax.random.PRNGKey(0), 3)
    x1 = jax.random.normal(key1, (setting["n1"], *setting["input"]))
    x2 = None if setting["n2"] is None else jax.random.normal(key2, (setting["n2"], *setting["input"]))
    _, parameters = init(key3, x1.shape)
    ready = {}
    for name, implementation in IMPLEMENTATIONS.items():
        if implementation == nt.NtkImplementation.JACOBIAN_CONTRACTION and setting["n1"] > 100:
            continue  # N·O·P numbers and their copies do not fit
        kernel = jax.jit(nt.empirical_ntk_fn(apply, trace_axes=(), vmap_axes=0, implementation=implementation))
        ready[name] = lambda kernel=kernel: kernel(x1, x2, parameters).block_until_ready()
        ready[name]()  # compiles
    return ready


def main() -> None:
    prepared: dict[str, dict] = {}
    for line in sys.stdin:
        request = json.loads(line)
        setting = request["setting"]
        if setting["name"] not in prepared:
            prepared.clear()
            prepared[setting["name"]] = prepare(setting)
        answer = {}
        for name, call in prepared[setting["name"]].items():
            times = []
            for _ in range(request["repeats"]):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            answer[name] = min(times)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
