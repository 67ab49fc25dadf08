"""What the configuration's model says of each key, in the words of docs/configuration.md."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, cast

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields as struct_fields
from msgspec.structs import replace

from cbox_init.config.check import not_acted_on
from cbox_init.config.model import Config, GlobalConfig, HealthCheckConfig, HooksConfig, ProcessConfig
from cbox_init.config.model.kinds import LARGEST_COUNT, LONGEST_S, Kind
from cbox_init.config.scalars import format_duration, format_statuses
from cbox_init.config.schema import ValueSpec, ValueType, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = {
    ValueType.SECTION: "section",
    ValueType.SECTION_LIST: "list of sections",
    ValueType.SECTION_MAP: "sections by name",
    ValueType.TEXT_LIST: "list of texts",
    ValueType.TEXT_MAP: "texts by name",
    ValueType.SECRET_MAP: "secrets by name",
    ValueType.BOOL: "bool",
    ValueType.INT: "integer",
    ValueType.FLOAT: "number",
    ValueType.TEXT: "text",
    ValueType.SECRET: "secret",
    Kind.DURATION: "duration",
    Kind.DURATION_MS: "duration (bare: ms)",
    Kind.SIZE: "size",
    Kind.RLIMIT: "integer or `unlimited`",
    Kind.SIZE_RLIMIT: "size or `unlimited`",
    Kind.COMMAND: "command",
    Kind.SIGNAL: "signal",
    Kind.HOST: "host",
    Kind.STATUSES: "status, range, or list of these",
    Kind.UMASK: "octal number",
    Kind.ENVIRONMENT: "`inherit`, `clean` or list of names",
    Kind.ATTEMPTS: "integer or `unlimited`",
}
_DURATIONS = (Kind.DURATION, Kind.DURATION_MS)
_NOTHING = "\N{EN DASH}"

#: Keys that are read for older files' sake and mean nothing here.
UNUSED = {
    "global.zombie_reap_interval",
    "processes.NAME.priority",
}


class Key(NamedTuple):
    """One key: the section it stands in, its name, and the cells that the table must have."""

    section: str
    name: str
    type: str
    default: str
    range: str
    built: str


def keys() -> Iterator[Key]:
    """Every key of the model, section by section."""
    yield from _keys_of(GlobalConfig, "global", _global_not_built())
    yield from _keys_of(HooksConfig, "hooks", _hooks_not_built())
    yield from _keys_of(ProcessConfig, "processes.NAME", _process_not_built(ProcessConfig()))


def _keys_of(section: type[Struct], path: str, not_built: set[str], above: bool = True) -> Iterator[Key]:
    """``above`` says whether the section as a whole is acted on; ``not_built`` names what is not."""
    defaults = {field.name: field for field in struct_fields(section)}
    for name, field in fields_of(section).items():
        at = f"{path}.{name}"
        built = above and at not in not_built
        word = "unused" if at in UNUSED else "yes" if built else "not yet"
        default = _default(defaults[field.attribute], field.spec)
        yield Key(path, name, _type(field.spec), default, _range(field.spec), word)
        if field.spec.type is not None and issubclass(field.spec.type, Struct):
            inner = at + {ValueType.SECTION_LIST: "[]", ValueType.SECTION_MAP: ".NAME"}.get(
                _form(field.spec), ""
            )
            yield from _keys_of(field.spec.type, inner, not_built, built)


def _form(spec: ValueSpec) -> ValueType:
    assert isinstance(spec.value_type, ValueType)
    return spec.value_type


def _type(spec: ValueSpec) -> str:
    if spec.value_type is ValueType.WORD:
        assert spec.type is not None and issubclass(spec.type, Enum)
        return ", ".join(f"`{member.value}`" for member in spec.type)
    return _TYPES[spec.value_type]


def _default(field: object, spec: ValueSpec) -> str:
    default = getattr(field, "default", NODEFAULT)
    if default is NODEFAULT or default is None or default == () or default == "":
        return _NOTHING
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if spec.value_type in _DURATIONS:
        return f"`{_duration(cast('float', default))}`"
    if spec.value_type is Kind.SIZE:
        return f"`{_size(cast('int', default))}`"
    if spec.value_type is Kind.UMASK:
        return f"`{default:o}`"
    if spec.value_type is Kind.STATUSES:
        return f"`{format_statuses(cast('tuple[tuple[int, int], ...]', default))}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`"


def _range(spec: ValueSpec) -> str:
    if spec.value_type is Kind.UMASK:
        return f"0 to {int(cast('float', spec.le)):o}"
    low = spec.ge if spec.ge is not None else spec.gt
    if low is None:
        return _NOTHING
    unbounded = spec.le is None or spec.le in (LONGEST_S, LARGEST_COUNT, 2**50)
    if unbounded and low < 0:
        return "any"
    least = "> " if spec.gt is not None else "≥ "
    if unbounded:
        return f"{least}{_amount(spec, low)}"
    assert spec.le is not None
    if spec.gt is not None:
        return f"{least}{_amount(spec, low)}, ≤ {_amount(spec, spec.le)}"
    return f"{_amount(spec, low)} to {_amount(spec, spec.le)}"


def _amount(spec: ValueSpec, value: float) -> str:
    if value and spec.value_type in _DURATIONS:
        return _duration(value)
    if spec.value_type is Kind.SIZE:
        return _size(int(value))
    return f"{value:.15g}"


def _duration(seconds: float) -> str:
    """Go's notation without the zeros at its end: 5m, not 5m0s."""
    text = format_duration(seconds)
    for zero in ("0s", "0m"):
        if text.endswith(zero) and not text[: -len(zero)][-1:].isdigit() and text != zero:
            text = text.removesuffix(zero)
    return text


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count // 10**6}MB" if count and count % 10**6 == 0 else str(count)


# -- what is built: asked of the daemon's own warning, with a value that is no default -------------------


def _global_not_built() -> set[str]:
    names = fields_of(GlobalConfig)
    return _warned(
        *(Config(global_=replace(GlobalConfig(), **{field.attribute: object()})) for field in names.values())
    )


def _hooks_not_built() -> set[str]:
    names = fields_of(HooksConfig)
    return _warned(
        *(Config(hooks=replace(HooksConfig(), **{field.attribute: object()})) for field in names.values())
    )


def _process_not_built(process: ProcessConfig) -> set[str]:
    changed: list[ProcessConfig] = []
    for field in fields_of(ProcessConfig).values():
        changed.append(replace(process, **{field.attribute: object()}))
        inner = getattr(process, field.attribute)
        if field.attribute == "health_check":
            inner = HealthCheckConfig()
        if isinstance(inner, Struct):
            changed.pop()
            changed += [
                replace(process, **{field.attribute: replace(inner, **{one.attribute: object()})})
                for one in fields_of(type(inner)).values()
            ]
    return _warned(*(Config(processes={"NAME": one}) for one in changed))


def _warned(*configs: Config) -> set[str]:
    return {path for config in configs for path in not_acted_on(config)}
