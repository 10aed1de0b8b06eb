"""Figures of a run, drawn from the files in its directory."""

from orthontk.figures.run import draw_run

__all__ = ["draw_run"]
