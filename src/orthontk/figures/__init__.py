"""Figures: declared as data, and drawn from the files in a run's directory."""
