"""inotify(7), which tells what happens in directories and to files."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, NamedTuple

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
UNMOUNT: Final = 0x2000
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x1000000

OF_DIRECTORIES: Final = ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | _ONLYDIR
OF_FILES: Final = MODIFY | ATTRIB | MOVE_SELF

_HEAD: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 * 1024


class InotifyEvent(NamedTuple):
    """One thing that happened: to what is watched itself, or to ``name`` in a directory.

    ``cookie`` joins the two halves of a rename.
    """

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One instance of it, with all its watches. Raises OSError where the system has none left."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._remove = libc.inotify_rm_watch
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error("inotify_init1")

    def fileno(self) -> int:
        return self._fd

    def watch(self, path: str, mask: int) -> int:
        """The number of the watch, the same for the same file or directory. Raises OSError."""
        number: int = self._add(self._fd, os.fsencode(path), mask)
        if number < 0:
            raise _error(path)
        return number

    def unwatch(self, number: int) -> None:
        """End a watch; one that has ended by itself is no error."""
        self._remove(self._fd, number)

    def read(self) -> list[InotifyEvent]:
        """What has happened since the last call, in its order."""
        events: list[InotifyEvent] = []
        while True:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return events
            at = 0
            while at < len(data):
                watch, mask, cookie, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                at += length
                events.append(InotifyEvent(watch, mask, cookie, name))

    def close(self) -> None:
        os.close(self._fd)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
