"""Where metrics are written. Each takes the run directory and the step that a resumed run starts from."""

from orthontk.csv_rows import read_metrics
from orthontk.loggers.metrics_csv import MetricsCSV
from orthontk.loggers.tensorboard import tensorboard_logger
from orthontk.loggers.wandb_run import WandbRun

__all__ = ["MetricsCSV", "WandbRun", "read_metrics", "tensorboard_logger"]
