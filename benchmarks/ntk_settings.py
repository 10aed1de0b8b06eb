"""The settings of the speed table, as plain data: each library builds them in its own terms.

All use tanh, σ_w² = 1.5, σ_b² = 0.1, the NTK parameterization, ten outputs and standard normal inputs. `hidden` are
channels (CNN, ResNet) or units (FCN) of the hidden layers; convolutions are 3×3 with circular padding.
A ResNet is a convolution followed by blocks h + conv(φ(conv(φ(h)))), then φ, an average over positions and a readout.
The vision transformer, of torch's own layers, has patches of 4×4 and a class token; only the recipe is its peer.
"""

OUTPUTS = 10
WEIGHT_VAR, BIAS_VAR = 1.5, 0.1


def setting(
    name: str, kind: str, shape: list[int], hidden: list[int], n1: int, n2: int | None = None, **readout: str
) -> dict:
    return {"name": name, "kind": kind, "input": shape, "hidden": hidden, **readout, "n1": n1, "n2": n2}


SETTINGS = [
    setting("FCN L=5 n=400, N=64", "fcn", [784], [400] * 4, 64),
    setting("FCN L=5 n=800, N=128", "fcn", [784], [800] * 4, 128),
    setting("CNN 3×64, 16×16, N=24, flatten", "cnn", [16, 16, 3], [64] * 3, 24, readout="flatten"),
    setting("CNN 3×32, 28×28, N=16, flatten", "cnn", [28, 28, 1], [32] * 3, 16, readout="flatten"),
    setting("FCN L=5 n=400, N₁=64, N₂=48", "fcn", [784], [400] * 4, 64, 48),
    setting("CNN 3×64, 16×16, N=24, pool", "cnn", [16, 16, 3], [64] * 3, 24, readout="pool"),
    setting("FCN L=50 n=400, N=64", "fcn", [784], [400] * 49, 64),
    setting("ResNet 3 blocks × 32, 16×16, N=16", "resnet", [16, 16, 3], [32] * 7, 16, readout="pool"),
    setting("ViT 3 blocks × 64, 32×32, N=16", "vit", [32, 32, 3], [64] * 3, 16),
]
