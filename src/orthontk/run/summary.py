"""What a run ends with: `summary.json` and a table in the terminal."""

import math
from pathlib import Path
from typing import Any

from rich.table import Table

from orthontk.checks import InvalidValue
from orthontk.counted import counted
from orthontk.csv_rows import last_values, read_metrics
from orthontk.files import finite_or_none, read_json, write_json
from orthontk.run.directory import KERNEL_REGRESSION, METRICS, SUMMARY
from orthontk.terminal import console as open_console

# The rows of the closing table, in this order, where the run has them.
SHOWN = {
    "train/tau": "τ on minibatches (updates)",
    "test/tau": "τ on the test set (updates)",
    "train/loss": "train loss (last minibatch)",
    "train/accuracy": "train accuracy (same)",
    "val/loss": "validation loss",
    "val/accuracy": "validation accuracy",
    "test/loss": "test loss",
    "test/accuracy": "test accuracy",
    "ntk/change": "NTK change ‖Θ_t−Θ_0‖/‖Θ_0‖",
    "ntk/alignment": "NTK alignment with the labels",
    "ntk/effective_rank": "NTK effective rank",
    "convergence/nngp": "NNGP ‖K̂−K∞‖/‖K∞‖, mean over draws",
    "convergence/ntk": "NTK ‖Θ̂−Θ∞‖/‖Θ∞‖, mean over draws",
    "fluctuation/relative_variance": "Var[Θ(x,x)]/E[Θ(x,x)]² over draws",
    "jacobian/relative_variance": "Jacobian: relative variance of σ²",
    "time/total": "seconds in all",
}
# And of a multirun's job.
BRIEFLY = {"val/accuracy": "validation accuracy", "test/accuracy": "test accuracy", "ntk/change": "NTK change"}


def write_summary(directory: Path, experiment: Any, seconds: float) -> None:
    """Write the last value of every metric; its presence is what makes the run a finished one."""
    metrics = last_values(read_metrics(directory / METRICS))
    step = int(metrics.pop("step", 0))
    metrics["time/total"] = round(seconds, 3)
    finite = experiment.module.finite  # also at steps whose loss is not logged
    losses = [metrics.get(name, 0.0) for name in ("train/loss", "test/loss")]
    summary = {
        "status": "finished",
        "steps": step,
        "diverged": not all(map(math.isfinite, losses)) or (finite is not None and not bool(finite)),
        "metrics": finite_or_none(dict(sorted(metrics.items()))),
    }
    write_json(directory / SUMMARY, summary)


def regression_table(content: dict[str, Any]) -> Table:
    """One row for each kernel: how well regression with it does on the run's data."""
    table = Table(caption=f"{content['train_inputs']} training and {content['test_inputs']} test inputs")
    table.add_column("kernel regression")
    for column in ("test accuracy", "leave-one-out accuracy", "leave-one-out error", "ridge"):
        table.add_column(column, justify="right")
    for kernel, result in content["kernels"].items():
        names = ("test_accuracy", "leave_one_out_accuracy", "leave_one_out_error", "ridge")
        table.add_row(kernel.replace("_", " "), *(f"{result[name]:.4g}" for name in names))
    return table


def read_summary(directory: Path, *keys: str) -> dict[str, Any]:
    """A finished run's summary, which has these keys.

    Raises:
        InvalidValue: one of them is missing, in a file that this project has not written.
    """
    summary = read_json(directory / SUMMARY)
    for key in keys:
        if key not in summary:
            accepted = f"a finished run; its {SUMMARY} lacks {key}, and without that file the same command goes on"
            raise InvalidValue("hydra.run.dir", directory, accepted)
    return summary


def show_briefly(directory: Path) -> None:
    """Two lines: of a multirun's jobs, which are compared in a table at its end."""
    summary = read_summary(directory, "metrics", "steps", "diverged")
    values = {label: summary["metrics"].get(name) for name, label in BRIEFLY.items()}
    parts = [
        counted(summary["steps"], "step"),
        *(f"{label} {value:.4g}" for label, value in values.items() if value is not None),
    ]
    if summary["diverged"]:
        parts.append("diverged")
    print(f"{directory.name}: {', '.join(parts)}\nResults: {directory}", flush=True)


def show_summary(directory: Path) -> None:
    """Print the closing table and where everything is."""
    summary = read_summary(directory, "metrics", "steps", "diverged")
    table = Table()
    table.add_column("measured at the end")
    table.add_column("value", justify="right")
    for name, label in SHOWN.items():
        if name in summary["metrics"]:
            value = summary["metrics"][name]
            table.add_row(label, "diverged" if value is None else f"{value:.4g}")
        elif name.endswith("/tau") and summary["metrics"].get(f"{name.removesuffix('tau')}censored"):
            table.add_row(label, "not reached")
    console = open_console()
    print(f"{directory.name}: {counted(summary['steps'], 'step')}")
    console.print(table)
    if (directory / KERNEL_REGRESSION).exists():
        console.print(regression_table(read_json(directory / KERNEL_REGRESSION)))
    if summary["diverged"]:
        console.print("The loss is no longer a finite number: the run diverged and was stopped.", style="bold")
    show_places(directory)


def show_places(directory: Path) -> None:
    """Print where everything is."""
    places = "  ".join(sorted(path.name + "/" * path.is_dir() for path in directory.iterdir() if path.name[0] != "."))
    print(f"Results: {directory}\n         {places}", flush=True)
