"""Measures the memory of a process's instances at intervals, each with all processes that it started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.core.health import spread
from cbox_init.core.memory import SAMPLE_SERVES_S, excess, next_measurement_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.runtime import Runtime


class MemoryWatch:
    """Measures each living instance every `core.memory.PERIOD_S`, and calls ``on_measured`` with the result.

    ``on_measured`` gets index, pid, and a text that says by how much the instance exceeds the limit, or None.
    ``trees`` returns the running process trees. With a limit of 0, or without instances, nothing is measured.
    """

    def __init__(
        self,
        limit_mb: int,
        *,
        trees: Callable[[], list[LiveTree]],
        runtime: Runtime,
        on_measured: Callable[[int, int, str | None], None],
    ) -> None:
        self._limit_mb = 0
        self._trees = trees
        self._runtime = runtime
        self._on_measured = on_measured
        self._due: dict[int, float] = {}
        self.change(limit_mb)

    def change(self, limit_mb: int) -> None:
        """Use another limit, at once also for instances that run."""
        if limit_mb != self._limit_mb:
            self._limit_mb = limit_mb
            now = self._runtime.now()
            self._due = dict.fromkeys((tree.pid for tree in self._trees()), now)
            self._runtime.run_queue.wake(self)

    def begun(self) -> None:
        """An instance has started."""
        self._runtime.run_queue.wake(self)

    def close(self) -> None:
        """Measure no more."""
        self._runtime.run_queue.forget(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Measure the instances that are due (see ``run_queue``)."""
        now = self._runtime.now()
        before, self._due = self._due, {}
        for tree in self._trees():
            self._due[tree.pid] = before.get(tree.pid) or next_measurement_at(spread(tree.id), now)
        usage = None
        for tree in self._trees():
            if self._due[tree.pid] > now:
                continue
            usage = usage or self._runtime.usage(SAMPLE_SERVES_S)
            weight = usage(tree.id, tree.pid).rss_bytes if self._limit_mb else 0
            self._due[tree.pid] = next_measurement_at(spread(tree.id), now)
            self._on_measured(tree.index, tree.pid, excess(weight, self._limit_mb))
            if time.monotonic() >= stop_at:
                break
        return min(self._due.values(), default=None) if self._limit_mb else None
