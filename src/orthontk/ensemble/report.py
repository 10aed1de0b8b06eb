"""The end of an ensemble's run: tables, figures, the W&B run, and a few lines in the terminal."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from orthontk.counted import counted
from orthontk.ensemble.plan import Plan
from orthontk.ensemble.results import gather_tables, write_ensemble_summary
from orthontk.run.assemble import build_loggers
from orthontk.run.directory import METRICS, REPLICAS
from orthontk.run.summary import read_summary, show_places
from orthontk.runs.texts import RESULTS
from orthontk.terminal import console as open_console


def report(config: DictConfig, directory: Path, plan: Plan, chunks: int, seconds: float) -> None:
    """Gather what the chunks left, draw, log, and make the run a finished one."""
    results = gather_tables(directory, chunks)
    for logger in build_loggers(config, directory):
        if hasattr(logger, "log_ensemble"):
            failed = True  # left open, this run would take what the next job of a multirun logs
            try:
                logger.log_ensemble(directory / METRICS, directory / REPLICAS)
                failed = False
            finally:
                logger.finish(failed)
    if config.figures:
        from orthontk.figures.ensemble import draw_ensemble  # matplotlib takes a second to import

        draw_ensemble(directory)
    write_ensemble_summary(directory, results, asdict(plan), seconds)
    show_ensemble(directory)


def show_ensemble(directory: Path) -> None:
    """Print a row for each initialization and learning rate, and where everything is."""
    summary = read_summary(directory, "groups", "replicas", "metrics")
    groups = summary["groups"]
    shown = {name: label for name, label in RESULTS.items() if any(name in group for group in groups)}
    caption = "mean ± standard error over seeds"
    if "train/loss" in shown:
        caption += "; train loss: of the last minibatch"
    if any(name.endswith("/tau") for name in shown):
        caption += "; +k: k runs never reached τ and are in no mean"
    table = Table(caption=caption)
    for column in ("init", "lr", "runs", "diverged", *shown.values()):
        table.add_column(column, justify="left" if column == "init" else "right", no_wrap=True)
    for group in groups:
        cells = [group["init"], f"{group['learning_rate']:g}", str(group["replicas"]), str(group["diverged"])]
        table.add_row(*cells, *(_cell(group.get(name)) for name in shown))
    print(f"{directory.name}: {counted(summary['replicas'], 'replica')}")
    open_console().print(table)
    print(f"Seconds in all: {summary['metrics']['time/total']:.4g}")
    show_places(directory)


def _cell(value: dict[str, Any] | None) -> str:
    if value is None or (value["mean"] is None and not value.get("censored")):
        return ""
    mean = "none" if value["mean"] is None else f"{value['mean']:.4g}"
    error = f" ± {value['standard_error']:.2g}" if value["standard_error"] is not None else ""
    return mean + error + (f" +{value['censored']}" if value.get("censored") else "")
