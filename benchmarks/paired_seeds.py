"""How many seeds does comparing Gaussian with orthogonal weights in pairs save?

    python benchmarks/paired_seeds.py                    # two minutes on two cores
    python benchmarks/paired_seeds.py --seeds 100 model.depth=50 optimizer.lr=0.1

Measures log τ(gaussian) − log τ(orthogonal), with τ the updates until 25 % accuracy, for a deep tanh network on real
digits, from four ensembles: orthogonal weights taken from their Gaussian twins or drawn independently (`init.coupled`),
and minibatches that all seeds share or that differ from seed to seed (`ensemble.shared_batches`). Each is compared in
pairs of equal seed and, from the same numbers, unpaired. The interval's half-width goes with the square root of the
variance over the number of seeds, so the ratio of variances is that of the seeds needed for the same interval.

Prints a table and writes it with a figure to --out. A pair of which one is censored is left out, and counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from orthontk.ensemble.rows import read_rows
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


def taus(seeds: int, coupled: bool, shared: bool, overrides: list[str]) -> dict[str, dict[str, dict[int, float]]]:
    """By split and initialization, the τ of each seed that has one."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = [f"init.coupled={str(coupled).lower()}", f"ensemble.shared_batches={str(shared).lower()}"]
        command = [sys.executable, "train.py", *SETTINGS, f"ensemble.seeds={seeds}", *arguments, *overrides]
        subprocess.run([*command, f"hydra.run.dir={directory}/run"], cwd=ROOT, check=True, capture_output=True)
        results = list(read_rows(Path(directory) / "run" / "replicas.csv"))
    return {
        split: {
            init: {r["seed"]: r[f"{split}/tau"] for r in results if r["init"] == init and r.get(f"{split}/tau", 0) > 0}
            for init in ("gaussian", "orthogonal")
        }
        for split in ("train", "test")
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
            rows.append((arm, split, len(both), arguments.seeds - len(both), correlation, paired, unpaired))
    arguments.out.mkdir(parents=True, exist_ok=True)
    show(rows)
    draw(rows, arguments.out / "paired_seeds.png")
    table = [{"arm": a, "split": s, "pairs": n, "censored": c, "correlation": r, "paired": p.__dict__,
              "unpaired": u.__dict__} for a, s, n, c, r, p, u in rows]  # fmt: skip
    (arguments.out / "paired_seeds.json").write_text(json.dumps(table, indent=2, default=float))


def show(rows: list[tuple]) -> None:
    head = f"{'':<30}{'τ of':<7}{'pairs':>6}{'lost':>6}{'correlation':>22}"
    print(f"{head}{'paired':>17}{'unpaired':>17}{'seeds needed':>14}")
    for arm, split, pairs, lost, correlation, paired, unpaired in rows:
        cells = [f"{c.difference:.3f} ± {c.half_width:.3f}" for c in (paired, unpaired)]
        low, high = np.tanh(np.arctanh(correlation) + np.array([-1.96, 1.96]) / np.sqrt(pairs - 3))  # Fisher
        related = f"{correlation:.2f} [{low:.2f}, {high:.2f}]"
        needed = f"{paired.variance / unpaired.variance:.2f}×"
        print(f"{arm:<30}{split:<7}{pairs:>6}{lost:>6}{related:>22}{cells[0]:>17}{cells[1]:>17}{needed:>14}")
    print("log τ(gaussian) − log τ(orthogonal) with 95 % intervals; seeds needed in pairs, by those needed unpaired")


def draw(rows: list[tuple], path: Path) -> None:
    figure, all_axes = new_figure(columns=2)
    for axes, split in zip(all_axes, ("train", "test"), strict=True):
        own = [row for row in rows if row[1] == split]
        for place, (_, _, _, _, _, *both) in enumerate(own):
            for comparison, colour, label, shift in zip(
                both, (BLUE, ORANGE), ("paired", "unpaired"), (0.12, -0.12), strict=True
            ):
                style = {"color": colour, "fmt": "o", "capsize": 3, "label": label if place == 0 else None}
                axes.errorbar(comparison.difference, -place + shift, xerr=comparison.half_width, **style)
        axes.set_yticks([-place for place in range(len(own))], [row[0].replace(", ", ",\n") for row in own], fontsize=8)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel(f"log τ(gaussian) − log τ(orthogonal), {split} set")
        axes.grid(alpha=0.25)
    all_axes[0].legend()
    save(figure, path)


if __name__ == "__main__":
    main()
