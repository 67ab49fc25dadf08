"""The query parameters that select log lines, shared by the last lines and the stream."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cbox_init.api import queries
from cbox_init.api.caller import caller_of, processes_shown_to
from cbox_init.api.replies import BadRequestError
from cbox_init.api.resource import Parameter, check_process
from cbox_init.config.scalars import parse_duration
from cbox_init.logs.filter import LogFilter, TextSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

_STREAMS: Final = ("stdout", "stderr", "file")
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_MOMENT: Final = "RFC 3339, Unix seconds, or a duration such as 5m that has passed since."

_SECOND_NS: Final = 1_000_000_000
# Eleven digits reach the year 5138. Thirteen are milliseconds, which would be taken for a far future.
_UNIX: Final = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
# A blank before the zone is a plus sign that was not escaped in a URL.
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:\d\d)?)?", re.ASCII
)

PROCESSES = Parameter("process", "A process; can be given more than once. All when absent.", _TEXTS)
MOMENTS: Final = {
    "type": "string",
    "minLength": 1,
    "anyOf": [
        {"format": "date-time"},
        {"format": "date"},
        {"pattern": r"^[0-9]{1,11}(\.[0-9]{1,9})?$"},
        {"pattern": r"^([0-9]{1,5}(ns|us|ms|s|m|h|d)){1,4}$"},
    ],
}
SINCE = Parameter("since", f"No line before this time: {_MOMENT}", MOMENTS)
UNTIL = Parameter("until", f"No line after this time: {_MOMENT}", MOMENTS)
FILTERS = (
    queries.LEVEL,
    Parameter(
        "stream",
        "Where a line was written to; can be given more than once.",
        {"type": "array", "items": {"type": "string", "enum": list(_STREAMS)}},
    ),
    Parameter("instance", "The id of an instance; can be given more than once.", _TEXTS),
    SINCE,
    Parameter("grep", "Text that the message contains.", {"type": "string"}),
    Parameter("ignore_case", "For grep.", {"type": "boolean", "default": False}),
)


def processes_of(request: Request, check_known: Callable[[str], None]) -> Container[str] | None:
    """The processes whose lines are meant: those that are named, or all that the caller may see.

    None is all of them. Raises ForbiddenError, and what ``check_known`` raises for an unknown name.
    """
    caller = caller_of(request.scope)
    names = request.query_params.getlist("process")
    for name in names:
        check_process(caller, name)
        check_known(name)
    if names:
        return frozenset(names)
    return processes_shown_to(request.scope) or None


def filter_of(query: QueryParams, processes: Container[str] | None) -> LogFilter:
    """The filter for lines of ``processes`` (None: all) that ``query`` selects; raises BadRequestError."""
    now_ns = time.time_ns()
    text = query.get("grep")
    ignore_case = queries.flag_of(query, "ignore_case")
    return LogFilter(
        processes=processes,
        instances=frozenset(query.getlist("instance")),
        streams=_streams_of(query),
        min_level=queries.level_of(query),
        since_ns=_moment_of(query, "since", now_ns),
        until_ns=_moment_of(query, "until", now_ns),
        text=TextSearch.of(text, ignore_case=ignore_case) if text else None,
    )


def since_of(query: QueryParams) -> int | None:
    """The parameter ``since`` as Unix time in nanoseconds; raises BadRequestError."""
    return _moment_of(query, "since", time.time_ns())


def _streams_of(query: QueryParams) -> frozenset[str]:
    streams = query.getlist("stream")
    for stream in streams:
        if stream not in _STREAMS:
            raise BadRequestError(f"stream must be one of {', '.join(_STREAMS)}, not {queries.shown(stream)}")
    return frozenset(streams)


def _moment_of(query: QueryParams, name: str, now_ns: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return moment_ns(text, now_ns)
    except (ValueError, OverflowError):
        raise BadRequestError(
            f"{name} must be a time such as 2026-11-24T09:08:03Z, Unix seconds, or a duration such as 5m, "
            f"not {queries.shown(text)}"
        ) from None


def moment_ns(text: str, now_ns: int) -> int:
    """Unix time in nanoseconds from an RFC 3339 time, Unix seconds, or a duration that has passed since.

    ``now_ns`` is the Unix time that durations count from. A time may end with its date, its minute or its
    second; without a zone it is in UTC. Raises ValueError for any other text.
    """
    text = text.strip()
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * _SECOND_NS + _fraction_ns(unix[2])
    if time := _RFC_3339.fullmatch(text):
        date, clock, fraction, zone = time.groups()
        zone = (zone or "Z").upper().replace(" ", "+")
        return _second(f"{date}T{clock or '00:00'}{zone}") * _SECOND_NS + _fraction_ns(fraction)
    if text[-1:].isalpha() and not text.startswith(("-", "+")):
        return now_ns - int(parse_duration(text) * _SECOND_NS)
    raise ValueError(text)


def _second(text: str) -> int:
    at = datetime.fromisoformat(text) - datetime.fromtimestamp(0, UTC)
    return at.days * 86_400 + at.seconds


def _fraction_ns(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))
