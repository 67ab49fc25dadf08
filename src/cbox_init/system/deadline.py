"""A time by which this process ends, whatever its event loop does."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Final

from cbox_init.system.tree import kill_children

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType

#: How often the timer rings again when a handler could not run to its end, in seconds.
_AGAIN_S: Final = 1.0

_MESSAGE: Final = b"cbox-init: the shutdown did not come to its end in time; everything is killed\n"


class Deadline:
    """Kills all children and ends the process when its time is over.

    The time comes as SIGALRM, which Python handles between two instructions of the main thread: neither an
    error in a callback of the event loop nor a callback that does not return prevents it. ``children`` are
    the pids of the children that were started and not reaped. To be made in the main thread.
    """

    def __init__(self, children: Collection[int]) -> None:
        self._children = children
        self._at = math.inf
        self.exit_code = 1
        signal.signal(signal.SIGALRM, self._rung)

    @property
    def is_set(self) -> bool:
        """Whether there is such a time."""
        return self._at < math.inf

    def set(self, seconds: float) -> None:
        """End ``seconds`` from now, instead of at the time that was set before."""
        self._at = time.monotonic() + seconds
        signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds), _AGAIN_S)

    def hurry(self, seconds: float) -> None:
        """End ``seconds`` from now, unless the time that was set comes earlier."""
        if time.monotonic() + seconds < self._at:
            self.set(seconds)

    def close(self) -> None:
        """There is no such time any more."""
        self._at = math.inf
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _rung(self, signum: int, frame: FrameType | None) -> None:
        if time.monotonic() < self._at:  # somebody has sent the signal
            return
        try:
            _say(_MESSAGE)
            kill_children(self._children)
        finally:
            os._exit(self.exit_code)


def _say(message: bytes) -> None:
    """Write to standard error, unless that would wait for a reader."""
    with contextlib.suppress(OSError, ValueError):
        if select.select((), (2,), (), 0)[1]:
            os.write(2, message)
