"""Format values for people. Pure, but for the zone of times."""

from __future__ import annotations

import math
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
    """An RFC 3339 time in UTC as local time with its zone: ``2026-11-24T10:08:03.778+01:00``.

    It is cut to milliseconds. The zone is that of TZ or of this machine; UTC is ``Z``. Anything else is
    returned unchanged.
    """
    second, point, fraction = timestamp.partition(".")
    if not point:
        second, fraction = second.removesuffix("Z"), "Z"
    if not timestamp.endswith("Z"):
        return timestamp
    there, zone = _local(second)
    digits = fraction.removesuffix("Z")[:3]
    return f"{there}.{digits}{zone}" if digits else f"{there}{zone}"


def to_seconds(timestamp: str) -> str:
    """The same to the second, with a blank: ``2026-11-24 10:08:03+01:00``."""
    if not timestamp.endswith("Z"):
        return timestamp
    there, zone = _local(timestamp.removesuffix("Z").partition(".")[0])
    return f"{there.replace('T', ' ')}{zone}"


@lru_cache(maxsize=64)
def _local(second: str) -> tuple[str, str]:
    """A time in UTC as local time, and the zone of that; unchanged when it is none."""
    from datetime import datetime

    try:
        text = datetime.fromisoformat(f"{second}+00:00").astimezone().isoformat()
    except (ValueError, OverflowError):
        return second, "Z"
    there, zone = text[:19], text[19:]
    return there, "Z" if zone == "+00:00" else zone


def use_utc() -> Callable[[], None]:
    """Show times in UTC from now on; gives what ends that."""
    before = os.environ.get("TZ")

    def set_zone(zone: str | None) -> None:
        if zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = zone
        time.tzset()
        _local.cache_clear()

    set_zone("UTC")
    return lambda: set_zone(before)
