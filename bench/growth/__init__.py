"""How figures grow with a number, one series a file. A new one is a Series like these and a line in ALL."""

from bench.growth import checks, children, connections, event_readers, floods, readers, resources, schedules
from bench.growth.base import Series

__all__ = ["ALL", "Series"]

ALL: tuple[Series, ...] = (
    children.SERIES,
    connections.SERIES,
    floods.SERIES,
    checks.SERIES,
    readers.SERIES,
    event_readers.SERIES,
    resources.SERIES,
    schedules.SERIES,
)
