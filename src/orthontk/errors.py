"""What an error is in one line, whoever raised it: the key that a user would change, and what is accepted."""

import itertools
import re
import sys
import traceback
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from orthontk.checks import InvalidValue
from orthontk.counted import counted
from orthontk.own_code import in_own_code

# What Hydra says of a preset that overrides a choice and does not say that its keys are at the top level.
WITHOUT_PACKAGE = re.compile(r"In 'experiment/(\S+)': Could not override '\S+@experiment\.")


class JobFailed(Exception):
    """A job elsewhere that failed, with what is known of it: one line of a reason, then the last lines of its log."""


class JobsFailed(Exception):
    """Jobs of a multirun that are not done, by their overrides.

    Args:
        failures: those that failed, each with its one-line reason.
        total: the number of all jobs.
        running: those that another launch is running, each with the process that does.
    """

    def __init__(self, failures: dict[str, str], total: int, running: dict[str, str] | None = None) -> None:
        lines = []
        if failures:
            lines += [f"{len(failures)} of {counted(total, 'job')} failed; the results of the others stand"]
            lines += [f"  {overrides}: {reason}" for overrides, reason in failures.items()]
        if running:
            lines += [f"{len(running)} of {counted(total, 'job')} left to another launch"]
            lines += [f"  {overrides}: being run by another process ({who})" for overrides, who in running.items()]
        super().__init__("\n".join(lines))


def describe(error: BaseException) -> str:
    """One line that names the key and what is accepted.

    >>> describe(InvalidValue("width", 0, "an integer of at least 1").within("model"))
    'model.width=0: expected an integer of at least 1'
    """
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException

    if isinstance(error, JobFailed | JobsFailed):
        return str(error)
    if refusal := _refusal_behind(error):
        value = "null" if refusal.value is None else refusal.value  # as the command line gives it
        return str(InvalidValue(refusal.name, value, refusal.accepted))
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}: {error.problem}; expected a YAML file"
    if isinstance(error, MissingConfigException):
        if error.missing_cfg_file is None:
            return str(InvalidValue("--config-path", _value_of("--config-path"), "a folder of configurations"))
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = error.options or sorted(p.stem for p in Path(sys.argv[0]).parent.glob(f"conf/{group}/*.yaml"))
        return str(InvalidValue(group or "--config-name", name, "one of " + ", ".join(options)))
    if isinstance(error, OverrideParseException):
        return f"{error.override}: expected KEY=VALUE; quote a value with special characters, 'KEY=\"VALUE\"'"
    if isinstance(error, ConfigCompositionException):
        if isinstance(error.__cause__, OmegaConfBaseException):
            return _describe_key(error.__cause__)
        if match := WITHOUT_PACKAGE.match(str(error)):
            from orthontk.run.known_keys import OF_PRESET

            return str(InvalidValue("experiment", match[1], OF_PRESET))
        return _one_line(error).replace("Ambiguous value for argument", "several values need -m (--multirun):")
    if isinstance(error, OmegaConfBaseException):
        return _describe_key(error)
    if isinstance(error, OSError) and error.filename is not None:
        places = "; expected paths.output_dir or hydra.run.dir to name a writable folder"
        is_read = isinstance(error, FileNotFoundError) and not _is_of_a_folder_being_made(error)
        return f"{error.filename}: {error.strerror}{'' if is_read else places}"
    return _one_line(error)


def _value_of(flag: str) -> str:
    """What the command line gives for a flag, as `--flag=VALUE` or `--flag VALUE`."""
    for argument, following in itertools.zip_longest(sys.argv, sys.argv[1:], fillvalue=""):
        name, equals, value = argument.partition("=")
        if name == flag:
            return value if equals else following
    return ""


def _is_of_a_folder_being_made(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].name in ("mkdir", "makedirs")


def _refusal_behind(error: BaseException | None) -> InvalidValue | None:
    """The refusal that an error comes from: Hydra and OmegaConf wrap what a resolver raises in errors of their own."""
    while error is not None and not isinstance(error, InvalidValue):
        is_wrapped = isinstance(error, OmegaConfBaseException)  # which is raised without a cause
        error = error.__cause__ or (error.__context__ if is_wrapped else None)
    return error


def _describe_key(error: OmegaConfBaseException) -> str:
    """Name the key, and the keys that there are where it was looked for."""
    while isinstance(error.__cause__, OmegaConfBaseException):
        error = error.__cause__
    is_missing = isinstance(error, ConfigKeyError | ConfigAttributeError)
    if is_missing and error.full_key and isinstance(error.parent_node, DictConfig):
        there = [key for key in map(str, error.parent_node) if key != "hydra" and not key.startswith("_")]
        parent, _, _ = str(error.full_key).rpartition(".")
        where = parent or "the configuration"
        accepted = f"no such key in {where}; expected one of {', '.join(there)}" if there else f"{where} has no keys"
        target = str(error.parent_node.get("_target_") or "orthontk.")
        # Every key of our own classes is there, and `lr_fraction` is no argument of an optimizer.
        may_take_it = not target.startswith("orthontk.") and error.full_key != "optimizer.lr_fraction"
        added = f"; +{error.full_key} adds it, if {target} takes it" if may_take_it else ""
        return f"{error.full_key}: {accepted}{added}{_choices_with(str(error.full_key))}"
    if match := re.search(r"Error trying to access (\S+): node `(\S+)` is not a container", str(error)):
        return f"{match[2]}: expected settings, as {match[1]} is one of them"
    return _one_line(error)


def _choices_with(key: str) -> str:
    """Where another choice of the key's group has it, which: `data.path` of the sets that are read from files."""
    group, _, name = key.rpartition(".")
    files = sorted(Path(sys.argv[0]).parent.glob(f"conf/{group.replace('.', '/')}/*.yaml")) if group else []
    having = [file.stem for file in files if name in _keys_in(file)]
    return f"; {group}={' or '.join(having)} has it" if having else ""


def _keys_in(file: Path) -> set[str]:
    try:
        return {str(key) for key in OmegaConf.load(file)}
    except (OSError, ValueError, TypeError, yaml.YAMLError, OmegaConfBaseException):
        return set()


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else "no message"
    known = type(error).__module__.split(".")[0] in ("orthontk", "hydra", "omegaconf") or isinstance(error, ValueError)
    if message.startswith("Config group override"):  # such as model=null
        empty = [argument for argument in sys.argv[1:] if argument.endswith("=null")]
        return f"{' '.join(empty)}: expected the name of a configuration"
    place = in_own_code(error)
    if known:
        return f"{message}{place}"
    return f"{type(error).__name__}: {message}{place or ' (ORTHONTK_DEBUG=1 shows where)'}"
