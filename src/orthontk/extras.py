"""Launchers that come with an optional extra: without it, one line that says what to install."""

from collections.abc import Sequence
from importlib.util import find_spec

from orthontk.checks import InvalidValue

# The beginnings of launchers' names, the extra that has them, and what must be importable.
LAUNCHERS = {
    "ray": ("ray", ("ray", "hydra_plugins.hydra_ray_launcher")),
    "slurm": ("slurm", ("submitit", "hydra_plugins.hydra_submitit_launcher")),
    "submitit": ("slurm", ("submitit", "hydra_plugins.hydra_submitit_launcher")),
}


def require_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher whose extra is not installed, before Hydra fails to find its settings.

    Raises:
        InvalidValue: naming what to install.
    """
    for argument in arguments:
        key, _, name = argument.lstrip("+").partition("=")
        for beginning, (extra, modules) in LAUNCHERS.items():
            if key == "hydra/launcher" and name.startswith(beginning) and not all(map(find_spec, modules)):
                raise InvalidValue(key, name, f"pip install 'orthontk[{extra}]' first")
