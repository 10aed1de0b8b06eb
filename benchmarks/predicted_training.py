"""Is training lazy? Predicted beside actual losses for a narrow and a wide network, in one figure.

    python benchmarks/predicted_training.py                       # a minute on two cores
    python benchmarks/predicted_training.py --widths 16 256 4096 init=orthogonal

Full-batch gradient descent on real digits under MSE at half the largest stable learning rate, predicted by the
empirical NTK at t = 0 and by the kernel of infinite width. Prints the prediction error ‖f_t − f̂_t‖ / ‖f̂_t − f_0‖ at
the end, which falls like 1/√n or faster where training is lazy, and writes a row of panels for each width to --out.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from orthontk.csv_rows import Row, last_values, read_metrics
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.panels import PanelFigure
from orthontk.figures.prediction import prediction

ROOT = Path(__file__).parent.parent
SETTINGS = (
    "model=fcn",
    "loss=mse",
    "optimizer.lr_fraction=0.5",
    "callbacks=[prediction,infinite_prediction]",
    "data.batch_size=full",
    "data.train_size=100",
    "data.val_size=0",
    "trainer.max_steps=1000",
    "trainer=cpu",
    "logger=csv",
    "figures=false",
)


def trained(width: int, overrides: list[str]) -> list[Row]:
    """The metrics of one run."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "train.py", *SETTINGS, f"model.width={width}", *overrides]
        subprocess.run([*command, f"hydra.run.dir={directory}/run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return read_metrics(Path(directory) / "run" / "metrics.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 1024])
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "predicted_training.png")
    parser.add_argument("overrides", nargs="*", help="settings of the runs, KEY=VALUE")
    arguments = parser.parse_args()
    panels = []
    for width in arguments.widths:
        rows = trained(width, arguments.overrides)
        panels += [replace(panel, title=f"n = {width}") for panel in prediction(rows).panels]
        last = last_values(rows)
        for name, kernel in (("ntk/prediction_error", "NTK at t = 0"), ("ntk/prediction_error_infinite", "infinite")):
            print(f"n = {width}, {kernel}: prediction error {last[name]:.4f} after {last['step']} steps")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    print(draw_panels(PanelFigure(panels, columns=3), arguments.out, "Predicted against actual training"))


if __name__ == "__main__":
    main()
