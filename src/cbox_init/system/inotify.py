"""inotify(7): events of directories and files, for whoever follows what others write."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
_ONLYDIR: Final = 0x1000000

OF_DIRECTORIES: Final = ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | _ONLYDIR
OF_FILES: Final = MODIFY | ATTRIB | MOVE_SELF

_MOST_LINKS: Final = 40
_HEAD: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 * 1024


class InotifyEvent(NamedTuple):
    """Something that happened to ``name`` in a watched directory, or, without a name, to what is watched.

    The two halves of a rename have the same ``cookie``.
    """

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One inotify instance with its watches. Raises OSError when the system has none left."""

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
        """Watch ``path``. Gives the number of the watch; a file or directory has only one. Raises OSError."""
        number: int = self._add(self._fd, os.fsencode(path), mask)
        if number < 0:
            raise _error(path)
        return number

    def unwatch(self, number: int) -> None:
        """End a watch; no error when it has ended already."""
        self._remove(self._fd, number)

    def read(self) -> list[InotifyEvent]:
        """The events since the last call, oldest first."""
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


def steps_to(path: str) -> Iterator[tuple[str, str]]:
    """Each directory that is passed on the way to ``path``, with the name that is looked up in it.

    Symbolic links are followed, so that a change of any of these names can make ``path`` lead elsewhere.
    """
    directory = "/"
    names = os.path.abspath(path).split("/")[::-1]
    links = 0
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            directory = os.path.dirname(directory)
            continue
        yield directory, name
        place = os.path.join(directory, name)
        try:
            target = os.readlink(place)
        except OSError:  # no link
            directory = place
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        if target.startswith("/"):
            directory = "/"
        names += target.split("/")[::-1]


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
