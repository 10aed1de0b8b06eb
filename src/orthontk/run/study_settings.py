"""How runs are judged, the settings under `study`, which change no measurement and may change after it."""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from orthontk.counted import counted
from orthontk.files import write_text
from orthontk.identity import first_difference
from orthontk.run.directory import CONFIG


def study_settings(config: DictConfig) -> Any:
    """What `config` has under `study`, in plain types."""
    study = config.get("study")
    return OmegaConf.to_container(study, resolve=True) if OmegaConf.is_config(study) else study


def renew_studies(finished: Iterable[tuple[Path, Any]]) -> None:
    """Let finished runs be judged by the study that they are launched with again, and say what has changed.

    Args:
        finished: directories, each with its study's settings.
    """
    changes = []
    for path, study in finished:
        if study is not None:
            try:
                changes += _renew(path / CONFIG, study)
            except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:  # no reason to run no other
                print(f"warning: {path / CONFIG} is left as it is: {' '.join(str(error).split())}", file=sys.stderr)
    if changes:
        key, before, now = changes[0]
        others = f", where it was {before}" if before is not None else ""
        print(f"{key} is {now} now in the settings of {counted(len(changes), 'finished run')}{others}")


def _renew(path: Path, study: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Write the settings; the first that differs, by its key, before and now, none if they are the same."""
    text = path.read_text(encoding="utf-8")
    section = re.escape(f"\n{OmegaConf.to_yaml({'study': study})}")
    if re.search(rf"{section}(?=\S|\Z)", text):  # which a thousand runs need no parser for
        return []
    stored = OmegaConf.create(text)
    if not isinstance(stored, DictConfig) or "study" not in stored:
        raise ValueError("it is no run's")
    before = study_settings(stored)
    if before == study:
        return []
    stored.study = study
    write_text(path, OmegaConf.to_yaml(stored))
    return [first_difference(before, study, "study") or ("study", before, study)]
