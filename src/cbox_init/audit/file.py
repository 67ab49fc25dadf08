"""The audit file: opened by descriptors, never through a link that others made, and rotated there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.audit.chain import LONGEST_LINE, START, ChainLink, digest_of, find_end
from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbox_init.safe_paths.place import Place

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT
_MODE: Final = 0o600
_OF_OTHERS: Final = 0o077

#: How much of the end of a file is searched for its last complete record.
_TAIL_BYTES: Final = 4 * LONGEST_LINE


class TornEnd(NamedTuple):
    """What stands behind the last complete record of a file, as a crash or a full disk leaves it."""

    bytes: int
    sha256: str


class FoundChain(NamedTuple):
    """Where the chain goes on, and what was torn there."""

    link: ChainLink
    torn: TornEnd | None


class AuditFile:
    """Appends lines to the file at ``path``, which is rotated when it would grow above ``max_size`` bytes.

    ``max_files`` rotated files are kept, PATH.1 is the latest. All methods may block.
    """

    def __init__(self, path: str, *, max_size: int, max_files: int) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._fd = -1
        self._size = 0
        self._rotate_above = max_size
        self._torn = False  # what was written last has no line end
        self.on_rotated: Callable[[OSError | None], object] = lambda error: None
        """Called after a rotation, with the error of one that failed: the file grows on then."""

    def resume(self) -> FoundChain:
        """Open the file; the end of the chain in it, or in the latest rotated one. Raises OSError."""
        self.close()
        with self._locate() as place:
            self._open(place)
            link, rest = _found_end(self._fd, self._size)
            self._torn = bool(rest) and not rest.endswith(b"\n")
            if link is None and self._size <= _TAIL_BYTES:  # a crash right after a rotation
                with suppress(OSError):
                    link, before = _end_of_rotated(place)
                    rest = before + rest
        return FoundChain(link or START, TornEnd(len(rest), digest_of(rest)) if rest else None)

    def append(self, data: bytes, *, sync: bool) -> None:
        """Write whole lines, all of them or none; with ``sync`` they are on the disk then.

        Raises OSError. What a failed write left is cut off again, as far as the file allows that; `resume`
        finds what is left.
        """
        self._follow_name()
        if self._torn:  # not rotated: what is torn, and the record that says so, stand in one file
            data = b"\n" + data
        elif self._size and self._size + len(data) > self._rotate_above:
            self._rotate()
        before, done = self._size, 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
            if sync:
                os.fdatasync(self._fd)
        except OSError:
            self._take_back(before, done)
            raise
        self._size = before + done
        self._torn = False

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -- opening ---------------------------------------------------------------------------------------

    def _locate(self) -> Place:
        place = locate(self._path, make_directories=True, last_link=False)
        try:
            _check_directory(place)
        except BaseException:
            place.close()
            raise
        return place

    def _open(self, place: Place) -> None:
        self._fd = _open_own(place, _FLAGS)
        self._size = os.fstat(self._fd).st_size
        self._torn = False
        if not self._size:
            _sync_directory(place)

    def _follow_name(self) -> None:
        """Open the file again when its name leads to another one, or to none: it was moved or removed."""
        with self._locate() as place:
            if self._fd >= 0:
                ours, named = os.fstat(self._fd), place.status()
                if named is not None and (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino):
                    self._size = ours.st_size
                    return
                self.close()
            self._open(place)

    # -- writing ---------------------------------------------------------------------------------------

    def _take_back(self, before: int, written: int) -> None:
        """Remove the part of a write that failed, so that no line is torn."""
        if not written:
            return
        try:
            if os.fstat(self._fd).st_size == before + written:
                os.ftruncate(self._fd, before)
                return
        except OSError:  # a file that can only be appended to (chattr +a)
            pass
        self._torn = True

    def _rotate(self) -> None:
        """Rename the file to NAME.1, NAME.1 to NAME.2 and so on, and begin a new one. Raises OSError."""
        error = None
        with self._locate() as place:
            try:
                self._shift(place)
            except OSError as caught:
                error = caught
            self._rotate_above = self._max_size + (self._size if error else 0)
            self.close()
            self._open(place)
        self.on_rotated(error)

    def _shift(self, place: Place) -> None:
        free = 1
        while free < self._max_files and place.exists(f"{place.name}.{free}"):
            free += 1
        for number in range(free, 1, -1):
            place.rename(f"{place.name}.{number - 1}", f"{place.name}.{number}")
        place.rename(place.name, f"{place.name}.1")
        for name in _numbered_beyond(place, self._max_files):
            place.remove(name)


def _check_directory(place: Place) -> None:
    """Refuse a directory in which others can replace the file; in /tmp they cannot. Raises OSError."""
    if not place.shared:
        return
    fd = place.directory()
    try:
        mode = os.fstat(fd).st_mode
    finally:
        os.close(fd)
    if not mode & stat.S_ISVTX:
        raise UnsafePathError(place.path, "others can write in its directory: use a directory of its own")


def _check_file(place: Place, found: os.stat_result) -> None:
    """Refuse what is no file of ours or root's alone. Raises UnsafePathError."""
    if stat.S_ISLNK(found.st_mode):
        raise UnsafePathError(place.path, "it is a link: name the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePathError(place.path, "it is no regular file")
    if found.st_uid not in (0, os.geteuid()):
        raise UnsafePathError(place.path, f"it belongs to another user (uid {found.st_uid})")
    if found.st_nlink > 1:
        raise UnsafePathError(place.path, "it has another name as well (a hard link)")


def _sync_directory(place: Place) -> None:
    """Write to the disk that there is a new file: fdatasync(2) of the file itself does not."""
    with suppress(OSError):  # not readable, or not offered by the file system
        fd = place.directory()
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def place_problem(path: str) -> str | None:
    """Why the audit file cannot be at ``path``, as far as can be seen without making it."""
    try:
        with locate(path, last_link=False) as place:
            _check_directory(place)
            found = place.status()
            if found is not None:
                _check_file(place, found)
    except FileNotFoundError:
        return None  # directories are made
    except OSError as error:
        return error.strerror or str(error)
    return None


def _open_own(place: Place, flags: int, name: str | None = None) -> int:
    """Open a regular file that is ours or root's alone. Raises OSError."""
    named = place.status(name)
    if named is not None:
        _check_file(place, named)
    fd = place.open(flags, _MODE, name)
    try:
        found = os.fstat(fd)
        _check_file(place, found)
        if found.st_mode & _OF_OTHERS:
            os.fchmod(fd, _MODE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _numbered_beyond(place: Place, number: int) -> Iterator[str]:
    """The rotated files that were kept under a larger ``max_files``, as far as their numbers go on."""
    while place.exists(f"{place.name}.{number + 1}"):
        number += 1
        yield f"{place.name}.{number}"


def _end_of_rotated(place: Place) -> tuple[ChainLink | None, bytes]:
    fd = _open_own(place, os.O_RDONLY, f"{place.name}.1")
    try:
        return _found_end(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _found_end(fd: int, size: int) -> tuple[ChainLink | None, bytes]:
    """The last complete record, and what stands behind it."""
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(fd, size - start, start)
    link, end = find_end(tail)
    return link, tail[end:]
