"""The model's annotations in the form that the converter and the environment's overrides use."""

from __future__ import annotations

from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, get_args, get_origin

from msgspec import Meta, Struct

from cbox_init.config.model.kinds import Zero
from cbox_init.config.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.config.model.kinds import Kind


class ValueType(Enum):
    """The type of a value that has no `Kind`."""

    SECTION = "a mapping of keys"
    SECTION_LIST = "a list of mappings"
    SECTION_MAP = "a mapping of sections"
    TEXT_LIST = "a list of texts"
    TEXT_MAP = "a mapping of texts"
    SECRET_MAP = "a mapping of secret texts"
    WORD = "one of a few words"
    BOOL = "true or false"
    INT = "a whole number"
    FLOAT = "a number"
    TEXT = "a text"
    SECRET = "a secret text"


_SCALARS: dict[object, ValueType] = {
    bool: ValueType.BOOL,
    int: ValueType.INT,
    float: ValueType.FLOAT,
    str: ValueType.TEXT,
    Secret: ValueType.SECRET,
}


class ValueSpec(Struct, frozen=True):
    """What a key takes. ``type`` is the Struct or the enum that its values are of, where they are.

    ``empty``: an empty text is a value, not an absent one; ``zero``: what 0 means
    (`cbox_init.config.model.kinds.Zero`).
    """

    value_type: ValueType | Kind
    type: type[Struct] | type[StrEnum] | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    empty: bool = False
    zero: Zero = Zero.NUMBER


class Field(Struct, frozen=True):
    """One key of a section: the attribute that holds it, and what it takes."""

    attribute: str
    spec: ValueSpec


class SingleValue(Struct, frozen=True):
    """A value that may stand in place of a section: what it is, and the attributes that it gives."""

    spec: ValueSpec
    attributes: tuple[str, ...]


@cache
def fields_of(section: type[Struct]) -> dict[str, Field]:
    """The keys of a section, in the order of the model."""
    names = zip(section.__struct_encode_fields__, section.__struct_fields__, strict=True)
    annotations = section.__annotations__
    others: frozenset[str] = getattr(section, "not_keys", frozenset())
    return {
        key: Field(attribute, _shape(annotations[attribute]))
        for key, attribute in names
        if attribute not in others
    }


def section_type(spec: ValueSpec) -> type[Struct] | None:
    """The Struct of a single section, None for every other spec."""
    if spec.value_type is ValueType.SECTION and spec.type is not None and issubclass(spec.type, Struct):
        return spec.type
    return None


@cache
def may_hold_secret(spec: ValueSpec) -> bool:
    """Whether a value of this kind is a secret, or holds one."""
    if spec.value_type in (ValueType.SECRET, ValueType.SECRET_MAP):
        return True
    if spec.type is None or not issubclass(spec.type, Struct):
        return False
    return any(may_hold_secret(field.spec) for field in fields_of(spec.type).values())


def secrets_in(value: object) -> Iterator[str]:
    """The texts of all secrets in a section."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Struct):
        for field in fields_of(type(value)).values():
            if may_hold_secret(field.spec):
                yield from secrets_in(getattr(value, field.attribute))
    elif isinstance(value, dict):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from secrets_in(item)


def single_value(section: type[Struct]) -> SingleValue | None:
    """What may stand in place of a whole section (``one_value_gives`` of the model), if anything may."""
    attributes: tuple[str, ...] = getattr(section, "one_value_gives", ())
    return SingleValue(fields_of(section)[attributes[0]].spec, attributes) if attributes else None


def _shape(annotation: object) -> ValueSpec:
    if type(None) in get_args(annotation):
        (annotation,) = (choice for choice in get_args(annotation) if choice is not type(None))
    if get_origin(annotation) is Annotated:
        base, meta = get_args(annotation)
        assert isinstance(meta, Meta)
        extra = meta.extra or {}
        kind: ValueType | Kind = extra.get("kind") or _SCALARS[base]
        empty, zero = extra.get("empty", False), extra.get("zero", Zero.NUMBER)
        return ValueSpec(kind, None, meta.ge, meta.gt, meta.le, empty, zero)
    if annotation in _SCALARS:
        return ValueSpec(_SCALARS[annotation])
    if isinstance(annotation, type):
        if issubclass(annotation, Struct):
            return ValueSpec(ValueType.SECTION, annotation)
        if issubclass(annotation, StrEnum):
            return ValueSpec(ValueType.WORD, annotation)
    return _collection(get_origin(annotation), get_args(annotation))


def _collection(origin: object, args: tuple[object, ...]) -> ValueSpec:
    item = args[0] if origin is tuple else args[1]
    if item is str:
        return ValueSpec(ValueType.TEXT_LIST if origin is tuple else ValueType.TEXT_MAP)
    if item is Secret:
        return ValueSpec(ValueType.SECRET_MAP)
    assert isinstance(item, type) and issubclass(item, Struct)
    return ValueSpec(ValueType.SECTION_LIST if origin is tuple else ValueType.SECTION_MAP, item)
