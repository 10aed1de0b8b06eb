"""Write a report as JSON, and publish it."""

from pathlib import Path

import wandb_workspaces.reports.v2 as wr

import wandb
from orthontk.checks import InvalidValue
from orthontk.files import read_json, write_json
from orthontk.wandb_report.blocks import blocks_of
from orthontk.wandb_report.preset import Preset
from orthontk.wandb_report.show import described


def write(preset: Preset, outputs: Path) -> Path:
    """Write the report's JSON beside the study's runs, and print what it holds."""
    report = _report(preset, "", "", "")
    path = outputs / preset.name / f"wandb_report-{preset.scale}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    model = report._to_model()
    spec = model.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    write_json(path, {"displayName": model.display_name, "description": model.description, "spec": spec})
    for line in described(read_json(path)):
        print(line)
    print(f"Report: {path}")
    return path


def publish(preset: Preset, entity: str | None, project: str | None) -> None:
    """Save the report on W&B, over the runs in `entity`/`project`, and print its address.

    Raises:
        InvalidValue: W&B knows no such project, or nobody is logged in.
    """
    try:
        own = wandb.Api().default_entity
    except wandb.errors.UsageError as error:
        raise InvalidValue("mode", "online", "offline, or `wandb login` first") from error
    entity = entity or own
    if entity is None:
        raise InvalidValue("entity", None, "whose project it is, as W&B knows no default of yours")
    try:
        report = _report(preset, entity, project, project)
        report.save()
    except ValueError as error:  # of a run set whose project is not there
        raise InvalidValue("project", f"{entity}/{project}", "a W&B project with runs in it") from error
    print(f"Published: {report.url}")


def _report(preset: Preset, entity: str, project: str, place: str) -> wr.Report:
    runs_in = {"entity": entity, "project": place} if place else {}
    return wr.Report(
        project=project, entity=entity, title=preset.title, description=preset.claim, blocks=blocks_of(preset, runs_in)
    )
