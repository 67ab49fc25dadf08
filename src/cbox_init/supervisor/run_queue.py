"""The run queue: calls what has to reconcile, when it was woken or is due. Has the daemon's one timer.

Nothing polls. Each turn of the event loop works on the queue for a slice of time, so that it stays short
however many instances there are. The run queue works without an event loop too: the daemon starts its first
children before it imports asyncio.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

#: How long a turn of the event loop works on the queue at most, in seconds: an API request may wait for it.
SLICE_S = 0.005

#: How long after a reconciliation that raised the next one comes, in seconds.
RETRY_S = 1.0


#: How many entries the heap may have beyond twice the valid ones, before the others are dropped.
_STALE_ENTRIES = 64


class Reconciler(Protocol):
    """Something that has work to do when it is woken or at certain times."""

    def reconcile(self, stop_at: float) -> float | None:
        """Do what is due; return soon after the monotonic time ``stop_at`` even if work is left.

        Gives the monotonic time of the next call (a time that is past: after the others in the queue), or
        None when the next call is that after a ``wake``.
        """


class Corked(Protocol):
    """A writer that may hold back what it is given between these two calls."""

    def cork(self) -> None: ...

    def uncork(self) -> None: ...


class RunQueue:
    """Calls ``reconcile`` of everything that was woken or is due, first in, first out.

    Log messages of a turn reach ``output`` when the turn is over: to wake its thread for each of them would
    cost a switch of threads each time.
    """

    def __init__(self, output: Corked | None = None) -> None:
        self._output = output
        self._due: OrderedDict[Reconciler, None] = OrderedDict()  # a dict: slower with each first item taken
        self._times: dict[Reconciler, float] = {}
        self._heap: list[tuple[float, int, Reconciler]] = []
        self._serial = count()
        self._loop: AbstractEventLoop | None = None
        self._turn_pending = False
        self._holds = 0
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        self.on_error: Callable[[Reconciler, Exception], None] | None = None
        """Called with an exception of a reconciler; without it the exception leaves the turn."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop that the queue runs in; None before ``attach``."""
        return self._loop

    def wake(self, reconciler: Reconciler) -> None:
        """Reconcile soon: in this turn when one is under way, else in the next."""
        self._due[reconciler] = None
        self._schedule_turn()

    def forget(self, reconciler: Reconciler) -> None:
        """Do not call it again until it is woken."""
        self._due.pop(reconciler, None)
        self._times.pop(reconciler, None)
        self._drop_stale()

    def attach(self, loop: AbstractEventLoop) -> None:
        """Take turns in the event loop from now on."""
        self._loop = loop
        self._schedule_turn()
        self._set_timer()

    def hold(self) -> None:
        """Reconcile nothing until ``release``, once for each call; what is woken or due meanwhile waits."""
        self._holds += 1

    def release(self) -> None:
        """Take turns again, unless another hold is left."""
        self._holds -= 1
        self._set_timer()

    def run(self, slice_s: float) -> None:
        """Call what is due until nothing is, or for about ``slice_s`` seconds.

        A reconciler that raises is called again ``RETRY_S`` later: a defect or a passing shortage must not
        leave a process that is never stopped, or a shutdown that never ends.
        """
        if self._output is not None:
            self._output.cork()
        try:
            self._run(time.monotonic() + slice_s)
        finally:
            if self._output is not None:
                self._output.uncork()

    def _run(self, stop_at: float) -> None:
        self._collect_due()
        while self._due:
            reconciler, _ = self._due.popitem(last=False)
            at: float | None = time.monotonic() + RETRY_S
            try:
                at = reconciler.reconcile(stop_at)
            except Exception as error:  # it concerns this one alone
                if self.on_error is None:
                    raise
                self.on_error(reconciler, error)
            finally:
                self._set_time(reconciler, at)
            if time.monotonic() >= stop_at:
                break

    def _set_time(self, reconciler: Reconciler, at: float | None) -> None:
        if at is None:
            self._times.pop(reconciler, None)
        elif at <= time.monotonic():
            self._times.pop(reconciler, None)
            self._due[reconciler] = None
        elif self._times.get(reconciler) != at:
            self._times[reconciler] = at
            heapq.heappush(self._heap, (at, next(self._serial), reconciler))
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Keep the valid entries of the heap alone, when others, of times that have changed, are many."""
        if len(self._heap) > 2 * len(self._times) + _STALE_ENTRIES:
            self._heap = [(at, next(self._serial), reconciler) for reconciler, at in self._times.items()]
            heapq.heapify(self._heap)

    def _collect_due(self) -> None:
        now = time.monotonic()
        while self._heap:
            at, _, reconciler = self._heap[0]
            if self._times.get(reconciler) != at:  # the time has changed since
                heapq.heappop(self._heap)
            elif at <= now:
                heapq.heappop(self._heap)
                del self._times[reconciler]
                self._due[reconciler] = None
            else:
                break

    def _schedule_turn(self) -> None:
        if self._due and self._loop is not None and not self._turn_pending and not self._holds:
            self._turn_pending = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._holds:
            self._turn_pending = False
            return
        self._turn_pending = True  # this turn also calls what is woken meanwhile
        try:
            self.run(SLICE_S)
        finally:
            self._turn_pending = False
            self._set_timer()

    def _set_timer(self) -> None:
        """Set the timer for the earliest time; keep it when it is set for that time or an earlier one."""
        self._collect_due()
        if self._due:
            self._schedule_turn()
        if self._loop is None or not self._heap:
            return
        at = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        # time.monotonic() is the clock of asyncio's own loop as well
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._turn_pending:  # else the pending turn calls what is due
            self._turn()
