"""Keeps collections of garbage short: the event loop waits for each, in whichever thread it runs.

A collection goes through all objects but those that were set aside (``gc.freeze``); with 3,000 processes that
takes 0.15 s. So what stays is set aside: after the start, after a change of many processes, and after a
collection that took long all the same. What was set aside is freed by its reference count alone. Therefore a
process that is no longer supervised, a connection that has ended and a document that was read must not be
parts of cycles; a test holds that.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from time import thread_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A full collection that takes longer, in seconds of CPU time, is the last one to go through what it left.
LONG_S: Final = 0.005

_FULL: Final = 2

#: The number of new objects, of collections of the first, and of the second generation, after which the next
#: older one is collected too: a full collection goes through some 10,000 objects that were not set aside.
_THRESHOLDS: Final = (700, 5, 3)


class CollectionTimer:
    """Times each full collection, and sets aside what is left after a long one.

    Python begins them when a quarter of what the last one left is new. That is little after some time.
    """

    def __init__(self, clock: Callable[[], float] = thread_time) -> None:
        self._clock = clock
        self._began = 0.0

    def watch(self) -> None:
        """Time the collections from now on."""
        gc.set_threshold(*_THRESHOLDS)
        gc.callbacks.append(self.note)

    def note(self, phase: str, info: dict[str, int]) -> None:
        """A collection starts or has stopped: the callback of ``gc``."""
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > LONG_S:
            gc.freeze()


class CollectionPause:
    """Keeps the collector off while much is made that stays: it would go through that again and again."""

    def __init__(self) -> None:
        self._pauses = 0
        self._was_on = False

    @contextmanager
    def begin(self) -> Iterator[None]:
        """No collection during the block; blocks may overlap."""
        if not self._pauses:
            self._was_on = gc.isenabled()
            gc.disable()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses and self._was_on:
                gc.enable()
