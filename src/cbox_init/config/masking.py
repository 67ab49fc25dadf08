"""The configuration for the API: values that JSON has, with every secret as ``***``."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model.kinds import INHERITS_ALL, UNLIMITED, Kind
from cbox_init.config.schema import fields_of
from cbox_init.config.secret import MASK, Secret
from cbox_init.sensitive import command_without_secrets, sounds_secret, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.schema import Field


def masked(section: Struct) -> dict[str, object]:
    """A section of the configuration by its file's keys. Durations are seconds, sizes bytes.

    Masked are secrets, values of ``env`` whose name sounds secret, and passwords in URLs anywhere.
    """
    fields = fields_of(type(section))
    return {key: masked_value(section, key, field) for key, field in fields.items()}


def masked_value(section: Struct, key: str, field: Field) -> object:
    """The value of one key as ``masked`` has it."""
    return _shown(key, _worded(field, section))


def _worded(field: Field, section: Struct) -> object:
    """The value of a key; one that a word stands for in the file, as that word."""
    value: object = getattr(section, field.attribute)
    if value == UNLIMITED and field.spec.value_type in (Kind.RLIMIT, Kind.SIZE_RLIMIT):
        return "unlimited"
    if field.spec.value_type is Kind.STATUSES:
        ranges: tuple[tuple[int, int], ...] = getattr(section, field.attribute)
        statuses = [first if first == last else f"{first}-{last}" for first, last in ranges]
        return statuses[0] if len(statuses) == 1 else statuses
    if field.spec.value_type is Kind.ENVIRONMENT:
        return "inherit" if value == INHERITS_ALL else "clean" if value == () else value
    if field.spec.value_type is Kind.UMASK and value is not None:
        return f"{value:03o}"
    return value


def _shown(key: str, value: object) -> object:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Struct):
        return masked(value)
    if isinstance(value, dict):
        return (
            _environment(value)
            if key == "env"
            else {name: _shown(name, item) for name, item in value.items()}
        )
    if key == "command" and isinstance(value, tuple):
        return command_without_secrets(value)
    if isinstance(value, tuple):
        return [_shown(key, item) for item in value]
    return value


def _environment(env: Mapping[str, str]) -> dict[str, object]:
    return {
        name: MASK if value and sounds_secret(name) else without_secrets(value) for name, value in env.items()
    }
