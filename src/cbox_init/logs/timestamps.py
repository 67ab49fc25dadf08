"""RFC 3339 in UTC, quick for many times of one second."""

from __future__ import annotations

import time

_SECOND_NS = 1_000_000_000


class Timestamps:
    """Writes Unix times given in nanoseconds. May be used from several threads."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = (-1, "")  # one value, so that no thread sees half of a change

    def nanoseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778794659Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest:09d}Z"

    def microseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778794Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest // 1000:06d}Z"

    def milliseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest // 1_000_000:03d}Z"

    def _seconds(self, second: int) -> str:
        last = self._last
        if last[0] != second:
            last = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
            self._last = last
        return last[1]
