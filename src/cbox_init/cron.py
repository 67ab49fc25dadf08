"""Computes the times of a cron expression (five fields or a name) in a time zone, for schedules.

Where both the day of the month and the weekday are restricted, a day matches when either does.

Where clocks are put forward or back, a schedule is one of two kinds:

- One that is not restricted to certain hours follows elapsed time: a day of 23 hours has 23 of its hours, one
  of 25 has 25.
- One with certain hours follows local time: a time that is left out comes when the clock goes on, a time that
  comes twice counts the first time. No time is skipped, and none counts twice.

``@every 90s`` is no expression of cron but an interval, as in Go's cron packages (`Interval`).

Importing it takes 3 ms (with cronsim), and happens only where something has a schedule.
"""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from struct import pack
from typing import TYPE_CHECKING, Final

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every"
#: A duration as Go writes it.
_INTERVAL: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNIT_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 10 * 365 * 86_400.0
_LOCALTIME: Final = "/etc/localtime"
_ZONEINFO: Final = "/usr/share/zoneinfo/"
#: What precedes the zone at the beginning of an expression.
_ZONE_PREFIXES: Final = ("CRON_TZ=", "TZ=")
_ALL_HOURS: Final = frozenset(range(24))
_HOUR: Final = 1
_DAY: Final = 2
_WEEKDAY: Final = 4
_UNRESTRICTED: Final = ("*", "*/1")
_MINUTE: Final = timedelta(minutes=1)

#: How many parsed expressions are cached: each is parsed by the checks of the file, and by its process.
_CACHE_SIZE: Final = 16_384

#: How to fix an expression.
EXPRESSION_HINT: Final = (
    'write five fields (minute hour day month weekday) such as "*/5 * * * *", a name such as "@daily", '
    'or "@every 90s"'
)


class CronError(ValueError):
    """An invalid expression, one that never comes, or an unknown time zone; the message says which."""


class Cron:
    """The times of one expression in one time zone, as Unix seconds.

    ``every_hour``: it follows elapsed time rather than local time.
    """

    __slots__ = ("_fields", "_zone", "every_hour")

    def __init__(self, fields: str, zone: tzinfo, *, every_hour: bool) -> None:
        self._fields = fields
        self._zone = zone
        self.every_hour = every_hour

    def after(self, unix: float) -> float | None:
        """The first time after ``unix``; None if none comes within 50 years."""
        start = datetime.fromtimestamp(unix, self._zone)
        if not self.every_hour:
            start = start.replace(tzinfo=None)
        for found in CronSim(self._fields, start):
            at = (found if self.every_hour else self._from_local(found)).timestamp()
            if at > unix:  # else the first of two equal local times, which is past
                return at
        return None

    def _from_local(self, naive: datetime) -> datetime:
        """The time of a local time: the first if it comes twice, the next existing one if it never comes."""
        while not _exists(found := naive.replace(tzinfo=self._zone)):
            naive += _MINUTE
        return found


class Interval:
    """The times of an interval of ``seconds``, which are counted from the Unix time ``origin``."""

    __slots__ = ("origin", "seconds")
    every_hour = True

    def __init__(self, seconds: float, origin: float) -> None:
        self.seconds = seconds
        self.origin = origin

    def after(self, unix: float) -> float:
        """The first time after ``unix``."""
        count = math.floor((unix - self.origin) / self.seconds) + 1
        at = self.origin + count * self.seconds
        return at if at > unix else at + self.seconds


def parse(expression: str, zone: tzinfo = UTC, *, origin: float = 0.0) -> Cron | Interval:
    """Parse ``expression``; an interval counts from the Unix time ``origin``. Raises CronError."""
    if (interval := _interval_of(expression)) is not None:
        return Interval(interval, origin)
    fields, every_hour = _parse_fields(expression)
    return Cron(fields, zone, every_hour=every_hour)


def split_zone(expression: str) -> tuple[str | None, str]:
    """Split an expression into the zone it begins with, or None, and the rest.

    An example with a zone: ``CRON_TZ=Europe/Berlin 0 3 * * *``.
    """
    first, _, rest = expression.strip().partition(" ")
    for prefix in _ZONE_PREFIXES:
        if first.startswith(prefix):
            return first.removeprefix(prefix), rest.strip()
    return None, expression


