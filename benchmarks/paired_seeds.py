"""How many seeds does comparing Gaussian with orthogonal weights in pairs save?

    python benchmarks/paired_seeds.py                    # a few minutes on two cores
    python benchmarks/paired_seeds.py --seeds 100 model.depth=50 optimizer.lr=0.1

Measures log τ(gaussian) − log τ(orthogonal), with τ the updates until 25 % accuracy, for a deep tanh network on real
digits, from four ensembles: orthogonal weights taken from their Gaussian twins or drawn independently (`init.coupled`),
and minibatches that all seeds share or that differ from seed to seed (`ensemble.shared_batches`). Each is compared in
pairs of equal seed and, from the same numbers, unpaired. The interval's half-width goes with the square root of the
variance over the number of seeds, so the ratio of variances is that of the seeds needed for the same interval; its own
interval is a bootstrap over seeds. Seeds that share their minibatches tell nothing about what other minibatches would
change, so arms whose seeds have batches of their own measure something more.

Prints a table and writes it with a figure to --out. A pair of which one is censored is left out, and counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from orthontk.csv_rows import read_rows
from orthontk.figures.style import BLUE, ORANGE, new_figure, save

ROOT = Path(__file__).parent.parent
SETTINGS = (
    "model=fcn",
    "model.depth=20",
    "model.width=64",
    "optimizer.lr=0.3",
    "trainer.max_steps=400",
    "data.val_size=0",
    "callbacks=tau",
    "logger=csv",
    "figures=false",
    "trainer=cpu",
    "ensemble.inits=[gaussian,orthogonal]",
    "ensemble.stop=both",
)
ARMS = {
    "coupled, shared batches": (True, True),
    "coupled, batches by seed": (True, False),
    "independent, shared batches": (False, True),
    "independent, batches by seed": (False, False),
}


@dataclass(frozen=True)
class Comparison:
    """Mean difference of log τ with its 95 % interval's half-width, and the variance of one seed's contribution."""

    difference: float
    half_width: float
    variance: float


@dataclass(frozen=True)
class Row:
    """What one arm's seeds say about the τ of one split."""

    arm: str
    split: str
    pairs: int
    lost: int
    correlation: float
    needed: tuple[float, float, float]
    paired: Comparison
    unpaired: Comparison


