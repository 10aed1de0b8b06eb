"""Build a study's W&B report: `python -m orthontk.wandb_report study=learning_speed`."""

import importlib.util
import sys
from pathlib import Path

from orthontk.checks import InvalidValue, one_of
from orthontk.cli import command
from orthontk.grids import SCALES

DEFAULTS = {
    "study": None,
    "scale": None,
    "mode": "offline",
    "entity": None,
    "project": "orthontk",
    "config_dir": None,
    "paths.output_dir": "outputs",
}
HELP = """\
usage: python -m orthontk.wandb_report study=PRESET [KEY=VALUE ...]

Build the W&B report of a study from its preset: the claim, its figures as panels over the runs on W&B, with a run set
for each initialization, and the settings. Runs are on W&B if they were logged with logger=wandb: online, or offline and
then uploaded by `python -m orthontk.sync`.

  study             a preset in conf/experiment that is a study, such as learning_speed
  scale             quick or paper (default: the preset's)
  mode              offline: write the report's JSON; online: publish it, too (default: offline)
  entity, project   where the runs are (default: your own entity, and orthontk)
  config_dir        a folder with presets of your own, as train.py's --config-dir
  paths.output_dir  the JSON is written to <it>/<study>/wandb_report-<scale>.json (default: outputs)
"""


@command
def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP, end="")
        return
    options = parse(sys.argv[1:])
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise InvalidValue("wandb_workspaces", "not installed", "pip install 'orthontk[report]' first")
    from orthontk.wandb_report.preset import read_preset  # Hydra and W&B take seconds to import
    from orthontk.wandb_report.publish import publish, write

    preset = read_preset(options["study"], options["scale"], options["config_dir"])
    write(preset, Path(options["paths.output_dir"]))
    if options["mode"] == "online":
        publish(preset, options["entity"], options["project"])


def parse(arguments: list[str]) -> dict[str, str | None]:
    """The options by their names.

    >>> parse(["study=kernel_drift", "mode=online"])["mode"]
    'online'
    """
    options: dict[str, str | None] = dict(DEFAULTS)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in DEFAULTS:
            raise InvalidValue(key, value if equals else None, "KEY=VALUE with one of " + ", ".join(DEFAULTS))
        options[key] = None if value in ("", "null") else value
    one_of("mode", options["mode"], ("offline", "online"))
    if options["scale"] is not None:
        one_of("scale", options["scale"], SCALES)
    for key in ("project", "paths.output_dir"):
        if options[key] is None:
            raise InvalidValue(key, None, "a name")
    return options


if __name__ == "__main__":
    main()
