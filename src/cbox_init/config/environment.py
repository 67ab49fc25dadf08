"""Overrides from the environment: ``CBOX_INIT_GLOBAL_<KEY>`` and ``CBOX_INIT_PROCESS_<NAME>_<KEY>``.

They are put into the file's content before it is converted, so that one conversion serves both.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from cbox_init.config.convert import is_unset, is_unset_variable
from cbox_init.config.legacy import OTHER_FORMS, RENAMED
from cbox_init.config.model import GlobalConfig, ProcessConfig
from cbox_init.config.model.kinds import Kind
from cbox_init.config.raw import copied
from cbox_init.config.schema import ValueSpec, ValueType, fields_of, may_hold_secret, section_type
from cbox_init.sensitive import sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from msgspec import Struct

    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Raw

    Steps: TypeAlias = tuple[str, ...]

_GLOBAL: Final = "CBOX_INIT_GLOBAL_"
_PROCESS: Final = "CBOX_INIT_PROCESS_"
#: Set by a cbox-init in its children; one that runs inside another sees it.
_RESERVED: Final = frozenset(("CBOX_INIT_PROCESS_NAME",))
_ENV: Final = "ENV_"

_TEXTS: Final = (ValueType.TEXT, ValueType.SECRET, Kind.HOST)
_SCALARS: Final = (*_TEXTS, ValueType.BOOL, ValueType.INT, ValueType.FLOAT, ValueType.WORD, Kind.COMMAND)
#: Kinds of which a value is a list or a single text.
_LISTS_TOO: Final = (Kind.COMMAND, Kind.ENVIRONMENT)


class _Override(NamedTuple):
    """Where an override goes, below its section, and what the key takes."""

    steps: Steps
    spec: ValueSpec
    #: The section of the last step, and today's name of the key there.
    section: type[Struct]


def override(root: dict[str, Raw], environ: Mapping[str, str], report: ProblemReport) -> dict[str, Raw]:
    """``root`` with the overrides of the environment.

    The report learns which paths came from which variable. A variable that fits no key is a warning.
    """
    chosen = [name for name in environ if name.startswith((_GLOBAL, _PROCESS)) and name not in _RESERVED]
    if not chosen:
        return root
    result = copied(root)
    # Once: a process that the environment adds must not change what later variables mean.
    names = _known_names(result.get("processes"))
    for variable in sorted(chosen):
        if variable.startswith(_GLOBAL):
            prefix: Steps | None = ("global",)
            target = _overrides(GlobalConfig).get(variable.removeprefix(_GLOBAL))
        else:
            prefix, target = _process_target(variable.removeprefix(_PROCESS), names)
        if target is None or prefix is None:
            _unknown(variable, names, report)
            continue
        value = _value(environ[variable], target.spec)
        own_variable = target.steps[0] == "env" and len(target.steps) > 1
        if not own_variable and is_unset(target.spec, value):
            continue  # as if the variable were not there
        path = prefix + target.steps
        if len(prefix) > 1 and prefix[1] not in names.values():
            report.origins.setdefault(prefix, variable)
        report.origins[path] = variable
        _put(result, path, value, target)
    return result


def secret_settings(environ: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """The overrides in ``environ`` that are secrets or may hold some; ``names`` are those of processes."""
    found: set[str] = set()
    known = {_upper(name): name for name in names}
    for variable in environ:
        if variable.startswith(_GLOBAL):
            target = _overrides(GlobalConfig).get(variable.removeprefix(_GLOBAL))
        elif variable.startswith(_PROCESS) and variable not in _RESERVED:
            target = _process_target(variable.removeprefix(_PROCESS), known)[1]
        else:
            continue
        if target is None:
            is_secret = sounds_secret(variable.removeprefix(_GLOBAL).removeprefix(_PROCESS))
        else:
            is_secret = may_hold_secret(target.spec) and target.steps[0] != "health_check"
        if is_secret:
            found.add(variable)
    return found


def owner_of(variable: str, names: Iterable[str]) -> str | None:
    """The process whose setting a ``CBOX_INIT_PROCESS_…`` is; None when it is no setting of any."""
    prefix, _ = _process_target(variable.removeprefix(_PROCESS), {_upper(name): name for name in names})
    return prefix[1] if prefix is not None else None


@cache
def _overrides(section: type[Struct]) -> dict[str, _Override]:
    """The keys of a section and of those within it, as the environment writes them."""
    targets: dict[str, _Override] = {}
    fields = fields_of(section)
    for key, field in fields.items():
        targets[_upper(key)] = _Override((key,), field.spec, section)
        inner = section_type(field.spec)
        for name, target in _overrides(inner).items() if inner is not None else ():
            targets[f"{_upper(key)}_{name}"] = target._replace(steps=(key, *target.steps))
    for old, new in RENAMED.get(section, {}).items():
        # A key whose value has another form today keeps its name: `legacy` converts it.
        other = OTHER_FORMS.get(old)
        target = (
            _Override((new,), fields[new].spec, section)
            if other is None
            else _Override((old,), other, section)
        )
        targets.setdefault(_upper(old), target)
    return targets


def _process_target(rest: str, names: dict[str, str]) -> tuple[Steps | None, _Override | None]:
    """The process and the key that ``NAME_KEY`` means.

    The longest known name counts; for an unknown name, the longest known key.
    """
    for upper in sorted(names, key=len, reverse=True):
        if rest.startswith(f"{upper}_") and (target := _process_key(rest[len(upper) + 1 :])):
            return ("processes", names[upper]), target
    position = rest.find("_", 1)
    while position > 0:
        if target := _process_key(rest[position + 1 :]):
            return ("processes", rest[:position].lower().replace("_", "-")), target
        position = rest.find("_", position + 1)
    return None, None


def _process_key(key: str) -> _Override | None:
    target = _overrides(ProcessConfig).get(key)  # ENV_FILE is a key before it is the variable FILE
    if target is None and key.startswith(_ENV) and key != _ENV:
        return _Override(("env", key.removeprefix(_ENV)), ValueSpec(ValueType.TEXT), ProcessConfig)
    return target


def _known_names(processes: Raw) -> dict[str, str]:
    """The file's processes by the name that the environment uses for them."""
    return {_upper(name): name for name in processes} if isinstance(processes, dict) else {}


