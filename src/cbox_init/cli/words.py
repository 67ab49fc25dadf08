"""Values as words for people: pure, the same on a terminal and in a pipe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def uptime(seconds: float | None) -> str:
    """The two largest units that matter: 4s, 2m3s, 1h5m, 3d4h; ``-`` for None. Less than 0 is 0."""
    if seconds is None:
        return "-"
    whole = max(0, math.floor(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour}h"
    if hours:
        return f"{hours}h{minute}m"
    if minutes:
        return f"{minutes}m{rest}s"
    return f"{whole}s"


def took(started: str, ended: str) -> str:
    """The time between two RFC 3339 times: 0.012s, 3.4s, then as ``uptime``; ``-`` when one is none."""
    from datetime import datetime

    try:
        seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except (ValueError, TypeError):
        return "-"
    if seconds >= 60:
        return uptime(seconds)
    return f"{max(0.0, seconds):.{1 if seconds >= 1 else 3}f}s"


def size(count: int | None) -> str:
    """Bytes with a binary unit, such as 12.3 MiB; ``-`` for None."""
    if count is None:
        return "-"
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def percent(value: float | None) -> str:
    """A share with one decimal, such as 3.5%; ``-`` for None."""
    return "-" if value is None else f"{value:.1f}%"


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant, if one is near."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    found = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def to_milliseconds(timestamp: str) -> str:
    """An RFC 3339 time in UTC with three digits behind the point; anything else as it is."""
    second, point, fraction = timestamp.partition(".")
    return f"{second}.{fraction[:3]}Z" if point and len(fraction) > 3 and fraction[-1] == "Z" else timestamp
