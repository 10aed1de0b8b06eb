"""What a study is: a table of measurements, claims about it, and a figure."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from orthontk.checks import InvalidValue
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.panels import PanelFigure
from orthontk.report.apart import OWN
from orthontk.report.claims import Claim
from orthontk.report.gather import Run
from orthontk.run.same_settings import DECIDES
from orthontk.runs.collect import CHOICES
from orthontk.runs.select import last_word

# One value for each width, and for each another, is a way to scale networks: η ∝ 1/n, inputs of n features.
WITH_WIDTH = ("optimizer.lr", "data.shape")
# Columns of every table, without a dot in their names, that may differ between networks.
OF_NETWORKS = ("init", "depth", "width")


class Study(ABC):
    """Judges the runs of a preset whose `study._target_` names it; subclass it for a question of your own.

    A subclass gives `table`, `claims`, and of its figure either the data (`figure`) or a drawing (`draw`).

    The other keys under `study` are the constructor's arguments: the margins and thresholds that a preset fixes. It
    refuses with InvalidValue (`orthontk.checks`) those that no claim can be held to, before anything is computed.
    """

    # Columns that tell one set of networks, judged by itself, from another.
    PANEL: ClassVar[tuple[str, ...]] = ("family", "activation")
    # What the study compares itself: "init", "depth", "width", and settings by the dotted key, of which the table has
    # columns of its own. What is neither here nor in `PANEL` is told apart where it differs.
    AXES: ClassVar[tuple[str, ...]] = ()
    # What there has to be for any claim to be judged, which a report says where there is none.
    NEEDS: ClassVar[str] = "other runs"

    @abstractmethod
    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """Tidy measurements: a row for each, with the settings it was made at.

        Args:
            runs: finished ones; each replica of an ensemble is one, with its own settings and rows.
        """

    def table_with_axes(self, runs: Sequence[Run]) -> pd.DataFrame:
        """The `table` of runs, if it has a column for each of `AXES`.

        Raises:
            InvalidValue: it has none for one that is no setting by its dotted key.
        """
        table = self.table(runs)
        for axis in self.AXES:
            if "." not in axis and axis not in table and not table.empty:
                raise InvalidValue("AXES", axis, f"a dotted key or one of the table's columns {', '.join(table)}")
        return table

    @abstractmethod
    def claims(self, table: pd.DataFrame) -> list[Claim]:
        """What follows from the table."""

    def needs(self, table: pd.DataFrame) -> str:
        """`NEEDS`, and what tells the runs of the table apart, for want of which they may not be compared."""
        columns = self._and_differing(table, [name for name in self.PANEL if name in table])
        apart = [name for name in columns if table[name].nunique(dropna=False) > 1]
        names = ", ".join(name.removesuffix("._target_") for name in apart)
        return self.NEEDS + (f"; the runs are told apart by {names}" if names else "")

    def figure(self, table: pd.DataFrame) -> PanelFigure | None:
        """The study's figure as data, interactive in the report's page; None if it draws only."""
        return None

    def draw(self, table: pd.DataFrame, path: Path, title: str) -> None:
        """Write the study's figure as an image; by default that of `figure`, if it has panels.

        Raises:
            InvalidValue: the study has neither.
        """
        content = self.figure(table)
        if content is None:
            raise InvalidValue("study._target_", type(self).__name__, "a study with a method figure or draw")
        if content.panels:
            draw_panels(content, path, title)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Published figures beside this table's, where there are any."""
        return []

    def panel_columns(self, table: pd.DataFrame) -> list[str]:
        """`PANEL`, and whatever else tells networks apart: nothing but seeds counts as seeds."""
        return self._and_differing(table, self.PANEL)

    def _and_differing(self, table: pd.DataFrame, names: Sequence[str], axes: Sequence[str] = ()) -> list[str]:
        """`names`, the data where there are several, and settings that differ where all of these are the same."""
        left_out = {*names, *self.AXES, *axes}
        several = "data" in table and "data" not in names and table["data"].nunique(dropna=False) > 1
        known = [*names, *(["data"] if several else [])]
        found = list(known)
        for name in table:
            is_setting = "." in name or name in OF_NETWORKS
            if is_setting and name not in left_out and not _follows(table, name, found):
                found.append(name)
        return found + [key for key in table if key not in left_out and _is_telling(table, key, found, known)]

    def panels(self, table: pd.DataFrame, *across: str) -> Iterator[tuple[str, pd.DataFrame]]:
        """The table in parts that are judged by themselves, with what they are.

        Args:
            across: columns of `PANEL` that are not told apart, for a claim about how they matter.
        """
        yield from self._parts(table, [name for name in self.PANEL if name not in across], across)

    def parts(self, table: pd.DataFrame, *names: str) -> Iterator[tuple[str, pd.DataFrame]]:
        """As `panels`, by these columns instead of `PANEL`."""
        yield from self._parts(table, names)

    def _parts(
        self, table: pd.DataFrame, names: Sequence[str], axes: Sequence[str] = ()
    ) -> Iterator[tuple[str, pd.DataFrame]]:
        columns = self._and_differing(table, names, axes)
        groups = table.groupby(columns, sort=True, dropna=False) if columns else [((), table)]
        for values, part in groups:
            described = (
                self._described(name, value)
                for name, value in zip(columns, values, strict=True)
                # Of a group whose choice is named, what that choice does not have says nothing.
                if value != "none" or f"{name.rpartition('.')[0]}._target_" not in columns
            )
            yield " ".join(filter(None, described)), part

    def _described(self, name: str, value: Any) -> str:
        if pd.isna(value):  # networks without that setting
            return ""
        if "." not in name:
            return self.describe(name, value)
        key = name.removesuffix("._target_")
        if key != name:
            value = value.rpartition(".")[2]
            value = CHOICES.get(value, value)
        return f"{last_word(key)}={value}"

    @staticmethod
    def describe(name: str, value: Any) -> str:
        letter = {"depth": "L=", "width": "n="}.get(name, "")
        return f"{letter}{value}"


