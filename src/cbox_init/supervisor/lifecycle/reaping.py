"""Taking in the ends of children, a slice of time at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.runtime import Runtime


class Reaping:
    """Woken when children may have ended. ``on_reaped`` is called after each slice.

    Three thousand that end together are some sixty slices; between them the loop does what else is due. A
    child whose turn has not come stays a zombie, so that its number is nobody else's.
    """

    def __init__(self, runtime: Runtime, on_reaped: Callable[[], None]) -> None:
        self._runtime = runtime
        self._on_reaped = on_reaped

    def reconcile(self, stop_at: float) -> None:
        """Reap until the slice is over; again in the next turn when there may be more."""
        try:
            self._runtime.reap(stop_at)
        finally:  # one exit that cannot be taken in does not keep the others waiting
            self._on_reaped()
            if self._runtime.reaper.unfinished:
                self._runtime.run_queue.wake(self)
