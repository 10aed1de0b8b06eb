"""The numerical core stands without configuration, training and tracking."""

import subprocess
import sys

CORE = ["orthontk.checks", "orthontk.networks", "orthontk.init", "orthontk.kernels"]
NOT_IN_CORE = ["hydra", "omegaconf", "lightning", "pytorch_lightning", "wandb", "torchmetrics"]


def test_the_core_imports_neither_hydra_nor_lightning_nor_wandb():
    program = (
        f"import sys\nimport {', '.join(CORE)}\n"
        f"print([name for name in {NOT_IN_CORE} if name in sys.modules], all(name in sys.modules for name in {CORE}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[] True"
