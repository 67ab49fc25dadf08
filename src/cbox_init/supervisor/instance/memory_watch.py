"""The memory of a process's instances: measured now and then, each with all that it has started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.core.health import spread
from cbox_init.core.memory import excess, next_look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.supervisor.instance.live import Live
    from cbox_init.supervisor.runtime import Runtime


class MemoryWatch:
    """Measures what lives, each instance every `PERIOD_S`, and tells ``on_weighed`` of each.

    ``on_weighed`` gets the index and pid, and in what that instance is above the limit, or None. ``lives`` is
    a live view of the instances of which something lives. With a limit of 0 nothing is measured, and with no
    instances nobody is woken.
    """

    def __init__(
        self,
        limit_mb: int,
        *,
        lives: Mapping[int, Live],
        runtime: Runtime,
        on_weighed: Callable[[int, int, str | None], None],
    ) -> None:
        self._limit_mb = 0
        self._lives = lives
        self._runtime = runtime
        self._on_weighed = on_weighed
        self._due: dict[int, float] = {}
        self.change(limit_mb)

    def change(self, limit_mb: int) -> None:
        """Another limit: it counts at once for what lives."""
        if limit_mb != self._limit_mb:
            self._limit_mb = limit_mb
            now = self._runtime.now()
            self._due = dict.fromkeys((live.pid for live in self._lives.values()), now)
            self._runtime.run_queue.wake(self)

    def begun(self) -> None:
        """Another instance lives."""
        self._runtime.run_queue.wake(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Measure those that are due."""
        now = self._runtime.now()
        before, self._due = self._due, {}
        for live in self._lives.values():
            self._due[live.pid] = before.get(live.pid) or next_look_at(spread(live.id), now)
        resident = None
        for live in tuple(self._lives.values()):
            if self._due[live.pid] > now:
                continue
            resident = resident or self._runtime.resident()
            weight = resident(live.id, live.pid) if self._limit_mb else 0
            self._due[live.pid] = next_look_at(spread(live.id), now)
            self._on_weighed(live.index, live.pid, excess(weight, self._limit_mb))
            if time.monotonic() >= stop_at:
                break
        return min(self._due.values(), default=None) if self._limit_mb else None
