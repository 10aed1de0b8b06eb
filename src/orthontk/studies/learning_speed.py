"""Claim 4: orthogonal networks learn faster outside the lazy regime, the more so at larger rates and depths; Fig. 4."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from orthontk.checks import number
from orthontk.counted import counted
from orthontk.csv_rows import last_values
from orthontk.figures.panels import Axis, Line, Panel, PanelFigure, Series, axis_of_settings
from orthontk.report.claims import ALL_CLAIMS, Claim, difference, not_judged, of_each_panel
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, difference_of
from orthontk.splits import TAU_SPLITS
from orthontk.studies import speed_ratios as ratios
from orthontk.studies.curves import INTERVALS, colours_of, mean_curve
from orthontk.studies.initializations import BASELINE, others
from orthontk.studies.study import Study, by

LARGEST_STABLE = "lr/largest_stable"
RATE, SHARE = "η", "η/η_max"  # what a run's learning rate was given as
# Mean τ (train set) until 25 % of a batch of 1000 of the authors' FCN with L = 50, n = 400, on CIFAR-10: Gaussian,
# orthogonal.
AUTHORS = {0.1: (224.9, 34.8), 0.0316: (41.3, 18.0), 0.01: (30.8, 17.1), 0.001: (129.2, 105.6)}


class LearningSpeed(Study):
    """τ, the updates until an accuracy (25 % on CIFAR-10), of one initialization against Gaussian weights.

    Equal η confounds speed with the stable range, so the ratio of τ is also taken at equal η/η_max, where runs with the
    callback `largest_stable_rate` say what η_max is, and between the best η of each initialization. Runs made at a
    share of η_max (`optimizer.lr_fraction`) are panels of their own, compared at equal shares. Runs that never reach
    the accuracy are counted; a learning rate at which more than `most_censored` of the runs of either initialization
    never do is left out of ratios, and so are those runs at others.

    Args:
        ratio_above: the factor by which Gaussian τ has to exceed the other's for a speed-up.
        most_censored: a share.
    """

    PANEL = ("family", "activation", "depth", "width", "normalize", "unit")
    AXES = ("init", "data.normalize", "optimizer.lr", "optimizer.lr_fraction")
    NEEDS = "τ (callbacks=tau) of Gaussian weights and another initialization, of the same seeds and learning rate"

    def __init__(self, ratio_above: float, most_censored: float) -> None:
        self.ratio_above = number("ratio_above", ratio_above, above=0)
        self.most_censored = number("most_censored", most_censored, minimum=0, below=1)

    @staticmethod
    def describe(name: str, value: object) -> str:
        words = {"normalize": {"none": "", "qstar": "inputs at q*"}, "unit": {RATE: "", SHARE: "at shares of η_max"}}
        return words.get(name, {}).get(str(value), Study.describe(name, value))

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each run and split: τ, NaN if it is censored; η as a share of η_max, where that was measured.

        `learning_rate` is in the row's `unit`: η, or η/η_max of a run whose η was found for each seed.
        """
        table = pd.DataFrame([row for run in runs for row in _taus(run)])
        if table.empty:
            return table
        table["fraction"] = table.learning_rate / _stable_rates(table, self.panel_columns(table))
        return table

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        found = of_each_panel(self.panels(table), self._judge, self.NEEDS)
        return found + [claim for split, own in by(table, "split") for claim in self._with_depth(own, split)]

    def _judge(self, where: str, part: pd.DataFrame) -> list[Claim]:
        pairs = [
            (f"{where} {init}, {split} τ", own[own.init.isin((init, BASELINE))])
            for split, own in by(part, "split")
            for init in others(own)
        ]
        needs = f"a learning rate at which at most {self.most_censored:.0%} of the runs of each are censored"
        judged = of_each_panel(pairs, self._faster, needs)
        return judged or [not_judged(ALL_CLAIMS, at, needs) for at, pair in pairs if _are_comparable(pair)]

    def _faster(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        (init,) = others(part)
        faster = f"{init} networks learn faster than Gaussian ones"
        reason, threshold = f"a factor of {self.ratio_above:g}", np.log(self.ratio_above)
        unit, usable = part.unit.iloc[0], ratios.usable_rates(part, self.most_censored)
        same = ratios.log_ratios(usable, init)  # seeds × learning rates
        note = _note(part, usable, len(same))
        if same.size:
            statistic = f"log(τ Gaussian/other) at equal {unit}, mean over {unit}"
            own = bootstrap(np.mean, np.nanmean(same, axis=1))
            yield difference(faster, where, statistic, own, threshold, reason=reason, note=note)
        shares = ratios.log_ratios_at_shares(usable, init)
        if len(shares):
            statistic, own = "log(τ Gaussian/other) at equal η/η_max, mean", bootstrap(np.mean, shares)
            of_shares = _note(part, usable, len(shares), "η_max of both networks")
            yield difference(faster, where, statistic, own, threshold, reason=reason, note=of_shares)
        each = pd.concat([ratios.usable_rates(own, self.most_censored) for _, own in by(part, "init")])
        best = ratios.best_rates(each, init)
        if best is not None:
            statistic = f"log(mean τ Gaussian/mean τ other), each at its best {unit}"
            of_best = _note(part, each, best.seeds)
            of_best += "; the least of noisy means favours the initialization whose τ varies more"
            yield difference(faster, where, statistic, best, threshold, reason=reason, note=of_best)
        slopes = ratios.slopes(same, np.sort(usable.learning_rate.unique())) if same.size else ()
        if len(slopes):
            statistic, own = f"slope of log(τ Gaussian/other) in log {unit}", bootstrap(np.mean, slopes)
            yield difference("the more so, the larger the learning rate", where, statistic, own, 0.0, note=note)

    def _with_depth(self, table: pd.DataFrame, split: str) -> Iterator[Claim]:
        """Between the shallowest and the deepest network of a width, over the learning rates that both have."""
        for where, part in self.panels(table, "depth"):
            if part.depth.nunique() < 2:
                continue
            for init in others(part):
                two = part[part.init.isin((init, BASELINE))]
                shallow, deep = (two[two.depth == depth] for depth in (part.depth.min(), part.depth.max()))
                shallow, deep = (ratios.usable_rates(own, self.most_censored) for own in (shallow, deep))
                common = sorted(set(shallow.learning_rate) & set(deep.learning_rate))
                pair = [ratios.log_ratios(own[own.learning_rate.isin(common)], init) for own in (deep, shallow)]
                if all(found.size for found in pair):
                    yield difference(
                        "the more so, the deeper",
                        f"{where} {init}, {split} τ",
                        f"log ratio at equal {part.unit.iloc[0]}, L={part.depth.max()} − L={part.depth.min()}",
                        bootstrap(difference_of(np.mean), *(np.nanmean(found, axis=1) for found in pair)),
                        0.0,
                    )

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        stable, colours = bool(table.fraction.notna().any()), colours_of(table)
        panels = [
            panel for where, part in self.panels(table) for panel in self._panels_of(where, part, stable, colours)
        ]
        return PanelFigure(panels, columns=2 + stable, intervals=INTERVALS)

    def _panels_of(self, where: str, part: pd.DataFrame, stable: bool, colours: dict[str, str]) -> Iterator[Panel]:
        """τ at equal η, at equal η/η_max if there is a `stable` rate, and how many runs have none."""
        at_rate, at_share, shares = [], [], []
        for (init, split), own in part.groupby(["init", "split"]):
            look: tuple[str, str, Line] = (colours[init], f"{init}, {split}", "-" if split == "train" else "--")
            at_rate.append(mean_curve(own, "learning_rate", "tau", *look))
            if own.fraction.notna().any():
                at_share.append(mean_curve(own.assign(fraction=_mean_fraction(own)), "fraction", "tau", *look))
            censored = own.groupby("learning_rate").censored.mean()
            shares.append(Series(look[1], censored.index.tolist(), censored.tolist(), look[0], look[2], marker="o"))
        rate = axis_of_settings(f"learning rate {part.unit.iloc[0]}", part.learning_rate)
        tau = Axis(f"τ (updates to {part.threshold.iloc[0]:.0%})", "log")
        yield Panel(where, rate, tau, at_rate)
        if stable:
            yield Panel(where, Axis("η/η_max", "log"), tau, at_share)
        yield Panel(where, rate, Axis("share censored", ends=(-0.05, 1.05)), shares)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        same = table[(table.family == "FCN") & (table.depth == 50) & (table.width == 400) & (table.split == "train")]
        same = same[(same.data == "cifar10") & (same.normalize == "none") & (same.unit == RATE)]
        same = same[(same.threshold == 0.25) & (same.batch_size == 1000)]
        rows = []
        for (where, part), (rate, published) in product(self.parts(same), AUTHORS.items()):
            for init, value in zip(("gaussian", "orthogonal"), published, strict=True):
                own = part[np.isclose(part.learning_rate, rate, rtol=0.01) & (part.init == init)]
                if own.tau.notna().any():
                    censored = f", {int(own.censored.sum())} censored" * bool(own.censored.any())
                    name = f"mean τ (train), L=50 n=400, η={rate:g}, {init} {where}".rstrip() + censored
                    rows.append({"quantity": name, "authors": value, **bootstrap(np.mean, own.tau.dropna())._asdict()})
        return rows


def _taus(run: Run) -> Iterator[dict[str, Any]]:
    """What is known at the end of a training."""
    last = last_values(run.rows)
    settings = run.settings() | {"normalize": run.get("data.normalize")}
    settings |= {"threshold": run.get("callbacks.tau.threshold"), "batch_size": run.get("data.batch_size")}
    if (share := run.get("optimizer.lr_fraction")) is None:
        stable = last.get(LARGEST_STABLE, np.nan)
        settings |= {"learning_rate": run.get("optimizer.lr"), "unit": RATE, "stable": stable}
    else:
        settings |= {"learning_rate": share, "unit": SHARE, "stable": np.nan}
    for split in TAU_SPLITS:
        if f"{split}/censored" in last:
            tau, censored = last.get(f"{split}/tau", np.nan), bool(last[f"{split}/censored"])
            yield settings | {"split": split, "tau": tau, "censored": censored}


def _are_comparable(pair: pd.DataFrame) -> bool:
    """Whether any seed was trained from both initializations at one learning rate, if only to be censored."""
    return pair.groupby(["seed", "learning_rate"]).init.nunique().max() > 1


def _note(part: pd.DataFrame, compared: pd.DataFrame, seeds: int, lacking: str = "a run at every learning rate") -> str:
    """How many runs are censored, what of them is compared, and how many of its seeds are not."""
    counts = part.groupby("init").censored.sum().astype(int)
    notes = ["censored: " + ", ".join(f"{count} {init}" for init, count in counts.items())]
    if count := int(compared.censored.sum()):
        notes.append(f"{count} of the {len(compared)} τ compared, which are in no ratio")
    if count := int((compared.tau == 0).sum()):
        notes.append(f"{count} τ of 0, which count as 1")
    if left_out := part.seed.nunique() - seeds:
        notes.append(f"{counted(left_out, 'seed')} left out, without {lacking}")
    return "; ".join(notes)


def _stable_rates(table: pd.DataFrame, panel: Sequence[str]) -> pd.Series:
    """η_max of each row's network, though it was measured at one learning rate alone; NaN where at none."""
    return table.groupby([*panel, "init", "seed"], dropna=False).stable.transform("first")


def _mean_fraction(table: pd.DataFrame) -> pd.Series:
    """η/η_max of each learning rate, the geometric mean over seeds, for the figure."""
    return np.exp(np.log(table.fraction).groupby(table.learning_rate).transform("mean"))
