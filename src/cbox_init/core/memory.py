"""When the memory of an instance is measured, and whether it is above its limit."""

from __future__ import annotations

import math
from typing import Final

#: Seconds between two measurements of one instance.
PERIOD_S: Final = 5.0

#: Memory is measured at multiples of this many seconds: instances are spread over the period in groups.
SLOT_S: Final = 1.0

#: How old a sample of the history may be to be used instead of a measurement, in seconds.
SAMPLE_SERVES_S: Final = PERIOD_S / 2

MIB: Final = 2**20


def next_measurement_at(place: float, now: float) -> float:
    """The monotonic time of the next look at an instance with this ``place`` (0 to below 1) in the period."""
    offset = math.floor(place * PERIOD_S / SLOT_S) * SLOT_S
    return offset + (math.floor((now - offset) / PERIOD_S) + 1) * PERIOD_S


def excess(resident_bytes: int, limit_mb: int) -> str | None:
    """In what an instance is above ``max_memory_mb``; None when it is not, or there is no limit (0)."""
    if not limit_mb or resident_bytes <= limit_mb * MIB:
        return None
    used = math.ceil(resident_bytes / MIB)
    return f"its memory of {used} MB is above max_memory_mb: {limit_mb}"
