"""Rotation of a file that somebody else writes.

It gets another name, and a new file its own: no byte can be lost, and whoever has the old one open goes on
writing to it, where it is read as well. To copy it and cut it short, as others do, would lose what is
written in between.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.logs import rotation as files
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from threading import Thread

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.tail import Tail, TailedFile
    from cbox_init.logs.rotation import Rotation

_LATER_S: Final = 0.05


class FollowedRotation:
    """Rotates the file of a tail when it has grown past the size that ``rotation`` says; None for never."""

    def __init__(self, tail: Tail, rotation: Rotation | None, log: DaemonLog) -> None:
        self._tail = tail
        self._log = log
        self._compressing: Thread | None = None
        self._old: TailedFile | None = None
        self._old_limit = 0
        self._warned = False
        self._above = 0
        self._rotation = rotation
        self.change(rotation)

    def change(self, rotation: Rotation | None) -> None:
        """Rotate it in another way from now on."""
        self._rotation = rotation
        self._above = rotation.max_size if rotation else 0

    def look(self, now: float) -> float | None:
        """Rotate it when it is time; gives when to come again, if nothing else happens."""
        rotation, part = self._rotation, self._tail.current
        if rotation is None or part is None or part.file is None or self._tail.leaving:
            return None
        size = part.file.size
        if size > self._above and len(self._tail.parts) <= rotation.max_files:
            if self._compressing is not None and self._compressing.is_alive():
                return now + _LATER_S  # no file is moved while it is read
            self._rotate(rotation, part, part.file.inode, now)
        elif not size and self._old is not None:
            self._look_at_old(self._old)
        return None

    def _rotate(self, rotation: Rotation, part: TailedFile, inode: tuple[int, int], now: float) -> None:
        path = os.path.realpath(self._tail.path)
        found = _status(path)
        if found is None or (found.st_dev, found.st_ino) != inode:
            return  # it has another name by now, of which we shall hear
        try:
            files.rotate(path, rotation.max_files)
            _create_like(path, found)
        except OSError as error:
            # It grows by as much again before this is tried, and said, another time.
            self._above = found.st_size + rotation.max_size
            self._log.error("Log file was not rotated", path=path, error=error.strerror)
            return
        self._above = rotation.max_size
        self._old, self._old_limit = part, found.st_size + rotation.max_size
        for older in self._tail.parts[: self._tail.parts.index(part)]:
            if self._tail.is_quiet(older, now):
                self._tail.close_file(older)
        if rotation.compress:
            open_files = {one.file.inode for one in self._tail.parts if one.file}
            work = partial(self._compress, path, rotation, open_files)
            with suppress(NoThreadError):  # the next rotation compresses these as well
                self._compressing = start_thread(work, name="log-compressor", failed=self._not_compressed)

    def _look_at_old(self, part: TailedFile) -> None:
        """Nobody writes to the new file: does the application go on with the old one?"""
        if self._warned or part.file is None or part.file.size <= self._old_limit:
            return
        self._warned = True
        self._log.warn(
            "Log file was rotated, but the application does not open it anew",
            path=self._tail.path,
            error="it goes on with the old one, which is followed but grows: let it reopen its log",
        )

    def _not_compressed(self, error: Exception) -> None:
        self._log.error("Log file was not compressed", path=self._tail.path, error=repr(error))

    def _compress(self, path: str, rotation: Rotation, spared: set[tuple[int, int]]) -> None:
        """Compress what nobody writes to any more; PATH.1 waits, and files that are still followed."""
        for name in files.uncompressed(path, rotation.max_files, first=2):
            try:
                found = os.stat(name)
                if (found.st_dev, found.st_ino) not in spared:
                    files.compress(name)
            except OSError as error:
                self._log.error("Log file was not compressed", path=name, error=error.strerror)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _create_like(path: str, former: os.stat_result) -> None:
    """An empty file with the owner and mode of the former: not everybody may make one there."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return  # the application was quicker
    try:
        with suppress(PermissionError):
            os.fchown(fd, former.st_uid, former.st_gid)
        os.fchmod(fd, former.st_mode & 0o7777)
    finally:
        os.close(fd)
