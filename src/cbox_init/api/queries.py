"""Query parameters that several routes share, with their limits."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final

from cbox_init.api.replies import BadRequestError
from cbox_init.api.resource import Parameter
from cbox_init.api.schemas import LEVELS
from cbox_init.config.model.enums import LogLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams

DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 10_000
LONGEST_PATTERN: Final = 200
"""The characters of one name or pattern at most."""

_ORDERS: Final = ("desc", "asc")
_ALL_LEVELS: Final = "all"
_FLAGS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}

#: The schema of a parameter that `flag_of` reads.
FLAG: Final = {"type": "string", "enum": list(_FLAGS), "default": "false"}

LIMIT = Parameter(
    "limit",
    "Maximum number of entries.",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
)
ORDER = Parameter(
    "order",
    "desc: newest first; asc: oldest first. Either way the newest are selected.",
    {"type": "string", "enum": list(_ORDERS), "default": "desc"},
)
SYNC = Parameter(
    "sync",
    "Answer when the run has finished, at most 5 minutes later.",
    FLAG,
)
LEVEL = Parameter("level", "Minimum level to show.", {"type": "string", "enum": [*LEVELS, "all"]})
PROCESS = Parameter("process", "Only of this process.", {"type": "string"})


def pattern_of(name: str, text: str) -> str:
    """A name or a pattern of names, given as the parameter ``name``; raises BadRequestError for a length."""
    if not 0 < len(text) <= LONGEST_PATTERN:
        raise BadRequestError(
            f"{name} must have 1 to {LONGEST_PATTERN} characters, not {len(text)}: {shown(text)}"
        )
    return text


def matcher_of(*patterns: str) -> Callable[[str], Any]:
    """A function that gives something true for what one of the patterns matches.

    Clients choose patterns, and ``fnmatchcase`` would keep many thousands of them in memory.
    """
    return re.compile("|".join(map(translate, patterns))).match


def limit_of(query: QueryParams) -> int:
    """The parameter ``limit``; raises BadRequestError."""
    limit = count_of(query, "limit", least=1)
    return DEFAULT_LIMIT if limit is None else limit


def count_of(query: QueryParams, name: str, *, least: int, most: int = LARGEST_LIMIT) -> int | None:
    """The parameter ``name``, a whole number; None when it is absent. Raises BadRequestError."""
    text = query.get(name)
    if text is None:
        return None
    if len(text) <= 9 and text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise BadRequestError(f"{name} must be a whole number from {least} to {most}, not {shown(text)}")


def flag_of(query: QueryParams, name: str) -> bool:
    """The parameter ``name``, false when it is absent; raises BadRequestError."""
    text = query.get(name, "false")
    if text not in _FLAGS:
        raise BadRequestError(f"{name} must be true or false, not {shown(text)}")
    return _FLAGS[text]


def newest_first(query: QueryParams) -> bool:
    """The parameter ``order``; raises BadRequestError."""
    text = query.get("order", "desc")
    if text not in _ORDERS:
        raise BadRequestError(f"order must be desc or asc, not {shown(text)}")
    return text == "desc"


def level_of(query: QueryParams) -> LogLevel | None:
    """The parameter ``level``; raises BadRequestError."""
    text = query.get("level", _ALL_LEVELS)
    if text.lower() == _ALL_LEVELS:
        return None
    if text.lower() not in LEVELS:
        raise BadRequestError(f"level must be one of {', '.join(LEVELS)}, not {shown(text)}")
    return LogLevel(text.lower())


def shown(text: str) -> str:
    """A value for a message: quoted, in one line, at most 40 characters."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
