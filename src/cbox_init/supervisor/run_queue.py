"""Who needs a look, and when: the one queue of the daemon, and its one timer.

Nothing polls. A look is asked for (``wake``) or falls due; it is taken within a slice of time, so that one
turn of the event loop stays short however many instances wait. The run queue works before there is an event
loop: the daemon starts its first children before it imports asyncio.
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

#: The longest that one turn of the event loop works on what is due, in seconds: what an API request may wait.
SLICE_S = 0.005

#: How long after a look that raised the next one is taken, in seconds.
RETRY_S = 1.0


#: Entries of the heap beyond twice those that count, from which on the others are dropped.
_FEW_ENTRIES = 64


class Reconciler(Protocol):
    """Something with work that falls due."""

    def reconcile(self, stop_at: float) -> float | None:
        """Do what is due; end early, soon after the monotonic time ``stop_at``.

        Gives the monotonic time of the next look (a time that is past: as soon as others had their turn),
        or None when only a ``wake`` can bring more.
        """


class Corked(Protocol):
    """What may keep back what it is given, between these two calls."""

    def cork(self) -> None: ...

    def uncork(self) -> None: ...


class RunQueue:
    """Calls ``look`` of everyone who was woken or whose time has come, in the order of asking.

    What the looks say in the log goes to ``output`` when the turn is over: a thread that is woken for each
    message wants the interpreter each time.
    """

    def __init__(self, output: Corked | None = None) -> None:
        self._output = output
        self._due: OrderedDict[Reconciler, None] = OrderedDict()  # a dict takes ever longer to give its first
        self._times: dict[Reconciler, float] = {}
        self._heap: list[tuple[float, int, Reconciler]] = []
        self._serial = count()
        self._loop: AbstractEventLoop | None = None
        self._turn_pending = False
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        self.on_error: Callable[[Reconciler, Exception], None] | None = None
        """Called with what a reconciler raised; without it the exception comes out of the turn."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop that gives the turns; None before there is one."""
        return self._loop

    def wake(self, reconciler: Reconciler) -> None:
        """It gets a look soon: in this turn when one is under way, else in the next."""
        self._due[reconciler] = None
        self._ask_for_turn()

    def forget(self, reconciler: Reconciler) -> None:
        """It gets no more looks."""
        self._due.pop(reconciler, None)
        self._times.pop(reconciler, None)

    def attach(self, loop: AbstractEventLoop) -> None:
        """From here on the event loop gives the turns."""
        self._loop = loop
        self._ask_for_turn()
        self._set_timer()

    def run(self, slice_s: float) -> None:
        """Take looks until nothing is due, or for about ``slice_s`` seconds.

        A reconciler that raises is called again ``RETRY_S`` later: a defect, or a shortage that passes, must
        not leave a process that is never stopped, or a shutdown that never ends.
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
                self._note(reconciler, at)
            if time.monotonic() >= stop_at:
                break

    def _note(self, reconciler: Reconciler, at: float | None) -> None:
        if at is None:
            self._times.pop(reconciler, None)
        elif at <= time.monotonic():
            self._times.pop(reconciler, None)
            self._due[reconciler] = None
        elif self._times.get(reconciler) != at:
            self._times[reconciler] = at
            heapq.heappush(self._heap, (at, next(self._serial), reconciler))
            if len(self._heap) > 2 * len(self._times) + _FEW_ENTRIES:
                self._drop_stale()

    def _drop_stale(self) -> None:
        """Keep one entry for each time that counts: changed times leave others behind."""
        self._heap = [(at, next(self._serial), reconciler) for reconciler, at in self._times.items()]
        heapq.heapify(self._heap)

    def _collect_due(self) -> None:
        now = time.monotonic()
        while self._heap:
            at, _, reconciler = self._heap[0]
            if self._times.get(reconciler) != at:  # asked for another time since
                heapq.heappop(self._heap)
            elif at <= now:
                heapq.heappop(self._heap)
                del self._times[reconciler]
                self._due[reconciler] = None
            else:
                break

    def _ask_for_turn(self) -> None:
        if self._due and self._loop is not None and not self._turn_pending:
            self._turn_pending = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_pending = True  # who is woken meanwhile is seen in this turn
        try:
            self.run(SLICE_S)
        finally:
            self._turn_pending = False
            self._set_timer()

    def _set_timer(self) -> None:
        """One timer, for the earliest time; left as it is when it rings early enough."""
        self._collect_due()
        if self._due:
            self._ask_for_turn()
        if self._loop is None or not self._heap:
            return
        at = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        # time.monotonic() is the clock of asyncio's own loop as well
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._turn_pending:  # else what has fallen due is seen in that turn: one is enough
            self._turn()
