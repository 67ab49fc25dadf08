"""Runs scheduled processes when they are due: a heap of Unix times, whose first entry sets the timer.

Two thousand schedules are two thousand entries in the heap; between two times nothing happens. The run
queue's timer follows elapsed time, schedules follow the system clock. The two differ when the clock is set or
the machine sleeps: the kernel then reports it (`system.clock`), and every time is computed again.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Protocol

from cbox_init.supervisor.run_queue import RETRY_S
from cbox_init.system.clock import ClockWatch

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from cbox_init.supervisor.runtime import Runtime

#: How long the timetable sleeps at most where the kernel does not report that the clock was set, in seconds.
_BLIND_SLEEP_S = 30.0

#: Entries of the heap beyond twice those that count, from which on the others are dropped.
_FEW_ENTRIES = 64

#: A clock that falls behind elapsed time by this much, in seconds, was set back.
_SET_BACK_S = 0.05


class Scheduled(Protocol):
    """What a timetable calls when its time has come."""

    def next_due(self, now: float) -> float | None:
        """The Unix time of the next call of ``run_due``; None for never. ``now`` is the Unix time."""

    def run_due(self, due: float, now: float) -> None:
        """The time ``due`` has come."""


class Timetable:
    """Calls each entered `Scheduled` at its times, in the order of the times."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._due: dict[Scheduled, float] = {}
        self._heap: list[tuple[float, int, Scheduled]] = []
        self._unplaced: OrderedDict[Scheduled, None] = OrderedDict()
        self._failed: dict[Scheduled, None] = {}
        self._serial = count()
        self._offset: float | None = None
        self._watch: ClockWatch | None = None
        self._loop: AbstractEventLoop | None = None

    def enter(self, scheduled: Scheduled) -> None:
        """Add it, or compute its next time again if it was added before."""
        self._unplaced[scheduled] = None
        self._runtime.run_queue.wake(self)

    def remove(self, scheduled: Scheduled) -> None:
        """Never call it again."""
        self._unplaced.pop(scheduled, None)
        self._failed.pop(scheduled, None)
        self._due.pop(scheduled, None)
        self._drop_stale()

    def attach(self, loop: AbstractEventLoop) -> None:
        """Watch, in ``loop``, for the system clock being set."""
        try:
            watch = ClockWatch()
        except OSError:
            return
        try:
            loop.add_reader(watch.fileno(), self._clock_set)
        except OSError:
            watch.close()
            return
        self._loop, self._watch = loop, watch

    def close(self) -> None:
        """Stop the calls, and the watch on the clock."""
        self._runtime.run_queue.forget(self)
        if self._watch is not None and self._loop is not None:
            self._loop.remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None

    def reconcile(self, stop_at: float) -> float | None:
        """Run what is due, within the slice (see ``run_queue``)."""
        self._unplaced.update(self._failed)
        self._failed.clear()
        at = self._run_due(stop_at)
        if not self._failed:
            return at
        again_at = self._runtime.now() + RETRY_S
        return again_at if at is None else min(at, again_at)

    def _run_due(self, stop_at: float) -> float | None:
        runtime = self._runtime
        now, unix = runtime.now(), runtime.unix()
        if self._offset is not None and unix - now < self._offset - _SET_BACK_S:
            self._unplaced.update(dict.fromkeys(self._due))
        self._offset = unix - now
        while self._unplaced:
            scheduled, _ = self._unplaced.popitem(last=False)
            self._place(scheduled, unix)
            if runtime.now() >= stop_at:
                return 0.0
        while (due := self._earliest()) is not None and due <= unix:
            scheduled = heapq.heappop(self._heap)[2]
            del self._due[scheduled]
            with runtime.defects.contain("a scheduled time could not be acted on"):
                scheduled.run_due(due, unix)
            self._place(scheduled, unix)
            if runtime.now() >= stop_at:
                return 0.0
        if due is None:
            return None
        wait_s = due - unix
        return now + (wait_s if self._watch is not None else min(wait_s, _BLIND_SLEEP_S))

    def _place(self, scheduled: Scheduled, unix: float) -> None:
        try:
            due = scheduled.next_due(unix)
        except Exception as error:  # noqa: BLE001  # it concerns this one alone, and is tried again
            self._runtime.defects.report("the next time of a schedule could not be computed", error)
            self._failed[scheduled] = None
            return
        if due is None:
            self._due.pop(scheduled, None)
        elif self._due.get(scheduled) != due:
            self._due[scheduled] = due
            heapq.heappush(self._heap, (due, next(self._serial), scheduled))
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Keep one entry for each that is entered, when those that pauses and resumes have left are many."""
        if len(self._heap) > 2 * len(self._due) + _FEW_ENTRIES:
            self._heap = [(due, next(self._serial), scheduled) for scheduled, due in self._due.items()]
            heapq.heapify(self._heap)

    def _earliest(self) -> float | None:
        """The earliest time that still counts."""
        while self._heap:
            due, _, scheduled = self._heap[0]
            if self._due.get(scheduled) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def _clock_set(self) -> None:
        if self._watch is not None and self._watch.read():
            self._runtime.run_queue.wake(self)