def taus(seeds: int, coupled: bool, shared: bool, overrides: list[str]) -> dict[str, dict[str, dict[int, float]]]:
    """By split and initialization, the τ of each seed that has one."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = [f"init.coupled={str(coupled).lower()}", f"ensemble.shared_batches={str(shared).lower()}"]
        command = [sys.executable, "train.py", *SETTINGS, f"ensemble.seeds={seeds}", *arguments, *overrides]
        subprocess.run([*command, f"hydra.run.dir={directory}/run"], cwd=ROOT, check=True, capture_output=True)
        results = list(read_rows(Path(directory) / "run" / "replicas.csv"))
    return {
        split: {
            init: {r["seed"]: max(r[tau], 1) for r in results if r["init"] == init and tau in r}  # 0 has no log
            for init in ("gaussian", "orthogonal")
        }
        for split, tau in (("train", "train/tau"), ("test", "test/tau"))
    }


def compare(gaussian: np.ndarray, orthogonal: np.ndarray) -> tuple[Comparison, Comparison]:
    """The same log τ (S,) of both, in pairs and not."""
    difference, count = gaussian - orthogonal, len(gaussian)
    variances = difference.var(ddof=1), gaussian.var(ddof=1) + orthogonal.var(ddof=1)
    freedom = count - 1, 2 * (count - 1)
    return tuple(
        Comparison(difference.mean(), stats.t.ppf(0.975, degrees) * np.sqrt(variance / count), variance)
        for variance, degrees in zip(variances, freedom, strict=True)
    )


def seeds_needed(gaussian: np.ndarray, orthogonal: np.ndarray, draws: int = 4000) -> tuple[float, float, float]:
    """Seeds needed in pairs by those needed unpaired, and a 95 % interval."""
    rows = np.random.default_rng(0).integers(len(gaussian), size=(draws, len(gaussian)))
    rows = np.vstack([np.arange(len(gaussian)), rows])
    one, other = gaussian[rows], orthogonal[rows]
    ratios = (one - other).var(1, ddof=1) / (one.var(1, ddof=1) + other.var(1, ddof=1))
    return ratios[0], *np.quantile(ratios[1:], [0.025, 0.975])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "paired_seeds")
    parser.add_argument("overrides", nargs="*", help="settings of the runs, KEY=VALUE")
    arguments = parser.parse_args()
    rows = []
    for arm, (coupled, shared) in ARMS.items():
        for split, found in taus(arguments.seeds, coupled, shared, arguments.overrides).items():
            both = sorted(found["gaussian"].keys() & found["orthogonal"].keys())
            if len(both) < 3:
                print(f"{arm}, {split}: {len(both)} pairs of {arguments.seeds} reached τ; too few")
                continue
            logs = [np.log([found[init][seed] for seed in both]) for init in ("gaussian", "orthogonal")]
            paired, unpaired = compare(*logs)
            correlation = float(np.corrcoef(*logs)[0, 1])
            lost = arguments.seeds - len(both)
            rows.append(Row(arm, split, len(both), lost, correlation, seeds_needed(*logs), paired, unpaired))
    arguments.out.mkdir(parents=True, exist_ok=True)
    show(rows)
    draw(rows, arguments.out / "paired_seeds.png")
    table = [asdict(row) for row in rows]
    (arguments.out / "paired_seeds.json").write_text(json.dumps(table, indent=2, default=float))


def show(rows: list[Row]) -> None:
    head = f"{'':<30}{'τ of':<7}{'pairs':>6}{'lost':>6}{'correlation':>22}"
    print(f"{head}{'paired':>17}{'unpaired':>17}{'seeds needed':>20}")
    for row in rows:
        cells = [f"{c.difference:.3f} ± {c.half_width:.3f}" for c in (row.paired, row.unpaired)]
        fisher = np.arctanh(row.correlation) + np.array([-1.96, 1.96]) / np.sqrt(row.pairs - 3)
        related = "{:.2f} [{:.2f}, {:.2f}]".format(row.correlation, *np.tanh(fisher))
        needed = "{:.2f} [{:.2f}, {:.2f}]".format(*row.needed)
        print(
            f"{row.arm:<30}{row.split:<7}{row.pairs:>6}{row.lost:>6}{related:>22}{cells[0]:>17}{cells[1]:>17}{needed:>20}"
        )
    print("log τ(gaussian) − log τ(orthogonal) with 95 % intervals; seeds needed in pairs, by those needed unpaired")


def draw(rows: list[Row], path: Path) -> None:
    figure, all_axes = new_figure(columns=2)
    for axes, split in zip(all_axes, ("train", "test"), strict=True):
        own = [row for row in rows if row.split == split]
        for place, row in enumerate(own):
            for comparison, colour, label, shift in (
                (row.paired, BLUE, "in pairs of equal seed", 0.12),
                (row.unpaired, ORANGE, "unpaired", -0.12),
            ):
                style = {"color": colour, "fmt": "o", "capsize": 3, "label": label if place == 0 else None}
                axes.errorbar(comparison.difference, -place + shift, xerr=comparison.half_width, **style)
        names = [f"{row.arm.replace(', ', chr(10))}\n(r = {row.correlation:.2f})" for row in own]
        axes.set_yticks([-place for place in range(len(own))], names, fontsize=8)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel(f"log τ(gaussian) − log τ(orthogonal), {split} set")
        axes.grid(alpha=0.25)
    all_axes[0].legend(fontsize=8)
    save(figure, path)


if __name__ == "__main__":
    main()
