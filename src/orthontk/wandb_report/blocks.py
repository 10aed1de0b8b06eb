"""The report's blocks, from a preset: claim, panels over run sets, how to make the runs, settings."""

import shlex
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as wr
import yaml

from orthontk.loggers.wandb_run import ENSEMBLE, TRAINING
from orthontk.report.rerun import searched
from orthontk.wandb_report.figures import ensemble_panels_of, panels_of
from orthontk.wandb_report.preset import Preset


def blocks_of(preset: Preset, place: dict[str, str]) -> list[Any]:
    """Every block, in order.

    Args:
        place: entity and project of the runs; empty for a report that names none, which is all that can be built
            offline. Its panels then show the runs of the project that it is published in.
    """
    study = preset.kind.__name__
    single = [_runset(preset, init, network, place) for init, network in preset.compared]
    blocks = [wr.H1(text=preset.title), wr.P(text=preset.claim), wr.MarkdownBlock(text=preset.method)]
    if preset.is_ensemble:
        together = wr.Runset(name="ensembles", filters=_filters(preset, ENSEMBLE), **place)
        blocks += [
            wr.H2(text="Ensembles: all initializations and learning rates in one run"),
            wr.PanelGrid(runsets=[together], panels=ensemble_panels_of(study)),
        ]
    blocks += [
        wr.H2(text="Runs of one initialization each"),
        wr.PanelGrid(runsets=single, panels=panels_of(study)),
        wr.H2(text="How to make the runs"),
        wr.MarkdownBlock(text=_commands(preset)),
        wr.H2(text="Settings"),
        wr.CodeBlock(code=_settings(preset), language="yaml"),
    ]
    return blocks


def _runset(preset: Preset, init: str, network: dict[str, str], place: dict[str, str]) -> wr.Runset:
    """The runs of one initialization and network. W&B keeps a nested setting under its first key's `value`."""
    filters = _filters(preset, TRAINING)
    filters += [expr.Config(f"init.value.{key}").isin([value]) for key, value in preset.inits[init].items()]
    filters += [expr.Config(f"model.value.{key}").isin([value]) for key, value in network.items()]
    words = [value.rsplit(".", 1)[-1] for value in network.values()]
    return wr.Runset(name=", ".join([init, *words]), filters=filters, **place)


def _filters(preset: Preset, job_type: str) -> list[expr.FilterExpr]:
    return [
        expr.Config("name.value").isin([preset.name]),
        expr.Config("scale.value").isin([preset.scale]),
        expr.Metric("JobType").isin([job_type]),
    ]


def _commands(preset: Preset) -> str:
    settings = [f"experiment={preset.experiment}", f"scale={preset.scale}", "logger=wandb"]
    lines = [shlex.join(["python", "train.py", *searched(preset.folders), "-m", *settings])]
    lines += ["python -m orthontk.sync outputs     # uploads what was run offline"]
    lines += ["python -m orthontk.report outputs   # judges the claim"]
    return "\n".join(["```bash", *lines, "```"])


def _settings(preset: Preset) -> str:
    content = {**preset.settings, "grids": [dict(grid) for grid in preset.grids]}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
