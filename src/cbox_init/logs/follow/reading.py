"""One open file that grows, and may be truncated: what is new in it, by blocks of lines."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cbox_init.logs.framing import Framer

if TYPE_CHECKING:
    from cbox_init.logs.framing import Piece

READ_BYTES: Final = 24 * 1024
_MARK_BYTES: Final = 64
FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Growing:
    """A file, which it owns, from ``position`` on.

    It is known to have been truncated when it is shorter than what was read, or when the last bytes that
    were read do not stand before the position any more.
    """

    __slots__ = ("_framer", "_mark", "_skips_nul", "at_end", "fd", "inode", "position")

    def __init__(self, fd: int, position: int) -> None:
        found = os.fstat(fd)
        self.fd = fd
        self.inode = (found.st_dev, found.st_ino)
        self.position = position
        self.at_end = False
        self._framer = Framer()
        marked = min(position, _MARK_BYTES)
        self._mark = os.pread(fd, marked, position - marked)
        self._skips_nul = False

    @property
    def partial(self) -> bool:
        """Whether the beginning of a line waits for its end."""
        return self._framer.holds

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def removed(self) -> bool:
        """Whether it has no name anywhere any more."""
        return os.fstat(self.fd).st_nlink == 0

    def read(self) -> list[Piece]:
        """The lines of the next block; none may be complete. ``at_end`` tells whether there was nothing more.

        Raises OSError.
        """
        pieces: list[Piece] = []
        if not self._intact():
            pieces = self._framer.flush()
            self._rewind()
        data = os.pread(self.fd, READ_BYTES, self.position)
        self.at_end = not data
        if not data:
            return pieces
        self.position += len(data)
        self._mark = (self._mark + data[-_MARK_BYTES:])[-_MARK_BYTES:]
        if self._skips_nul:
            data = data.lstrip(b"\0")
            self._skips_nul = not data
        return pieces + self._framer.feed(data)

    def flush(self) -> list[Piece]:
        """The beginning of a line that nobody may ever end."""
        return self._framer.flush()

    def close(self) -> None:
        os.close(self.fd)

    def _intact(self) -> bool:
        if not self._mark:
            return self.size >= self.position
        start = self.position - len(self._mark)
        return os.pread(self.fd, len(self._mark), start) == self._mark

    def _rewind(self) -> None:
        """Begin anew. Who writes on at its old place leaves a hole, or zeros, before it."""
        self.position = 0
        self._mark = b""
        self._skips_nul = True
        with suppress(OSError):
            self.position = os.lseek(self.fd, 0, os.SEEK_DATA)