def _interval_of(expression: str) -> float | None:
    """The seconds of ``@every 1h30m``, None for any other expression. Raises CronError."""
    word, _, text = expression.strip().partition(" ")
    if word.lower() != _EVERY:
        return None
    text, seconds, position = text.strip(), 0.0, 0
    while part := _INTERVAL.match(text, position):
        seconds += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise CronError(f"{expression!r} has no interval such as 90s or 1h30m")
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise CronError(f"{expression!r} is not an interval from 1s to 10 years (87600h)")
    return seconds


@lru_cache(_CACHE_SIZE)
def _parse_fields(expression: str) -> tuple[str, bool]:
    """The five fields of an expression, and whether it has times in every hour. Raises CronError."""
    fields = expression.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        named = _NAMES.get(fields[0].lower())
        if named is None:
            raise CronError(
                f"{expression!r} is unknown; the names are {', '.join(_NAMES)} and {_EVERY} INTERVAL"
            )
        fields = named.split()
    if len(fields) != 5:
        many = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise CronError(f"{expression!r} has {many}, expected 5")
    fields = ["*" if field == "?" else field for field in fields]
    if fields[_DAY] not in _UNRESTRICTED and fields[_WEEKDAY] not in _UNRESTRICTED:
        # cronsim requires both to match if one begins with a star.
        fields[_DAY] = _without_star(fields[_DAY], "1-31")
        fields[_WEEKDAY] = _without_star(fields[_WEEKDAY], "0-6")
    try:
        simulated = CronSim(" ".join(fields), datetime(2000, 1, 1))
    except (CronSimError, ValueError) as error:
        raise CronError(f"{expression!r} is not a schedule: {str(error).lower()}") from None
    every_hour = simulated.hours == _ALL_HOURS
    if every_hour:
        fields[_HOUR] = "*"  # also "0-23"
    if next(simulated, None) is None:
        raise CronError(f"{expression!r} never comes")
    return " ".join(fields), every_hour


def _without_star(field: str, whole: str) -> str:
    """The field for the same days without a star."""
    return ",".join(whole + part[1:] if part.startswith("*") else part for part in field.split(","))


def find_zone(name: str, environ: Mapping[str, str] = os.environ) -> tzinfo:
    """Find a zone by "UTC", "Local" (TZ, else /etc/localtime, else UTC) or an IANA name. Raises CronError."""
    match name.strip().lower():
        case "utc" | "":
            return UTC
        case "local":
            return _local_zone(environ)
    return _iana_zone(name.strip())


def _iana_zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a valid name, a directory of zones
        raise CronError(f"unknown time zone {name!r}") from None


def _local_zone(environ: Mapping[str, str]) -> tzinfo:
    """The zone of ``TZ`` in every form of tzset(3): a name, a path, or a rule such as ``JST-9``."""
    name = environ.get("TZ", "").removeprefix(":").strip()
    if not name:
        try:
            return _zone_of_file(_LOCALTIME)
        except (OSError, ValueError):
            return UTC
    if name.startswith("/"):
        try:
            return _zone_of_file(name)
        except (OSError, ValueError):
            raise CronError(f"TZ={name} in the environment is not a time zone file") from None
    try:
        return _iana_zone(name)
    except CronError:
        pass
    try:
        return _zone_of_rule(name)
    except ValueError:
        raise CronError(f"TZ={name!r} in the environment is not a time zone") from None


def _zone_of_file(path: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    with open(path, "rb") as file:
        return ZoneInfo.from_file(file, path.removeprefix(_ZONEINFO))


def _zone_of_rule(rule: str) -> tzinfo:
    """The zone of a rule of POSIX, which is what the last line of a zone file holds. Raises ValueError."""
    from io import BytesIO
    from zoneinfo import ZoneInfo

    if not rule.isascii() or not rule.isprintable():
        raise ValueError("no rule of POSIX")
    # A zone file of version 2 without transitions, with one type of local time.
    part = b"TZif2" + bytes(15) + pack(">6l", 0, 0, 0, 0, 1, 4) + pack(">lbb", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(BytesIO(part + part + b"\n" + rule.encode() + b"\n"), rule)


def _exists(local: datetime) -> bool:
    """Whether this local time exists in its zone."""
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None)
