"""Every key of the configuration's model, with its type, default, range and meaning in words."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields as struct_fields
from msgspec.structs import replace

from cbox_init.config.check import not_acted_on
from cbox_init.config.legacy import RENAMED
from cbox_init.config.model import Config, GlobalConfig
from cbox_init.config.model.kinds import LARGEST_COUNT, LONGEST_S, Kind
from cbox_init.config.scalars import format_duration, format_statuses
from cbox_init.config.schema import ValueSpec, ValueType, fields_of, section_type
from cbox_init.reference.meanings import meanings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A value as YAML has it.
Plain: TypeAlias = "bool | int | float | str"

_TYPES: Final = {
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
    Kind.EXIT_CODES: "exit code, or list of these",
    Kind.UMASK: "octal number",
    Kind.ENVIRONMENT: "`inherit`, `clean` or list of names",
    Kind.ATTEMPTS: "integer or `unlimited`",
    Kind.SCALE: "integer or `auto`",
    Kind.AMOUNT: "number, percentage or size",
}
#: What a number without a unit counts.
_UNITS: Final[dict[ValueType | Kind, str]] = {
    Kind.DURATION: "seconds",
    Kind.DURATION_MS: "milliseconds",
    Kind.SIZE: "bytes",
    Kind.SIZE_RLIMIT: "bytes",
}
_EXAMPLES: Final[dict[ValueType | Kind, str]] = {
    Kind.DURATION: "10s",
    Kind.DURATION_MS: "500ms",
    Kind.SIZE: "8MiB",
    Kind.RLIMIT: "65536",
    Kind.SIZE_RLIMIT: "8MiB",
    Kind.ATTEMPTS: "10",
    Kind.SCALE: "3",
    Kind.AMOUNT: "100",
    Kind.SIGNAL: "SIGTERM",
    ValueType.INT: "10",
    ValueType.FLOAT: "0.5",
}
_DURATIONS: Final = (Kind.DURATION, Kind.DURATION_MS)
_STEPS: Final = {ValueType.SECTION_LIST: "[]", ValueType.SECTION_MAP: ".NAME"}
NOTHING: Final = "\N{EN DASH}"

#: Keys that are read for older files' sake and mean nothing here.
UNUSED: Final = frozenset(("global.zombie_reap_interval", "processes.NAME.priority", "version"))


class Key(NamedTuple):
    """One key of the model.

    ``section`` is the path of the section that it stands in, whose Struct is ``owner``. ``type``,
    ``default``, ``range`` and ``built`` are cells of the tables in docs/configuration.md. ``example`` is
    YAML, empty for some sections. ``variable`` is the environment variable that sets it, if one does.
    """

    section: str
    name: str
    owner: type[Struct]
    spec: ValueSpec
    type: str
    default: str
    range: str
    built: str
    text: str
    example: str
    variable: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def inner(self) -> str:
        """The path of the keys below it, if it is a section."""
        return self.path + (_STEPS.get(_value_type(self.spec), "") if _struct(self.spec) else "")

    @property
    def unit(self) -> str:
        return _UNITS.get(self.spec.value_type, "")

    @property
    def older_names(self) -> tuple[str, ...]:
        return older_names(self.owner, self.name)


def older_names(section: type[Struct], key: str) -> tuple[str, ...]:
    """The names that older files use for a key of a section."""
    return tuple(old for old, new in RENAMED.get(section, {}).items() if new == key)


@cache
def keys() -> tuple[Key, ...]:
    """Every key of the model, each section behind the key that holds it."""
    return tuple(_keys_of(Config, "", _not_built(), ""))


def default_of(section: type[Struct], attribute: str, spec: ValueSpec) -> Plain | None:
    """The default of a key as YAML has it; None where there is none, or it follows from something else."""
    (default,) = (field.default for field in struct_fields(section) if field.name == attribute)
    if default is NODEFAULT or default is None or default == () or default == "":
        return None
    if isinstance(default, Enum):
        return str(default.value)
    if spec.value_type in _DURATIONS:
        return _duration(cast("float", default))
    if spec.value_type is Kind.SIZE:
        return _size(cast("int", default))
    if spec.value_type is Kind.UMASK:
        return f"{default:o}"
    if spec.value_type is Kind.STATUSES:
        return format_statuses(cast("tuple[tuple[int, int], ...]", default))
    if spec.value_type is Kind.EXIT_CODES:
        return ", ".join(map(str, cast("tuple[int, ...]", default)))
    assert isinstance(default, bool | int | float | str)
    return default


def _keys_of(section: type[Struct], path: str, not_built: set[str], prefix: str | None) -> Iterator[Key]:
    """``prefix`` begins the names of the environment's variables; None where no variable reaches."""
    texts = meanings(section)
    for name, field in fields_of(section).items():
        at = f"{path}.{name}" if path else name
        spec = field.spec
        word = "unused" if at in UNUSED else "not yet" if at in not_built else "yes"
        text, example = texts[name]
        key = Key(
            section=path,
            name=name,
            owner=section,
            spec=spec,
            type=_type(spec),
            default=_default(default_of(section, field.attribute, spec)),
            range=_range(spec),
            built=word,
            text=text,
            example=example or _example(spec, default_of(section, field.attribute, spec)),
            variable=f"{prefix}{_upper(name)}" if prefix else "",
        )
        yield key
        if (inner := _struct(spec)) is not None:
            yield from _keys_of(inner, key.inner, not_built, _inner_prefix(key, prefix))


def _inner_prefix(key: Key, prefix: str | None) -> str | None:
    if not key.section:
        return {"global": "CBOX_INIT_GLOBAL_", "processes": "CBOX_INIT_PROCESS_NAME_"}.get(key.name)
    if prefix is None or section_type(key.spec) is None:
        return None
    return f"{prefix}{_upper(key.name)}_"


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _struct(spec: ValueSpec) -> type[Struct] | None:
    return spec.type if spec.type is not None and issubclass(spec.type, Struct) else None


def _value_type(spec: ValueSpec) -> ValueType:
    assert isinstance(spec.value_type, ValueType)
    return spec.value_type


def words_of(spec: ValueSpec) -> tuple[str, ...]:
    """The words that a key takes, if it takes one of a few."""
    if spec.value_type is not ValueType.WORD:
        return ()
    assert spec.type is not None and issubclass(spec.type, Enum)
    return tuple(str(member.value) for member in spec.type)


def _type(spec: ValueSpec) -> str:
    words = words_of(spec)
    return ", ".join(f"`{word}`" for word in words) if words else _TYPES[spec.value_type]


def _default(default: Plain | None) -> str:
    if default is None:
        return NOTHING
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _example(spec: ValueSpec, default: Plain | None) -> str:
    if spec.value_type is ValueType.BOOL:
        return str(not default).lower()
    if words := words_of(spec):
        return next(word for word in words if word != default)
    return _EXAMPLES.get(spec.value_type, "")


def _range(spec: ValueSpec) -> str:
    if spec.value_type is Kind.UMASK:
        return f"0 to {int(cast('float', spec.le)):o}"
    low = spec.ge if spec.ge is not None else spec.gt
    if low is None:
        return NOTHING
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


def _not_built() -> set[str]:
    """The keys of ``global`` of which the daemon's own warning says that they have no effect yet."""
    default = GlobalConfig()
    changed = (replace(default, **{field.attribute: object()}) for field in fields_of(GlobalConfig).values())
    return {path for one in changed for path in not_acted_on(Config(global_=one))}
