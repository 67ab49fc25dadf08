"""Sends spans from a thread: a bounded queue, tries again later, and warnings at intervals."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from threading import Event, Lock
from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.threads import NoThreadError, call_in_loop, start_thread

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.tracing.span import TraceSpan

#: How many spans wait at most, and how many are sent together. A span takes about 0.5 KiB.
MOST_WAITING: Final = 2048
BATCH: Final = 512

#: How long spans are collected before they are sent, in seconds.
COLLECT_S: Final = 1.0

#: The pauses after a failure, in seconds: they double.
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0

#: How long spans are kept that cannot be sent, in seconds. A collector that refuses some holds up the rest
#: no longer.
_KEPT_S: Final = 300.0

#: How long the end waits for a collector that failed before, in seconds.
_FAILING_CLOSE_S: Final = 0.5

#: Between two warnings, in seconds.
WARN_EACH_S: Final = 60.0


class Exporter(Protocol):
    """Sends spans. Used by one thread; ``close`` may be called by another, to end what hangs."""

    def export(self, spans: Sequence[TraceSpan]) -> str | None:
        """Send these; gives the reason when that failed."""

    def close(self) -> None:
        """Release the connection."""


class MissingExtra(Exception):
    """The packages that send traces are not installed, or cannot be imported."""


class SpanSender:
    """Takes spans that have ended, and sends them to ``place`` in a thread.

    ``put`` never blocks and never raises. When the collector is away, slow or refuses, spans wait; from
    ``MOST_WAITING`` on the oldest are dropped. ``exporter`` makes what sends them, in the thread, when the
    first spans are there; it may raise MissingExtra, and then all spans are dropped. ``missing`` says what is
    not installed; they are dropped then, too.
    """

    def __init__(
        self,
        exporter: Callable[[], Exporter],
        log: DaemonLog,
        place: str,
        *,
        missing: str | None = None,
        collect_s: float = COLLECT_S,
        first_pause_s: float = _FIRST_PAUSE_S,
        warn_each_s: float = WARN_EACH_S,
        kept_s: float = _KEPT_S,
    ) -> None:
        self._make_exporter = exporter
        self._log = log
        self._place = place
        self._collect_s = collect_s
        self._first_pause_s = first_pause_s
        self._warn_each_s = warn_each_s
        self._kept_s = kept_s
        self._exporter: Exporter | None = None
        self._queue: deque[TraceSpan] = deque()
        self._batch: list[TraceSpan] = []
        self._wake = Event()
        self._closing = Event()
        self._running = False
        self._missing = missing
        self._unusable = False
        self._no_thread_until = 0.0
        self._lost = 0
        self._lock = Lock()
        self._warned_at: float | None = None
        self._failing = False
        self._on_over: Callable[[], object] | None = None

    @property
    def lost(self) -> int:
        """How many spans were dropped."""
        return self._lost

    @property
    def waiting(self) -> int:
        """How many spans are not sent yet."""
        return len(self._queue) + len(self._batch)

    def put(self, span: TraceSpan) -> None:
        """Have a span sent soon. Called in the event loop."""
        if self._missing is not None and not self._unusable:
            self._cannot(self._missing)
        if self._unusable or self._closing.is_set():
            self._lost += 1
            return
        if len(self._queue) >= MOST_WAITING:
            try:
                self._queue.popleft()
            except IndexError:  # the thread has just taken them
                pass
            else:
                self._lost += 1
                self._warn("too many wait")
        self._queue.append(span)
        self._wake.set()
        if not self._running:
            self._start()

    async def close(self, timeout_s: float) -> None:
        """Send what waits, within ``timeout_s``, and drop the rest. Another call returns at once."""
        from asyncio import Future, get_running_loop, wait_for

        if self._closing.is_set():
            return
        loop: AbstractEventLoop = get_running_loop()
        over: Future[None] = loop.create_future()

        def end() -> None:
            if not over.done():
                over.set_result(None)

        self._on_over = lambda: call_in_loop(loop, end)
        self._closing.set()
        self._wake.set()
        if self._running:
            try:
                await wait_for(over, timeout_s if not self._failing else min(timeout_s, _FAILING_CLOSE_S))
            except TimeoutError:
                self._end_export()
        if left := self.waiting:
            self._lost += left
            self._log.warn("Traces were not sent before the end", endpoint=self._place, spans=left)
            self._queue.clear()

    # -- the thread ------------------------------------------------------------------------------------

    def _start(self) -> None:
        now = time.monotonic()
        if now < self._no_thread_until:
            return
        self._running = True
        try:
            start_thread(self._run, name="traces", failed=self._failed)
        except NoThreadError as error:
            self._running = False
            self._no_thread_until = now + _LONGEST_PAUSE_S
            self._warn(str(error))

    def _run(self) -> None:
        try:
            self._send_all()
        finally:
            self._running = False
            if self._on_over is not None:
                self._on_over()

    def _failed(self, error: Exception) -> None:
        """An error that nothing below has contained: the next span starts another thread."""
        self._no_thread_until = time.monotonic() + _LONGEST_PAUSE_S
        self._warn(f"unexpected: {error!r}")

    def _send_all(self) -> None:
        pause_s = self._first_pause_s
        while True:
            if not self._batch:
                self._wake.wait()
                self._closing.wait(self._collect_s)
                self._wake.clear()
                self._batch = self._take()
            while self._batch:
                error = self._send(self._batch)
                if self._unusable:
                    return
                if error is None:
                    pause_s = self._first_pause_s
                    self._sent()
                    self._batch = self._take()
                    continue
                if self._closing.is_set():
                    return  # `close` says how many were not sent
                self._drop_old()
                self._warn(error)
                self._closing.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            if self._closing.is_set() and not self._queue:
                if self._exporter is not None:
                    self._exporter.close()
                return

    def _take(self) -> list[TraceSpan]:
        batch: list[TraceSpan] = []
        try:
            while len(batch) < BATCH:
                batch.append(self._queue.popleft())
        except IndexError:
            pass
        return batch

    def _send(self, batch: Sequence[TraceSpan]) -> str | None:
        """Send these; gives the reason when that failed."""
        try:
            if self._exporter is None:
                self._exporter = self._make_exporter()
            return self._exporter.export(batch)
        except MissingExtra as error:
            self._cannot(str(error))
            return None
        except Exception as error:  # noqa: BLE001  # of a library: it concerns these spans alone
            return f"{type(error).__name__}: {error}"

    def _cannot(self, why: str) -> None:
        """Drop all spans from now on."""
        self._unusable = True
        self._lost += self.waiting
        self._queue.clear()
        self._batch = []
        self._log.warn("Traces are not sent", endpoint=self._place, error=why)

    def _drop_old(self) -> None:
        """Give up spans that have waited for long, so that one that is refused does not hold up the rest."""
        since_ns = time.time_ns() - int(self._kept_s * 1e9)
        kept = [span for span in self._batch if span.end_ns >= since_ns]
        self._lost += len(self._batch) - len(kept)
        self._batch = kept

    # -- what is said ----------------------------------------------------------------------------------

    def _warn(self, error: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._failing = True
            if self._warned_at is not None and now - self._warned_at < self._warn_each_s:
                return
            self._warned_at = now
        self._log.warn(
            "Traces cannot be sent",
            endpoint=self._place,
            error=error,
            waiting=self.waiting,
            lost=self._lost or None,
        )

    def _sent(self) -> None:
        with self._lock:
            failing, self._failing = self._failing, False
        if failing:
            self._log.info("Traces are sent again", endpoint=self._place, lost=self._lost or None)

    def _end_export(self) -> None:
        """End an export that hangs, so that the end of the program does not meet it."""
        exporter = self._exporter
        if exporter is None:
            return
        with suppress(NoThreadError):
            start_thread(exporter.close, name="traces-end", failed=lambda error: None)