def _upper(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.upper())


def _unknown(variable: str, names: dict[str, str], report: ProblemReport) -> None:
    if variable.startswith(_GLOBAL):
        prefix, known = _GLOBAL, list(_overrides(GlobalConfig))
    else:
        prefix, known = _PROCESS, [f"{name}_{key}" for name in names for key in _overrides(ProcessConfig)]
    near = report.nearest(variable.removeprefix(prefix), known)
    report.warning(
        (variable,), "does not match any key", f"did you mean {prefix}{near}?" if near else "unset it"
    )


def _value(text: str, spec: ValueSpec) -> Raw:
    """The text as the file would hold it: lists and mappings are JSON, a command may be either."""
    if is_unset_variable(spec, text):
        return None
    if (spec.value_type in _SCALARS or isinstance(spec.value_type, Kind)) and not (
        spec.value_type in _LISTS_TOO and text.lstrip().startswith("[")
    ):
        return text
    import json

    try:
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return text  # the converter reports what it expected
    return cast("Raw", value)


def _put(root: dict[str, Raw], path: Steps, value: Raw, target: _Override) -> None:
    """Sets the value at ``path``, copying each level on the way."""
    level = root
    for step in path[:-1]:
        inner = level.get(step)
        if step == "processes" and inner is not None and not isinstance(inner, dict):
            return  # a list of processes is a problem of its own, not to be hidden
        level[step] = copy = copied(inner) if isinstance(inner, dict) else {}
        level = copy
    key = path[-1]
    for old, new in RENAMED.get(target.section, {}).items():
        # The value that the file has under the other name of this key is overridden too.
        if key == new:
            level.pop(old, None)
        elif key == old and not isinstance(level.get(new), dict):
            level.pop(new, None)
    level[key] = value
