"""A queue of output and the thread that empties it: what standard output, files and the network share."""

from __future__ import annotations

from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from cbox_init.logs.record import RecordSource

HIGH_WATER = 1024 * 1024
"""Bytes queued above which readers are asked to stop."""

LOW_WATER = HIGH_WATER // 2
"""Bytes queued at which they are told to go on."""

BACKLOG_LIMIT = 16 * HIGH_WATER
"""Bytes queued above which nobody new should begin to write."""

_BATCH_BYTES = 256 * 1024
_BATCH_CHUNKS = 512  # and what is handed over at once: less than IOV_MAX, 1024

_CORKED_BYTES = 64 * 1024
_CORKED_CHUNKS = 256


class Chunk(NamedTuple):
    """Records in the form of the target, whole ones. ``source`` is None for the daemon's own."""

    data: bytes
    records: int
    source: RecordSource | None


class Backend(Protocol):
    """Where the chunks of an writer go. Called in the writer's thread alone, but for ``reopen``."""

    def write(self, chunks: list[Chunk]) -> int:
        """Write them all, however long it takes to get room or a connection; nothing is raised.

        Gives the number of records that are lost, since they can never be written. No chunks at all are an
        occasion to open anew, where that was asked for.
        """

    def close(self) -> None:
        """Let go of what is open. A later write opens it again."""

    def reopen(self) -> None:
        """Open anew before the next write, and try at once when it waits; from any thread."""


class Writer:
    """Queues chunks for ``target``. Its thread starts with the first and sleeps while there is nothing to do.

    What is queued is bounded by those who write: ``full`` asks them to stop, ``on_room`` tells when they can
    go on. Nothing of it is dropped but what the target gives up; who drops records instead of waiting counts
    them with ``refuse``.
    """

    def __init__(self, target: Backend, *, high_water: int = HIGH_WATER, low_water: int = LOW_WATER) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called by the writer's thread when the queue, once full, has fallen to the low water mark."""
        self._target = target
        self._high = high_water
        self._low = low_water
        self._queue: SimpleQueue[list[Chunk] | Callable[[], None] | None] = SimpleQueue()
        self._pending: list[Chunk] = []
        self._pending_bytes = 0
        self._corked = False
        self._lock = Lock()
        self._thread: Thread | None = None
        self._queued = 0
        self._written = 0
        self._dropped = 0
        self._unsaid = 0
        self._full = False

    @property
    def full(self) -> bool:
        """Whether those who can wait should."""
        return self._full

    @property
    def backed_up(self) -> bool:
        """Whether those who cannot wait have filled it far beyond that; ``on_room`` ends this as well."""
        return self._queued > BACKLOG_LIMIT

    @property
    def queued(self) -> int:
        """Bytes not written yet."""
        return self._queued

    @property
    def written(self) -> int:
        """Records written so far."""
        return self._written

    @property
    def dropped(self) -> int:
        """Records that were not written and never will be."""
        return self._dropped

    def write(self, data: bytes, records: int = 1, source: RecordSource | None = None) -> None:
        """Queue ``data``. Never blocks, never refuses; from any thread.

        Where no thread can be had (a full process table) it waits for the next write or flush.
        """
        if not data:
            return
        with self._lock:
            self._put(Chunk(data, records, source))

    def cork(self) -> None:
        """Collect what is written until ``uncork``, but for larger amounts: each hand-over wakes the thread,
        which then wants the interpreter.
        """
        self._corked = True

    def uncork(self) -> None:
        """Hand over what has been collected."""
        with self._lock:
            self._corked = False
            self._hand_over()

    def refuse(self, records: int) -> None:
        """Count records that were dropped, since the queue is full. From any thread."""
        with self._lock:
            self._dropped += records
            self._unsaid += records

    @property
    def unsaid(self) -> int:
        """How many records were dropped since ``take_unsaid``."""
        return self._unsaid

    def take_unsaid(self) -> int:
        """How many records were dropped since the last call."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, 0
        return unsaid

    def reopen(self) -> None:
        """Let the target open anew what it writes to."""
        self._target.reopen()
        if self._thread is not None:
            self.when_written(self._look)

    def _look(self) -> None:
        self._target.write([])

    def when_written(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the writer's thread when all that is queued now has been written."""
        with self._lock:
            self._hand_over()
            self._queue.put(done)
            self._ensure_thread()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that is queued now has been written. False when that took too long.

        Blocks: for exits where no event loop runs.
        """
        if self._queued == 0:
            return True
        written = Event()
        self.when_written(written.set)
        return written.wait(timeout_s)

    def end(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the writer's thread when all has been written, and end the thread.

        A later write starts it again.
        """
        with self._lock:
            self._hand_over()
            self._queue.put(done)
            self._queue.put(None)
            self._ensure_thread()

    def _put(self, chunk: Chunk) -> None:
        size = len(chunk.data)
        self._queued += size
        if self._queued > self._high:
            self._full = True
        pending = self._pending
        pending.append(chunk)
        self._pending_bytes += size
        if not self._corked or self._pending_bytes >= _CORKED_BYTES or len(pending) >= _CORKED_CHUNKS:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._pending:
            self._queue.put(self._pending)
            self._pending, self._pending_bytes = [], 0
            self._ensure_thread()

    def _ensure_thread(self) -> None:
        if self._thread is None:
            with suppress(NoThreadError):
                self._thread = start_thread(self._run, name="log-writer", failed=self._failed)

    def _failed(self, error: Exception) -> None:
        """The next record starts another thread."""
        with self._lock:
            self._thread = None

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Write what is queued, up to a batch; False when the thread is to end."""
        batch: list[Chunk] = []
        size = 0
        item = self._queue.get()
        while isinstance(item, list):
            batch += item
            size += sum([len(chunk.data) for chunk in item])
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_CHUNKS or self._queue.empty():
                break
            item = self._queue.get()
        if batch:
            self._settle(batch, size, self._target.write(batch))
        if item is None:
            return self._go_on()
        if not isinstance(item, list):
            item()
        return True

    def _go_on(self) -> bool:
        """Whether something was queued behind the end."""
        with self._lock:
            if self._queue.empty():
                self._target.close()
                self._thread = None
                return False
        return True

    def _settle(self, batch: list[Chunk], size: int, lost: int) -> None:
        records = sum([chunk.records for chunk in batch])
        with self._lock:
            self._queued -= size
            self._written += records - lost
            self._dropped += lost
            self._unsaid += lost
            room = self._full and self._queued <= self._low
            if room:
                self._full = False
        if room and (on_room := self.on_room) is not None:
            on_room()
