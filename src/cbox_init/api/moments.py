"""Moments as clients write them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from cbox_init.config.scalars import parse_duration

_SECOND_NS: Final = 1_000_000_000
# Eleven digits reach the year 5138. Thirteen are milliseconds, which would be taken for a far future.
_UNIX: Final = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
# A blank before the zone is a plus sign that was not escaped in a URL.
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:\d\d)?)?", re.ASCII
)


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
