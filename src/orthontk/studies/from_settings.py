"""The study that a preset names."""

import pkgutil
from collections.abc import Mapping
from typing import Any

from orthontk.checks import InvalidValue
from orthontk.own_code import how_found, in_own_code
from orthontk.run.settings import naming
from orthontk.studies.study import Study


def study_from(settings: Mapping[str, Any]) -> Study:
    """The object that judges runs whose `study` is `settings`: the class under `_target_` and its arguments.

    Raises:
        InvalidValue: `_target_` is no class of studies, or the class refuses what a key is.
        InvalidSetting: the class does not take the other keys.
    """
    if not isinstance(settings, Mapping):
        raise InvalidValue("study", settings, "null, or a _target_ and the keys that it takes")
    arguments = dict(settings)
    target = arguments.pop("_target_", None)
    kind = study_class(target)
    with naming("study", arguments, str(target)):
        return kind(**arguments)


def study_class(target: Any) -> type[Study]:
    """The class that `study._target_` names.

    Raises:
        InvalidValue: it is no class of studies.
    """
    try:
        # With the colon an ImportError inside the module is raised, where without one the module is called missing.
        kind = pkgutil.resolve_name(":".join(str(target).rsplit(".", 1)))
    except Exception as error:  # whatever importing the user's module raises
        accepted = f"a class that can be imported here ({error}{in_own_code(error)}{how_found(str(target), error)})"
        raise InvalidValue("study._target_", target, accepted) from error
    if not (isinstance(kind, type) and issubclass(kind, Study)):
        raise InvalidValue("study._target_", target, "a subclass of orthontk.studies.Study")
    return kind
