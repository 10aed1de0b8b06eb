"""TensorBoard, without the steps that a killed run had logged after its last checkpoint."""

from pathlib import Path

from orthontk.checks import InvalidValue


def tensorboard_logger(run_directory: str | Path, first_step: int = 0):
    """Lightning's TensorBoardLogger, writing to `tensorboard/` in the run directory.

    Raises:
        InvalidValue: TensorBoard is not installed.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(run_directory, name="tensorboard", version="", purge_step=first_step or None)
    except ModuleNotFoundError as error:
        raise InvalidValue("logger", "tensorboard", "pip install 'orthontk[tensorboard]' first") from error
