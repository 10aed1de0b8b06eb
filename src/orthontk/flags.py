"""Hydra's flags on a command line, apart from its settings."""

from collections.abc import Sequence
from itertools import pairwise

TAKE_A_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p")


def flags_and_settings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and the others, each in their order.

    >>> flags_and_settings(["seed=0,1", "--config-dir", "mine", "-m"])
    (['--config-dir', 'mine', '-m'], ['seed=0,1'])
    """
    flags, settings = [], []
    for before, argument in pairwise(["", *arguments]):
        is_flag = argument.startswith("-") or before in TAKE_A_VALUE
        (flags if is_flag else settings).append(argument)
    return flags, settings
