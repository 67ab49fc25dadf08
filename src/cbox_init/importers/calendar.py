"""Calendar times of systemd.time(7) as expressions of cron, where they have such a form."""

from __future__ import annotations

import re
from typing import Final

from cbox_init.cron import CronError, find_zone, parse

_WORDS: Final = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "semi-annually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "anually": "0 0 1 1 *",
}
_DAYS: Final = {"mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "sun": 7}
_DATE: Final = re.compile(r"(?:(\S+)-)?([^\s-]+)-([^\s-]+)")
_TIME: Final = re.compile(r"([^:\s]+):([^:\s]+)(?::([^:\s]+))?")
_PART: Final = re.compile(r"(\*|\d{1,2})(?:\.\.(\d{1,2}))?(?:/(\d{1,2}))?", re.ASCII)


def calendar_to_cron(text: str) -> tuple[str, str] | None:
    """The expression, and its time zone; None where cron has no such times."""
    words = text.split()
    zone = "Local"
    if len(words) > 1 and _is_zone(words[-1]):
        zone = "UTC" if words[-1] == "UTC" else words[-1]
        words = words[:-1]
    if len(words) == 1 and words[0].lower() in _WORDS:
        return _WORDS[words[0].lower()], zone
    if not words:
        return None
    weekday, date, time = "*", ("*", "*"), ("0", "0")
    for index, word in enumerate(words):
        if index == 0 and (days := _weekdays(word)) is not None:
            weekday = days
        elif (found := _time(word)) is not None and ":" in word:
            time = found
        elif (day := _date(word)) is not None:
            date = day
        else:
            return None
    month, month_day = date
    if weekday != "*" and month_day != "*":
        return None  # there both must fit, in cron either
    expression = f"{time[1]} {time[0]} {month_day} {month} {weekday}"
    try:
        parse(expression)
    except CronError:
        return None
    return expression, zone


def _is_zone(word: str) -> bool:
    if word == "UTC":
        return True
    if not word[:1].isalpha() or "/" not in word or ":" in word:
        return False
    try:
        find_zone(word)
    except CronError:
        return False
    return True


def _weekdays(word: str) -> str | None:
    parts: list[str] = []
    for part in word.rstrip(",").lower().split(","):
        first, dots, last = part.partition("..")
        days = [_DAYS.get(day[:3]) for day in ((first, last) if dots else (first,))]
        if None in days or not first.isalpha():
            return None
        parts.append("-".join(str(day) for day in days))
    return ",".join(parts)


def _date(word: str) -> tuple[str, str] | None:
    """Month and day of the month; a year that is restricted has no form."""
    found = _DATE.fullmatch(word)
    if found is None or found[1] not in (None, "*"):
        return None
    month, day = _field(found[2], 1, 12), _field(found[3], 1, 31)
    return None if month is None or day is None else (month, day)


def _time(word: str) -> tuple[str, str] | None:
    """Hour and minute; seconds other than 0 have no form."""
    found = _TIME.fullmatch(word)
    if found is None or (found[3] is not None and found[3].strip("0") not in ("", ".")):
        return None
    hour, minute = _field(found[1], 0, 23), _field(found[2], 0, 59)
    return None if hour is None or minute is None else (hour, minute)


def _field(text: str, first: int, last: int) -> str | None:
    parts: list[str] = []
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return None
        begin, end, step = found.groups()
        shown = begin if begin == "*" else str(int(begin))
        if end is not None:
            shown = f"{shown}-{int(end)}"
        if step is not None:
            if end is None and begin != "*":
                shown = "*" if int(begin) == first else f"{int(begin)}-{last}"
            shown = f"{shown}/{int(step)}"
        parts.append(shown)
    return ",".join(parts)
