"""The configuration for the API: values that JSON has, with every secret as ``***``."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model.kinds import INHERITS_ALL, UNLIMITED, CpuCount, Kind, Zero
from cbox_init.config.schema import fields_of, secrets_in
from cbox_init.config.secret import MASK, Secret
from cbox_init.sensitive import (
    KnownSecrets,
    command_without_secrets,
    looks_random,
    names_a_place,
    passwords_in_urls,
    sounds_secret,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cbox_init.config.model import Config
    from cbox_init.config.schema import Field, ValueSpec


def masked(section: Struct, known: KnownSecrets | None = None) -> dict[str, object]:
    """A section of the configuration by its file's keys. Durations are seconds, sizes bytes.

    Masked are secrets, values of ``env`` whose name sounds secret, what is a secret by its form in any text,
    and the values that are ``known``.
    """
    fields = fields_of(type(section))
    return {key: masked_value(section, key, field, known) for key, field in fields.items()}


def masked_value(section: Struct, key: str, field: Field, known: KnownSecrets | None = None) -> object:
    """The value of one key as ``masked`` has it."""
    return _shown(key, _worded(field, section), known or KnownSecrets())


def plain_value(section: Struct, key: str, field: Field) -> object:
    """As ``masked_value``, with everything that is secret: for comparison, never to be shown."""
    return _plain(_worded(field, section))


def secret_values(config: Config, environ: Mapping[str, str], withheld: Iterable[str] = ()) -> Iterator[str]:
    """The values of all secrets of a configuration and of the environment that it was read under.

    ``withheld`` are names of variables that are secrets of the daemon, whatever they sound like.
    """
    yield from _secret_variables(environ)
    yield from (environ[name] for name in withheld if name in environ)
    yield from secrets_in(config.global_)
    yield from secrets_in(config.notifications)
    hooks = config.hooks
    for hook in (*hooks.pre_start, *hooks.post_start, *hooks.pre_stop, *hooks.post_stop):
        yield from _secret_variables(hook.env)
    for process in config.processes.values():
        yield from secrets_in(process)
        yield from _secret_variables(process.env)
        variables = process.variables
        yield from (value.reveal() for value in variables.kept.values())
        for name, value in variables.given.items():
            text = value.reveal()
            if sounds_secret(name) or name in variables.withheld or looks_random(text):
                yield text


def _secret_variables(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if sounds_secret(name) and not names_a_place(name):
            yield value
        else:
            yield from passwords_in_urls(value)


def worded(spec: ValueSpec, value: object) -> str | None:
    """The word that a file has for the number 0 where 0 means that the key is not set; else None."""
    if spec.zero not in (Zero.UNSET_OR_WORD, Zero.UNSET_IN_FILE) or value != 0:
        return None
    return "never" if spec.zero is Zero.UNSET_OR_WORD and spec.ge == 0 else "off"


def _worded(field: Field, section: Struct) -> object:
    """The value of a key; one that a word stands for in the file, as that word.

    Whole seconds are integers: clients in Go read them as such.
    """
    value: object = getattr(section, field.attribute)
    if field.spec.zero is Zero.UNSET_OR_WORD and (word := worded(field.spec, value)) is not None:
        return word
    if isinstance(value, CpuCount):
        return "auto"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value == UNLIMITED and field.spec.value_type in (Kind.RLIMIT, Kind.SIZE_RLIMIT):
        return "unlimited"
    if field.spec.value_type is Kind.STATUSES:
        ranges: tuple[tuple[int, int], ...] = getattr(section, field.attribute)
        statuses = [first if first == last else f"{first}-{last}" for first, last in ranges]
        return statuses[0] if len(statuses) == 1 else statuses
    if field.spec.value_type is Kind.EXIT_CODES:
        return list(getattr(section, field.attribute))
    if field.spec.value_type is Kind.ENVIRONMENT:
        return "inherit" if value == INHERITS_ALL else "clean" if value == () else value
    if field.spec.value_type is Kind.UMASK and value is not None:
        return f"{value:03o}"
    return value


def _shown(key: str, value: object, known: KnownSecrets) -> object:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return known.masked(without_secrets(value))
    if isinstance(value, Struct):
        return masked(value, known)
    if isinstance(value, dict):
        return (
            _environment(value, known)
            if key == "env"
            else {name: _shown(name, item, known) for name, item in value.items()}
        )
    if key == "command" and isinstance(value, tuple):
        return [known.masked(word) for word in command_without_secrets(value)]
    if isinstance(value, tuple):
        return [_shown(key, item, known) for item in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _environment(env: Mapping[str, str], known: KnownSecrets) -> dict[str, object]:
    return {
        name: MASK if value and sounds_secret(name) else known.masked(without_secrets(value))
        for name, value in env.items()
    }
