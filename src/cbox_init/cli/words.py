"""Format values for people. Pure."""

from __future__ import annotations

import math


def uptime(seconds: float | None) -> str:
    """A duration in its two largest units: 4s, 2m3s, 1h5m, 3d4h; ``-`` for None, 0s when negative."""
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
    """The time between two RFC 3339 times: 0.012s, 3.4s, then as ``uptime``; ``-`` for an invalid time."""
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


def to_milliseconds(timestamp: str) -> str:
    """Shorten an RFC 3339 time in UTC to milliseconds; anything else is returned unchanged."""
    second, point, fraction = timestamp.partition(".")
    return f"{second}.{fraction[:3]}Z" if point and len(fraction) > 3 and fraction[-1] == "Z" else timestamp
