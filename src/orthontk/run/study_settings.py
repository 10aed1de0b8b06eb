"""How runs are judged, the settings under `study`, which change no measurement and may change after it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

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
    changes = [found for path, study in finished if study is not None and (found := _renew(path, study))]
    if changes:
        key, before, now = changes[0]
        others = f", where it was {before}" if before is not None else ""
        print(f"{key} is {now} now in the settings of {counted(len(changes), 'finished run')}{others}")


def _renew(path: Path, study: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Write the settings; the first that differs, by its key, before and now, None if they are the same."""
    text = (path / CONFIG).read_text(encoding="utf-8")
    if f"\n{OmegaConf.to_yaml({'study': study})}" in text:  # which a thousand runs need no parser for
        return None
    stored = OmegaConf.create(text)
    found = first_difference(study_settings(stored), study, "study")
    if found is not None:
        stored.study = study
        write_text(path / CONFIG, OmegaConf.to_yaml(stored))
    return found
