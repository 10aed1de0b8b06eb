"""What a study is: a table of measurements, claims about it, and a figure."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from orthontk.checks import InvalidValue
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.panels import PanelFigure
from orthontk.report.claims import Claim
from orthontk.report.gather import Run


class Study(ABC):
    """Judges the runs of a preset whose `study._target_` names it; subclass it for a question of your own.

    A subclass gives `table`, `claims`, and of its figure either the data (`figure`) or a drawing (`draw`).

    The other keys under `study` are the constructor's arguments: the margins and thresholds that a preset fixes.
    """

    # Columns that tell one set of networks, judged by itself, from another.
    PANEL: ClassVar[tuple[str, ...]] = ("family", "activation")

    @abstractmethod
    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """Tidy measurements: a row for each, with the settings it was made at."""

    @abstractmethod
    def claims(self, table: pd.DataFrame) -> list[Claim]:
        """What follows from the table."""

    def figure(self, table: pd.DataFrame) -> PanelFigure | None:
        """The study's figure as data, interactive in the report's page; None if it draws only."""
        return None

    def draw(self, table: pd.DataFrame, path: Path, title: str) -> None:
        """Write the study's figure as an image; by default that of `figure`.

        Raises:
            InvalidValue: the study has neither.
        """
        content = self.figure(table)
        if content is None:
            raise InvalidValue("study._target_", type(self).__name__, "a study with a method figure or draw")
        draw_panels(content, path, title)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Published figures beside this table's, where there are any."""
        return []

    def panel_columns(self, table: pd.DataFrame) -> list[str]:
        """`PANEL`, and the data where there are several: data sets are never judged as one."""
        several = "data" in table and table["data"].nunique() > 1
        return [*self.PANEL, *(["data"] if several and "data" not in self.PANEL else [])]

    def panels(self, table: pd.DataFrame, across: str | None = None) -> Iterator[tuple[str, pd.DataFrame]]:
        """The table in parts that are judged by themselves, with what they are.

        Args:
            across: a column of `PANEL` that is not told apart, for a claim about how it matters.
        """
        names = [name for name in self.panel_columns(table) if name != across]
        for values, part in table.groupby(names, sort=True):
            yield " ".join(self.describe(name, value) for name, value in zip(names, values, strict=True)), part

    @staticmethod
    def describe(name: str, value: Any) -> str:
        letter = {"depth": "L=", "width": "n="}.get(name, "")
        return f"{letter}{value}"


def by(table: pd.DataFrame, column: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The parts of a table, by the values of a column."""
    yield from table.groupby(column, sort=True)
