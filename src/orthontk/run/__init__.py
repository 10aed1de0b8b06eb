"""One run: from a composed configuration to a finished run directory."""

from orthontk.run.execute import run

__all__ = ["run"]
