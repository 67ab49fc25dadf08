"""Finds followed files in threads, as a file system may not answer; for the thread of the event loop."""

from __future__ import annotations

from collections import deque
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Final

from cbox_init.logs.daemon import RepeatedError
from cbox_init.threads import NoThreadError, call_in_loop, start_thread

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.patience import Patience

#: Threads at once. When as many hang, further lookups wait until one of them has its answer.
_MOST_THREADS: Final = 8
_AGAIN_S: Final = 1.0


class Lookup:
    """What is looked for: ``find`` is called in a thread, then ``done`` in that of the event loop."""

    def __init__(self, path: str, find: Callable[[], Callable[[], None]]) -> None:
        self.path = path
        self.find = find
        self.began_at = monotonic()
        self.answered = Event()
        self.late = False


class Lookups:
    """Calls functions that ask a file system, and in the event loop's thread what they return.

    That is done before `begin` returns where the file system answers in time, otherwise when it answers.
    """

    def __init__(self, log: DaemonLog, patience: Patience) -> None:
        self._log = log
        self._patience = patience
        self._loop: AbstractEventLoop | None = None
        self._waiting: deque[Lookup] = deque()
        self._running: set[Lookup] = set()
        self._answers: SimpleQueue[tuple[Lookup, Callable[[], None] | Exception]] = SimpleQueue()
        self._late = RepeatedError(log, "Log files are not followed yet")
        self._failures = RepeatedError(log, "Unexpected failure while looking for log files")

    def attach(self, loop: AbstractEventLoop) -> None:
        """Take answers in this loop from now on."""
        self._loop = loop
        self._go_on()

    def begin(self, path: str, find: Callable[[], Callable[[], None]]) -> None:
        """Call ``find`` in a thread, and what it returns in this one."""
        lookup = Lookup(path, find)
        self._waiting.append(lookup)
        self._start_waiting()
        if lookup in self._running:
            lookup.answered.wait(self._patience.wait_s(in_loop=self._loop is not None))
        self._go_on()
        if not lookup.answered.is_set():
            lookup.late = True
            self._patience.lose()
            self._late.report("their file system does not answer", path=path)

    def close(self) -> None:
        """Begin no lookup that has not begun."""
        self._waiting.clear()
        self._loop = None

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < _MOST_THREADS:
            lookup = self._waiting[0]
            try:
                start_thread(
                    lambda lookup=lookup: self._answer(lookup, lookup.find()),  # type: ignore[misc]
                    name="log-lookup",
                    failed=lambda error, lookup=lookup: self._answer(lookup, error),  # type: ignore[misc]
                )
            except NoThreadError as error:
                self._late.report(error, path=lookup.path)
                self._try_again()
                return
            self._waiting.popleft()
            self._running.add(lookup)

    def _answer(self, lookup: Lookup, found: Callable[[], None] | Exception) -> None:
        """Called in the thread of a lookup."""
        self._answers.put((lookup, found))
        lookup.answered.set()
        if (loop := self._loop) is not None:
            call_in_loop(loop, self._go_on)

    def _go_on(self) -> None:
        """Take the answers that are there, and begin what waits."""
        while True:
            try:
                lookup, found = self._answers.get_nowait()
            except Empty:
                break
            self._running.discard(lookup)
            if isinstance(found, Exception):
                self._failures.report(found, path=lookup.path)
                self._waiting.append(lookup)
                self._try_again()
                return
            if lookup.late:
                seconds = round(monotonic() - lookup.began_at, 1)
                self._log.info("Log files are followed", path=lookup.path, seconds=seconds)
            found()
        self._start_waiting()

    def _try_again(self) -> None:
        if self._loop is not None:
            self._loop.call_later(_AGAIN_S, self._go_on)
