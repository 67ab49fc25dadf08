"""Standard output, written by one thread, so that a slow reader of it never stops the event loop.

The descriptor stays blocking: O_NONBLOCK would be shared with every process that has the same pipe or
terminal. What is queued is bounded by those who write: ``full`` asks them to stop, ``on_room`` tells when
they can go on. Nothing is dropped while somebody can still read it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_WATER = 1024 * 1024
"""Bytes queued above which readers are asked to stop."""

LOW_WATER = HIGH_WATER // 2
"""Bytes queued at which they are told to go on."""

BACKLOG_LIMIT = 16 * HIGH_WATER
"""Bytes queued above which nobody new should begin to write."""

_BATCH_BYTES = 256 * 1024
_BATCH_BUFFERS = 512  # IOV_MAX is 1024
_PIPE_BYTES = 1024 * 1024
_CLOSED = (errno.EPIPE, errno.EBADF)


class Sink:
    """A queue of output and the thread that writes it to ``fd``, which stays its owner's to close.

    The thread starts with the first write and sleeps while there is nothing to do.
    """

    def __init__(self, fd: int = 1, *, high_water: int = HIGH_WATER, low_water: int = LOW_WATER) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called by the writer's thread when the queue, once full, has fallen to the low water mark."""
        self._fd = fd
        self._high = high_water
        self._low = low_water
        self._queue: SimpleQueue[bytes | Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._queued = 0
        self._written = 0
        self._full = False
        self._overflowed = False
        self._failing = False
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether those who can wait should."""
        return self._full

    @property
    def backed_up(self) -> bool:
        """Whether those who cannot wait have filled it far beyond that; ``on_room`` ends this as well."""
        return self._queued > BACKLOG_LIMIT

    def take_overflowed(self) -> bool:
        """Whether it has been backed up since the last call."""
        overflowed, self._overflowed = self._overflowed, False
        return overflowed

    @property
    def queued(self) -> int:
        """Bytes not written yet."""
        return self._queued

    @property
    def written(self) -> int:
        """Bytes that have left the queue, those too that nobody could take."""
        return self._written

    def write(self, data: bytes) -> None:
        """Queue ``data``. Never blocks, never refuses; from any thread.

        Where no thread can be had (a full process table) it waits for the next write or flush.
        """
        if not data:
            return
        with self._lock:
            self._queued += len(data)
            if self._queued > self._high:
                self._full = True
                if self._queued > BACKLOG_LIMIT:
                    self._overflowed = True
            self._queue.put(data)
            self._ensure_thread()

    def when_written(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the writer's thread when all that is queued now has been written."""
        with self._lock:
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
            self._queue.put(done)
            self._queue.put(None)
            self._ensure_thread()

    def _ensure_thread(self) -> None:
        if self._thread is None:
            # A daemon thread: an output that nobody reads must not keep the process from ending.
            thread = Thread(target=self._run, name="log-writer", daemon=True)
            with suppress(RuntimeError):  # "can't start new thread"
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        # Signals are for the main thread: one that is delivered here would not wake it.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._enlarge_pipe()
        while self._step():
            pass

    def _step(self) -> bool:
        """Write what is queued, up to a batch; False when the thread is to end."""
        batch: list[bytes] = []
        size = 0
        item = self._queue.get()
        while isinstance(item, bytes):
            batch.append(item)
            size += len(item)
            if size >= _BATCH_BYTES or len(batch) == _BATCH_BUFFERS or self._queue.empty():
                break
            item = self._queue.get()
        if batch:
            self._write_out(batch, size)
            self._settle(size)
        if item is None:
            return self._go_on()
        if not isinstance(item, bytes):
            item()
        return True

    def _go_on(self) -> bool:
        """Whether something was queued behind the end."""
        with self._lock:
            if self._queue.empty():
                self._thread = None
                return False
        return True

    def _settle(self, size: int) -> None:
        with self._lock:
            self._queued -= size
            self._written += size
            room = self._full and self._queued <= self._low
            if room:
                self._full = False
        if room and (on_room := self.on_room) is not None:
            on_room()

    def _write_out(self, batch: list[bytes], size: int) -> None:
        if self._closed:
            return
        buffers: list[bytes | memoryview] = list(batch)
        while True:
            try:
                written = os.writev(self._fd, buffers)
            except BlockingIOError:
                # Somebody who shares the descriptor has made it non-blocking.
                self._wait_writable()
                continue
            except OSError as error:
                self._fail(error)
                return
            self._failing = False
            size -= written
            if size == 0:
                return
            _advance(buffers, written)

    def _wait_writable(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.poll()

    def _fail(self, error: OSError) -> None:
        """Say once that output is lost. A closed pipe stays closed; a full disk may have room later."""
        if error.errno in _CLOSED:
            self._closed = True
            advice = "nobody reads it any more; the children go on without it"
        else:
            advice = "lines are lost until it can be written again"
        if self._failing:
            return
        self._failing = True
        note = f"cbox-init: log output (descriptor {self._fd}): {error.strerror}: {advice}\n"
        with suppress(OSError):
            os.write(2, note.encode())

    def _enlarge_pipe(self) -> None:
        """A large pipe nearly doubles the throughput; not everybody may have one."""
        with suppress(OSError):
            if (
                stat.S_ISFIFO(os.fstat(self._fd).st_mode)
                and fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ) < _PIPE_BYTES
            ):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _advance(buffers: list[bytes | memoryview], written: int) -> None:
    """Take what has been written off the front."""
    done = 0
    while written >= len(buffers[done]):
        written -= len(buffers[done])
        done += 1
    del buffers[:done]
    if written:
        buffers[0] = memoryview(buffers[0])[written:]