def _is_telling(table: pd.DataFrame, name: str, found: Sequence[str], known: Sequence[str]) -> bool:
    """Whether a setting that goes with `found` is named all the same, as a difference may be due to it.

    What is decided by the columns `known` or by its group's choice says nothing more.
    """
    if "." not in name or name in found or name.startswith("callbacks.") or not _given(table, name, found):
        return False
    deciding = [f"{name.rpartition('.')[0]}._target_", *(key for key, decided in DECIDES.items() if name in decided)]
    return not _follows(table, name, [*known, *(key for key in deciding if key in table and key != name)])


def _follows(table: pd.DataFrame, name: str, others: Sequence[str]) -> bool:
    """Whether a setting is given by the columns `others`, or is one of those that go with an axis by design."""
    if name.startswith("init."):
        others = [*others, "init"]
    if name == "data.seed" and ((table[name] == table.seed.astype(str)) | (table[name] == OWN)).all():
        return True
    if name in WITH_WIDTH and _given(table, "width", [*others, name]):
        others = [*others, "width"]
    return _given(table, name, others)


def _given(table: pd.DataFrame, name: str, others: Sequence[str]) -> bool:
    known = list(dict.fromkeys(others))
    counts = table.groupby(known, dropna=False)[name].nunique() if known else [table[name].nunique()]
    return max(counts, default=0) <= 1


def by(table: pd.DataFrame, column: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The parts of a table, by the values of a column; rows that have none come last."""
    yield from table.groupby(column, sort=True, dropna=False)


def samples(table: pd.DataFrame, column: str) -> tuple[list[float], list[np.ndarray]]:
    """The widths, and for each the values of a column."""
    parts = [(width, part[column].to_numpy()) for width, part in by(table, "width")]
    return [float(width) for width, _ in parts], [values for _, values in parts]
