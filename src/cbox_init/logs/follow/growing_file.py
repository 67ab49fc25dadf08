"""One open file that grows and may be truncated, read by blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cbox_init.safe_paths import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.safe_paths.permissions import Reader

READ_BYTES: Final = 24 * 1024
_MARK_BYTES: Final = 64


_serials = count()


class FileRead(NamedTuple):
    """What was read of one file. With ``ends`` its unfinished line will not be continued.

    ``file`` is a number for one file's content: a file that starts again from its beginning gets another
    one.
    """

    file: int
    data: bytes
    ends: bool = False


class FileConsumer(Protocol):
    """Takes the lines of a file. Called in the event loop's thread."""

    def held(self) -> bool:
        """Whether reading should stop because an output is full."""

    def take(self, reads: Sequence[FileRead]) -> None:
        """Take what was read."""

    def end(self) -> None:
        """Nothing more will come."""


def as_ourselves() -> Reader | None:
    """Files are read with our own permissions."""
    return None


class FollowedFile:
    """A followed file, as the event loop's thread uses it.

    ``read_as`` gives the user whose permissions decide what may be read, None for our own. It raises OSError
    when there is no such user, and may be called in any thread.
    """

    def __init__(
        self, path: str, consumer: FileConsumer, read_as: Callable[[], Reader | None] = as_ourselves
    ) -> None:
        self.path = path
        self.consumer = consumer
        self.read_as = read_as

    def open(self, path: str) -> int:
        """Open the file at its path, or at another one in the same directory. Raises OSError."""
        return open_to_read(path, self.read_as())


class GrowingFile:
    """Reads a file from ``position`` on. It owns the descriptor.

    A truncation is recognised when the file is shorter than what was read, or when the last bytes that
    were read are not in front of the position any more.
    """

    __slots__ = ("_mark", "_serial", "_skips_nul", "at_end", "fd", "inode", "partial", "position")

    def __init__(self, fd: int, position: int) -> None:
        found = os.fstat(fd)
        self.fd = fd
        self.inode = (found.st_dev, found.st_ino)
        self.position = position
        self.at_end = False
        self.partial = False
        """Whether an unfinished line was read."""
        self._serial = next(_serials)
        marked = min(position, _MARK_BYTES)
        self._mark = os.pread(fd, marked, position - marked)
        self._skips_nul = False

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def written_at(self) -> float:
        return os.fstat(self.fd).st_mtime

    @property
    def removed(self) -> bool:
        """Whether the file was removed (it has no name any more)."""
        return os.fstat(self.fd).st_nlink == 0

    def read(self, limit: int | None = None) -> list[FileRead]:
        """The next block, no further than ``limit``; ``at_end`` tells whether there was none.

        Raises OSError.
        """
        reads: list[FileRead] = []
        if not self._intact():
            reads.append(self.end())
            self._rewind()
        most = READ_BYTES if limit is None else max(0, min(READ_BYTES, limit - self.position))
        data = os.pread(self.fd, most, self.position)
        self.at_end = not data
        if not data:
            return reads
        self.position += len(data)
        self._mark = (self._mark + data[-_MARK_BYTES:])[-_MARK_BYTES:]
        if self._skips_nul:
            data = data.lstrip(b"\0")
            self._skips_nul = not data
        if data:
            self.partial = not data.endswith(b"\n")
            reads.append(FileRead(self._serial, data))
        return reads

    def end(self) -> FileRead:
        """Make the unfinished line a record: nothing may ever complete it."""
        self.partial = False
        return FileRead(self._serial, b"", ends=True)

    def close(self) -> None:
        os.close(self.fd)

    def _intact(self) -> bool:
        if not self._mark:
            return self.size >= self.position
        start = self.position - len(self._mark)
        return os.pread(self.fd, len(self._mark), start) == self._mark

    def _rewind(self) -> None:
        """Start from the beginning. A program that goes on writing at its old position leaves a hole, or
        zeros, before it."""
        self.position = 0
        self._serial = next(_serials)
        self._mark = b""
        self._skips_nul = True
        with suppress(OSError):
            self.position = os.lseek(self.fd, 0, os.SEEK_DATA)
