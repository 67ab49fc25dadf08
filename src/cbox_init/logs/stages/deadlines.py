"""Calls at a later time, with one timer for all."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_TOGETHER_S: Final = 0.005
"""Calls that are due within this many seconds are made at once."""


class Deadlines:
    """Calls back in the event loop, once there is one. While nothing is due there is no timer.

    ``failed`` is called with what a callback raises.
    """

    def __init__(self, failed: Callable[[Exception], object]) -> None:
        self._failed = failed
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call back in ``loop`` from now on."""
        self._loop = loop
        self._arm()

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` in ``delay_s`` seconds, or a little later."""
        first = self._waiting[0][0] if self._waiting else None
        at = monotonic() + delay_s
        heappush(self._waiting, (at, next(self._number), callback))
        if first is None or at < first:
            self._arm()

    def close(self) -> None:
        """Call nothing any more."""
        self._loop = None
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._waiting:
            # The loop's clock is the monotonic one, for uvloop rounded to milliseconds.
            delay_s = max(self._waiting[0][0] - monotonic(), 0.0)
            self._timer = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        until = monotonic() + _TOGETHER_S
        due: list[Callable[[], None]] = []
        while self._waiting and self._waiting[0][0] <= until:
            due.append(heappop(self._waiting)[2])
        for callback in due:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  # one that fails does not prevent the others
                self._failed(error)
        self._arm()
