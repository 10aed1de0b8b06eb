"""The settings of the speed table, as plain data: each library builds them in its own terms.

All use tanh, σ_w² = 1.5, σ_b² = 0.1, the NTK parameterization, ten outputs and standard normal inputs. `hidden` are
channels (CNN, ResNet) or units (FCN) of the hidden layers; convolutions are 3×3 with circular padding.
A ResNet is a convolution followed by blocks h + conv(φ(conv(φ(h)))), then φ, an average over positions and a readout.
The vision transformer, of torch's own layers, has patches of 4×4 and a class token; only the recipe is its peer.
"""

OUTPUTS = 10
WEIGHT_VAR, BIAS_VAR = 1.5, 0.1

SETTINGS = [
    {"name": "FCN L=5 n=400, N=64", "kind": "fcn", "input": [784], "hidden": [400] * 4, "n1": 64, "n2": None},
    {"name": "FCN L=5 n=800, N=128", "kind": "fcn", "input": [784], "hidden": [800] * 4, "n1": 128, "n2": None},
    {
        "name": "CNN 3×64, 16×16, N=24, flatten",
        "kind": "cnn",
        "input": [16, 16, 3],
        "hidden": [64] * 3,
        "readout": "flatten",
        "n1": 24,
        "n2": None,
    },
    {
        "name": "CNN 3×32, 28×28, N=16, flatten",
        "kind": "cnn",
        "input": [28, 28, 1],
        "hidden": [32] * 3,
        "readout": "flatten",
        "n1": 16,
        "n2": None,
    },
    {"name": "FCN L=5 n=400, N₁=64, N₂=48", "kind": "fcn", "input": [784], "hidden": [400] * 4, "n1": 64, "n2": 48},
    {
        "name": "CNN 3×64, 16×16, N=24, pool",
        "kind": "cnn",
        "input": [16, 16, 3],
        "hidden": [64] * 3,
        "readout": "pool",
        "n1": 24,
        "n2": None,
    },
    {"name": "FCN L=50 n=400, N=64", "kind": "fcn", "input": [784], "hidden": [400] * 49, "n1": 64, "n2": None},
    {
        "name": "ResNet 3 blocks × 32, 16×16, N=16",
        "kind": "resnet",
        "input": [16, 16, 3],
        "hidden": [32] * 7,
        "readout": "pool",
        "n1": 16,
        "n2": None,
    },
    {
        "name": "ViT 3 blocks × 64, 32×32, N=16",
        "kind": "vit",
        "input": [32, 32, 3],
        "hidden": [64] * 3,
        "n1": 16,
        "n2": None,
    },
]
