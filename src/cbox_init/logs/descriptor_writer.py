"""Standard output and standard error, written by a thread so that a slow reader never stops the event loop.

The descriptor stays blocking: O_NONBLOCK would be shared with every process that has the same pipe or
terminal. While there is a reader nothing is dropped; on a full disk the thread waits for room.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

from cbox_init.logs.writer import HIGH_WATER, LOW_WATER, Writer

if TYPE_CHECKING:
    from cbox_init.logs.writer import Chunk

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a write to a full disk, or beyond a quota."""

_PIPE_BYTES = 1024 * 1024
_CLOSED = (errno.EPIPE, errno.EBADF)
_LOOK_FOR_ROOM_S = 0.25


class DescriptorWriter(Writer):
    """Writes to the descriptor ``fd``, which the caller keeps open."""

    def __init__(self, fd: int = 1, *, high_water: int = HIGH_WATER, low_water: int = LOW_WATER) -> None:
        super().__init__(DescriptorBackend(fd), high_water=high_water, low_water=low_water)


class DescriptorBackend:
    """An inherited descriptor. Its errors are reported on descriptor 2, since the log cannot be written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._failing = False
        self._closed = False
        self._begun = False
        self._room = Event()

    def write(self, chunks: list[Chunk]) -> int:
        """Write all chunks. Returns how many records are lost because the reader is gone."""
        if not self._begun:
            self._begun = True
            self._enlarge_pipe()
        buffers: list[bytes | memoryview] = [chunk.data for chunk in chunks]
        while buffers and not self._closed and self._write_some(buffers):
            pass
        return sum([chunk.records for chunk in chunks[len(chunks) - len(buffers) :]])

    def close(self) -> None:
        """Does nothing: the descriptor is the caller's."""

    def reopen(self) -> None:
        """Check at once whether there is room."""
        self._room.set()

    def _write_some(self, buffers: list[bytes | memoryview]) -> bool:
        """Write from the front of ``buffers``, or wait; False when the rest is lost."""
        try:
            advance(buffers, os.writev(self._fd, buffers))
            self._failing = False
        except BlockingIOError:
            # Another process that shares the descriptor has made it non-blocking.
            self._wait_writable()
        except OSError as error:
            self._tell(error)
            if error.errno not in NO_ROOM:
                return False
            self._room.wait(_LOOK_FOR_ROOM_S)
            self._room.clear()
        return True

    def _wait_writable(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.poll()

    def _tell(self, error: OSError) -> None:
        """Report a failure once. A closed pipe stays closed."""
        if error.errno in _CLOSED:
            self._closed = True
            advice = "nobody reads it any more; the children go on without it"
        elif error.errno in NO_ROOM:
            advice = "lines wait until there is room"
        else:
            advice = "lines are lost until it can be written again"
        if self._failing:
            return
        self._failing = True
        note = f"cbox-init: log output (descriptor {self._fd}): {error.strerror}: {advice}\n"
        with suppress(OSError):
            os.write(2, note.encode())

    def _enlarge_pipe(self) -> None:
        """Enlarge a pipe, which nearly doubles the throughput. It may not be permitted."""
        with suppress(OSError):
            if (
                stat.S_ISFIFO(os.fstat(self._fd).st_mode)
                and fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ) < _PIPE_BYTES
            ):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def advance(buffers: list[bytes | memoryview], written: int) -> None:
    """Remove the first ``written`` bytes."""
    done = 0
    while done < len(buffers) and written >= len(buffers[done]):
        written -= len(buffers[done])
        done += 1
    del buffers[:done]
    if written:
        buffers[0] = memoryview(buffers[0])[written:]
