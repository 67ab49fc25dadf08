"""A queue of encoded records and the thread that writes them, for every kind of output."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from cbox_init.logs.record import RecordSource

HIGH_WATER = 1024 * 1024
"""Bytes in the queue above which readers are asked to stop."""

LOW_WATER = HIGH_WATER // 2
"""Bytes in the queue at which readers may go on."""

BACKLOG_LIMIT = 16 * HIGH_WATER
"""Bytes in the queue above which no new instance should start."""

_BATCH_BYTES = 256 * 1024
_BATCH_CHUNKS = 512  # and what is handed over at once: less than IOV_MAX, 1024

_CORKED_BYTES = 64 * 1024
_CORKED_CHUNKS = 256


class Chunk(NamedTuple):
    """Encoded records, whole ones. ``source`` is None for the daemon's messages."""

    data: bytes
    records: int
    source: RecordSource | None


class Backend(Protocol):
    """What a writer writes to: a file, a connection, a descriptor.

    All methods are called in the writer's thread, except ``reopen``.
    """

    def write(self, chunks: list[Chunk]) -> int:
        """Write all chunks, however long it takes to get room or a connection. Raises nothing.

        Returns the number of records that are lost because they can never be written. An empty list is the
        occasion to reopen, where that was asked for.
        """

    def close(self) -> None:
        """Close what is open. A later write opens it again."""

    def reopen(self) -> None:
        """Reopen before the next write, and retry at once when waiting; from any thread."""


class Writer:
    """Queues chunks for ``backend``. Its thread starts with the first chunk and sleeps while the queue is
    empty.

    The queue is bounded by those who write: ``full`` asks them to stop, ``on_room`` lets them go on.
    Nothing in the queue is dropped except what the backend gives up. Callers that drop records instead of
    waiting count them with ``refuse``.
    """

    def __init__(self, backend: Backend, *, high_water: int = HIGH_WATER, low_water: int = LOW_WATER) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the writer's thread when a queue that was full has fallen to the low water mark, and when
        records were lost."""
        self.on_no_thread: Callable[[], None] | None = None
        """Called, in any thread, when no thread could be started: ``start`` is to be tried again later."""
        self.on_failure: Callable[[Exception], object] | None = None
        """Called in the writer's thread with an unexpected error. It must not raise."""
        self._backend = backend
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
        """Whether callers that can wait should do so."""
        return self._full

    @property
    def backed_up(self) -> bool:
        """Whether callers that cannot wait have filled it far beyond ``full``; ``on_room`` ends this as
        well."""
        return self._queued > BACKLOG_LIMIT

    @property
    def queued(self) -> int:
        """Bytes that are not written yet."""
        return self._queued

    @property
    def written(self) -> int:
        """Records written so far."""
        return self._written

    @property
    def dropped(self) -> int:
        """Records that were dropped."""
        return self._dropped

    def write(self, data: bytes, records: int = 1, source: RecordSource | None = None) -> None:
        """Queue ``data``. Never blocks and never drops; from any thread.

        Where no thread can be started, ``on_no_thread`` is called.
        """
        if not data:
            return
        with self._lock:
            self._put(Chunk(data, records, source))

    def cork(self) -> None:
        """Collect what is written until ``uncork``, up to a limit: each hand-over wakes the thread, which
        then competes for the interpreter.
        """
        self._corked = True

    def uncork(self) -> None:
        """Hand over what was collected."""
        with self._lock:
            self._corked = False
            self._hand_over()

    def refuse(self, records: int) -> None:
        """Count records that a caller dropped because the queue is full. From any thread."""
        with self._lock:
            self._dropped += records
            self._unsaid += records

    @property
    def unsaid(self) -> int:
        """How many records were dropped since the last ``take_unsaid``."""
        return self._unsaid

    def take_unsaid(self) -> int:
        """How many records were dropped since the last call."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, 0
        return unsaid

    def reopen(self) -> None:
        """Let the backend reopen what it writes to."""
        self._backend.reopen()
        if self._thread is not None:
            self.when_written(self._look)

    def _look(self) -> None:
        self._backend.write([])

    def when_written(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the writer's thread when everything queued until now is written."""
        with self._lock:
            self._hand_over()
            self._queue.put(done)
            self._ensure_thread()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued until now is written; False when it takes longer than
        ``timeout_s``.

        Blocks: for exits without an event loop.
        """
        if self._queued == 0:
            return True
        written = Event()
        self.when_written(written.set)
        return written.wait(timeout_s)

    def end(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the writer's thread when everything is written, and end the thread.

        A later write starts it again.
        """
        with self._lock:
            self._hand_over()
            self._queue.put(done)
            self._queue.put(None)
            self._ensure_thread()

    def start(self) -> bool:
        """Start the thread when something is queued and there is none; False when that is not possible."""
        with self._lock:
            if self._thread is None and not self._queue.empty():
                self._ensure_thread()
                return self._thread is not None
        return True

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
            try:
                self._thread = start_thread(self._run, name="log-writer", failed=self._failed)
            except NoThreadError:
                if self.on_no_thread is not None:
                    self.on_no_thread()

    def _failed(self, error: Exception) -> None:
        """The thread has ended by a defect: start another."""
        self._report(error)
        with self._lock:
            self._thread = None
            self._ensure_thread()

    def _report(self, error: Exception) -> None:
        if self.on_failure is not None:
            self.on_failure(error)

    def _run(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Write what is queued, up to one batch; False when the thread is to end."""
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
            lost = _records(batch)
            try:
                lost = self._write(batch)
            finally:
                self._settle(batch, size, lost)
        if item is None:
            return self._go_on()
        if not isinstance(item, list):
            self._call(item)
        return True

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001  # the next records are still to be written
            self._report(error)

    def _write(self, batch: list[Chunk]) -> int:
        """Write a batch, in halves when that fails; returns how many records are lost."""
        try:
            return self._backend.write(batch)
        except Exception as error:  # noqa: BLE001  # contained at the record
            self._report(error)
        self._close_backend()
        if len(batch) == 1:
            return batch[0].records
        half = len(batch) // 2
        return self._write(batch[:half]) + self._write(batch[half:])

    def _close_backend(self) -> None:
        self._call(self._backend.close)

    def _go_on(self) -> bool:
        """Close the backend and end the thread, unless something was queued after the end; False when it
        ends."""
        with self._lock:
            if self._queue.empty():
                self._close_backend()
                self._thread = None
                return False
        return True

    def _settle(self, batch: list[Chunk], size: int, lost: int) -> None:
        with self._lock:
            self._queued -= size
            self._written += _records(batch) - lost
            self._dropped += lost
            self._unsaid += lost
            room = self._full and self._queued <= self._low
            if room:
                self._full = False
        if (room or lost) and self.on_room is not None:
            self._call(self.on_room)


def _records(chunks: list[Chunk]) -> int:
    return sum([chunk.records for chunk in chunks])
