"""Writes records to a file, with rotation."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from cbox_init.logs import rotation
from cbox_init.logs.descriptor_writer import NO_ROOM
from cbox_init.logs.outputs.retry import BRIEFLY_S
from cbox_init.safe_paths import locate
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from threading import Thread

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.outputs.retry import Retry
    from cbox_init.logs.rotation import Rotation
    from cbox_init.logs.writer import Chunk

_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ENXIO)
"""What may be there again soon; ENXIO is a FIFO without a reader. Records wait for it, but not for long."""


_COMPRESSION_TAKES_S = 5.0
"""How long a rotation waits for the compression that the one before began, in seconds: another user may have
put a file of any size there."""

Identity = tuple[int, int]
"""The device and inode of a file, which all its names share."""


class FileBackend:
    """Appends to ``path``, which is created with its directories if it does not exist.

    A rotated file holds whole records and at most ``rotation.max_size`` bytes, except for a single larger
    record. A file that was moved or removed is created again. What cannot be written is tried again.
    """

    def __init__(self, path: str, *, rotation: Rotation | None, retry: Retry, log: DaemonLog) -> None:
        self._path = path
        self._rotation = rotation
        self._retry = retry
        self._log = log
        self._fd = -1
        self.identity: Identity | None = None
        """Device and inode of the file, while it is open."""
        self._rotates = False
        self._size = 0
        self._stale = False
        self._dropping = False
        self._compressing: Thread | None = None
        self._rotate_above = rotation.max_size if rotation else 0

    def write(self, chunks: list[Chunk]) -> int:
        """Write all chunks; returns how many records are lost.

        Records wait while the disk is full, and briefly for what may be there soon. For any other reason
        (no permission, a directory) they are dropped, and the next ones are tried again.
        """
        if self._retry.drops:
            return sum([chunk.records for chunk in chunks])
        if self._stale or self._moved():
            self.close()
            if not chunks:
                self._open()
        self._dropping = False
        data = b"".join([chunk.data for chunk in chunks])
        done = 0
        while done < len(data):
            if self._retry.given_up or self._dropping:
                return _records_behind(chunks, done)
            done = self._write_records(data, done)
        return 0

    def close(self) -> None:
        self._stale = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.identity = None

    def reopen(self) -> None:
        self._stale = True
        self._retry.hurry()

    def _write_records(self, data: bytes, start: int) -> int:
        """Write what fits before a rotation; gives where the rest begins, which is the start of a record."""
        if self._fd < 0 and not self._open():
            return start
        end = len(data)
        if self._rotates:
            end = fitting(data, start, self._rotate_above - self._size, empty=self._size == 0)
            if end == start:
                self._rotate()
                return start
        written = self._write_all(data, start, end)
        if written == end:
            self._retry.over()
            return end
        return data.rfind(b"\n", start, written) + 1 or start

    def _write_all(self, data: bytes, start: int, end: int) -> int:
        """Write to the open file, waiting for room; gives how far it came before another file is needed."""
        view = memoryview(data)
        while start < end and not self._retry.given_up and not self._dropping:
            try:
                written = os.write(self._fd, view[start:end])
            except OSError as error:
                self._wait(error)
                if error.errno not in NO_ROOM or self._stale or self._moved():
                    self.close()
                    break
            else:
                start += written
                self._size += written
        return start

    def _open(self) -> bool:
        """Open the file; waits a while and returns False when that fails."""
        self._stale = False
        try:
            with locate(self._path, make_directories=True) as place:
                self._fd = place.open_to_append()  # a FIFO without a reader is an error
                os.set_blocking(self._fd, True)
                found = os.fstat(self._fd)
                self._rotates = self._rotation is not None and _is_rotatable(place.path, found.st_mode)
                if self._rotates and self._rotation is not None:
                    with suppress(OSError):  # the next rotation says so
                        rotation.remove_beyond(place, self._rotation.max_files)
        except OSError as error:
            self.close()
            self._wait(error)
            return False
        self.identity = (found.st_dev, found.st_ino)
        self._size = found.st_size
        return True

    def _moved(self) -> bool:
        """Whether the path leads to another file now, or to none."""
        if self._fd < 0:
            return False
        try:
            found = os.stat(self._path)
        except OSError:
            return True
        self._size = found.st_size  # it may have been truncated
        return (found.st_dev, found.st_ino) != self.identity

    def _wait(self, error: OSError) -> None:
        if error.errno in NO_ROOM:
            hold_s = inf
        elif error.errno in _SHORT_OF:
            hold_s = BRIEFLY_S
        else:
            hold_s = 0.0
        self._dropping = not self._retry.failed(
            error.strerror or str(error), hold_s=hold_s, waits="; records wait until it can be written"
        )

    # -- rotation --------------------------------------------------------------------------------------

    def _rotate(self) -> None:
        assert self._rotation
        if self._compressing is not None:
            self._compressing.join(_COMPRESSION_TAKES_S)  # no file is renamed while it is compressed
            if self._compressing.is_alive():
                self._put_off("an older file is still being compressed")
                return
        try:
            with locate(self._path) as place:  # a link stays, and its file is rotated
                found = place.status()
                if found is None or (found.st_dev, found.st_ino) != self.identity:
                    self.close()  # another program has moved it: what is there now is another file
                    return
                rotation.rotate(place, self._rotation.max_files)
        except OSError as error:
            self._put_off(error.strerror or str(error))
            return
        self._rotate_above = self._rotation.max_size
        self.close()
        if self._rotation.compress:
            with suppress(NoThreadError):  # the next rotation compresses these as well
                self._compressing = start_thread(
                    self._compress, name="log-compressor", failed=self._not_compressed
                )

    def _put_off(self, why: str) -> None:
        """Rotate it, and log it again, when the file has grown by as much again."""
        assert self._rotation
        self._rotate_above = self._size + self._rotation.max_size
        self._log.error("Log file was not rotated", path=self._path, error=why)

    def _not_compressed(self, error: Exception) -> None:
        self._log.error("Log file was not compressed", path=self._path, error=repr(error))

    def _compress(self) -> None:
        assert self._rotation
        with locate(self._path) as place:
            for name in rotation.uncompressed(place, self._rotation.max_files):
                try:
                    rotation.compress(place, name)
                except OSError as error:
                    self._log.error(
                        "Log file was not compressed", path=place.path_of(name), error=error.strerror
                    )


def _is_rotatable(path: str, mode: int) -> bool:
    """Whether a file may be renamed: not a device, and not another process's, such as /dev/stdout.

    ``path`` has no links that lead elsewhere.
    """
    return stat.S_ISREG(mode) and not path.startswith(("/dev/", "/proc/"))


def fitting(data: bytes, start: int, room: int, *, empty: bool) -> int:
    """The end of the records from ``start`` on that fit into ``room`` bytes; ``start`` when none does.

    At least one record when the file is ``empty``, so that one that is too large for any file is written.
    """
    if len(data) - start <= room:
        return len(data)
    if room > 0 and (end := data.rfind(b"\n", start, start + room) + 1):
        return end
    if not empty:
        return start
    return data.find(b"\n", start) + 1 or len(data)


def _records_behind(chunks: list[Chunk], done: int) -> int:
    """The number of records in chunks that are not completely within the first ``done`` bytes."""
    end = records = 0
    for chunk in chunks:
        end += len(chunk.data)
        if end > done:
            records += chunk.records
    return records
