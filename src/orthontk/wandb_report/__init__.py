"""A study's report on W&B: its claim, its figures as panels over the runs there, its settings."""
