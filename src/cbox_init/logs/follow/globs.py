"""Files by a pattern such as ``laravel-*.log``: new ones are followed as they come."""

from __future__ import annotations

import os
import re
import stat
from fnmatch import translate
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.logs.follow.growing_file import FollowedFile, as_ourselves
from cbox_init.safe_paths import open_to_read
from cbox_init.system.inotify import CREATE, DELETE, MOVED_TO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cbox_init.logs.daemon import RepeatedError
    from cbox_init.logs.follow.growing_file import FileConsumer
    from cbox_init.logs.rotation import Rotation
    from cbox_init.safe_paths.permissions import Reader
    from cbox_init.system.inotify import InotifyEvent

MOST_FILES: Final = 256
"""Files of one pattern that are followed at once, those that were written last."""

_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tmp")

Inode = tuple[int, int]


class Match(NamedTuple):
    """A file that matches, open at its current end."""

    path: str
    fd: int
    size: int


class FollowedGlob:
    """A pattern that is followed, as the event loop's thread uses it.

    ``make`` makes the consumer of a file; it is called in the event loop's thread. ``read_as`` is that of
    its files.
    """

    def __init__(
        self,
        path: str,
        make: Callable[[str], FileConsumer],
        read_as: Callable[[], Reader | None] = as_ourselves,
    ) -> None:
        self.path = path
        self.make = make
        self.read_as = read_as

    def file(self, path: str) -> FollowedFile:
        """One of the files that match."""
        return FollowedFile(path, self.make(path), lambda: self.read_as())


class GlobFiles:
    """The files of one pattern, as the follower's thread uses it. It gets events like a tail.

    ``others`` are files that match and are not followed. ``failed`` logs for all of them: their names are for
    others to choose, and there may be many.
    """

    def __init__(
        self,
        glob: FollowedGlob,
        rotation: Rotation | None,
        found: Iterable[str],
        others: Mapping[str, Inode],
        failed: RepeatedError,
    ) -> None:
        self.glob = glob
        self.failed = failed
        self.rotation = rotation
        self.path = os.path.abspath(glob.path)
        self.files: dict[str, FollowedFile | None] = dict.fromkeys(found)
        """The paths that are followed; None until the event loop has made the consumer."""
        self._directory, pattern = os.path.split(self.path)
        self._matches = _matcher(pattern)
        self._new: dict[str, None] = {}
        self._over = dict(others)

    def apply(self, event: InotifyEvent) -> None:
        path = os.path.join(self._directory, event.name)
        if event.mask & (CREATE | MOVED_TO) and self._matches(event.name):
            self._new[path] = None
        elif event.mask & DELETE:
            self._over.pop(path, None)  # its inode may be that of another file soon

    def look(self) -> None:
        """Find what has come without an event."""
        for name in _listed(self._directory):
            if self._matches(name):
                path = os.path.join(self._directory, name)
                if path not in self.files:
                    self._new[path] = None
        self._over = {path: inode for path, inode in self._over.items() if inode_of(path) == inode}

    def lose_sight(self) -> None:
        self.look()

    def try_to_open(self) -> bool:
        return False

    def accept(self) -> None:
        """Nothing: its files are opened by tails of their own."""

    def over(self, path: str, *, removed: bool) -> None:
        """A file is not followed any more. What is at its path now is new if the file was ``removed``."""
        self.files.pop(path, None)
        if removed:
            self._new[path] = None
        elif inode := inode_of(path):
            self._over[path] = inode

    def new_paths(self, followed: Callable[[], set[Inode]]) -> list[str]:
        """The paths that are to be followed now. ``followed`` are files that are read under another name."""
        if not self._new:
            return []
        new, self._new = self._new, {}
        known = followed() | set(self._over.values())
        found: list[str] = []
        for path in new:
            inode = inode_of(path)
            if path not in self.files and inode is not None and inode not in known:
                known.add(inode)
                self.files[path] = None
                found.append(path)
        return found


def is_glob(path: str) -> bool:
    """Whether a path is a pattern: it has ``*``, ``?`` or ``[`` in its last part."""
    return any(mark in os.path.basename(path) for mark in "*?[")


def matches_now(glob: FollowedGlob) -> tuple[list[Match], dict[str, Inode]]:
    """The files that match a pattern now, open; and those that are too many.

    Of too many those that were written last are opened. One that cannot be opened is in neither: it is
    tried again like one that comes later. Of too many of these too, only those that were written last.
    """
    directory, pattern = os.path.split(os.path.abspath(glob.path))
    matches = _matcher(pattern)
    found: list[tuple[int, str, Inode]] = []
    for name in _listed(directory):
        if matches(name):
            place = os.path.join(directory, name)
            try:
                status = os.stat(place)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime_ns, place, (status.st_dev, status.st_ino)))
    opened: list[Match] = []
    others = {place: inode for _, place, inode in found}
    inodes = set(others.values())
    refused = 0
    for _, place, inode in sorted(found, reverse=True):
        if len(opened) >= MOST_FILES:
            break
        if inode in inodes:
            inodes.remove(inode)
            try:
                fd = open_to_read(place, glob.read_as())
            except OSError:
                refused += 1
                if refused <= MOST_FILES:
                    del others[place]
            else:
                del others[place]
                opened.append(Match(place, fd, os.fstat(fd).st_size))
    return opened, others


def inode_of(path: str) -> Inode | None:
    """Device and inode of a regular file, None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _matcher(pattern: str) -> Callable[[str], bool]:
    search = re.compile(translate(pattern)).match
    return lambda name: search(name) is not None and not name.endswith(_COMPRESSED)


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
