"""``${NAME}`` and ``${NAME:-default}`` in texts. ``$NAME`` is left alone: shells in commands need it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

#: Names that each instance (or run, or hook) gets from the supervisor, so that only it can put them in.
INSTANCE_NAMES: Final = frozenset(
    (
        "PORT",
        "CBOX_INIT_PROCESS_NAME",
        "CBOX_INIT_INSTANCE_ID",
        "CBOX_INIT_INSTANCE_INDEX",
        "CBOX_INIT_INSTANCE_NUMBER",
        "CBOX_INIT_HOOK_NAME",
        "CBOX_INIT_SCHEDULED",
        "CBOX_INIT_SCHEDULE",
        "CBOX_INIT_START_TIME",
        "CBOX_SERVICE",
        "CBOX_PROCESS",
        "CBOX_INSTANCE",
    )
)


def expand(text: str, variables: Mapping[str, str], keep: Collection[str] = frozenset()) -> str:
    """``text`` with every reference replaced: empty when unset, the default when unset or empty.

    References to a name of ``keep`` stay as they are. What is put in is not searched again.
    """
    return _replace(text, variables, lambda name: name not in keep)


def expand_instance(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with the references to `INSTANCE_NAMES` replaced, and nothing else.

    For what was loaded: all other references were replaced then, and a value of the environment that happens
    to hold ``${…}`` must stay what it is.
    """
    return _replace(text, variables, INSTANCE_NAMES.__contains__)


def references(text: str) -> list[tuple[str, bool]]:
    """The names that ``text`` refers to, each with whether it has a default."""
    return [(found[1], found[2] is not None) for found in _REFERENCE.finditer(text)]


def _replace(text: str, variables: Mapping[str, str], wanted: Callable[[str], bool]) -> str:
    if "${" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if not wanted(name):
            return found[0]
        return variables.get(name) or default or ""

    return _REFERENCE.sub(value, text)
