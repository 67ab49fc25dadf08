"""Rotation of a file that an application writes.

The file is renamed and a new one is created: no byte is lost, and a program that has the old file open
goes on writing to it, where it is read as well. Copying and truncating, as others do, would lose what is
written in between.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.logs import rotation as files
from cbox_init.safe_paths import locate
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from threading import Thread

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.tail import Tail, TailedFile
    from cbox_init.logs.rotation import Rotation
    from cbox_init.safe_paths.place import Place

_LATER_S: Final = 0.05


class FollowedRotation:
    """Rotates the file of a tail when it has grown above the size in ``rotation``; never when that is
    None."""

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
        """Rotate if it is due; gives when to come again if nothing else happens."""
        rotation, part = self._rotation, self._tail.current
        if rotation is None or part is None or part.file is None or self._tail.leaving:
            return None
        size = part.file.size
        if size > self._above and len(self._tail.parts) <= rotation.max_files:
            if self._compressing is not None and self._compressing.is_alive():
                return now + _LATER_S  # no file is renamed while it is compressed
            self._rotate(rotation, part, part.file.inode, now)
        elif not size and self._old is not None:
            self._look_at_old(self._old)
        return None

    def _rotate(self, rotation: Rotation, part: TailedFile, inode: tuple[int, int], now: float) -> None:
        try:
            # As root, and not as the process's user: it is renamed where only root's links lead.
            place = locate(self._tail.path)
        except OSError as error:
            self._not_rotated(rotation, part, error)
            return
        with place:
            found = place.status()
            if found is None or (found.st_dev, found.st_ino) != inode:
                return  # it was renamed; an event will tell
            try:
                files.rotate(place, rotation.max_files)
                _create_like(place, found)
            except OSError as error:
                self._not_rotated(rotation, part, error)
                return
        self._above = rotation.max_size
        self._old, self._old_limit = part, found.st_size + rotation.max_size
        for older in self._tail.parts[: self._tail.parts.index(part)]:
            if self._tail.is_quiet(older, now):
                self._tail.close_file(older)
        if rotation.compress:
            open_files = {one.file.inode for one in self._tail.parts if one.file}
            work = partial(self._compress, rotation, open_files)
            with suppress(NoThreadError):  # the next rotation compresses these as well
                self._compressing = start_thread(work, name="log-compressor", failed=self._not_compressed)

    def _not_rotated(self, rotation: Rotation, part: TailedFile, error: OSError) -> None:
        """Try again, and log it again, when the file has grown by as much again."""
        assert part.file
        self._above = part.file.size + rotation.max_size
        self._log.error("Log file was not rotated", path=self._tail.path, error=error.strerror)

    def _look_at_old(self, part: TailedFile) -> None:
        """The new file is empty: warn when the application goes on with the old one."""
        if self._warned or part.file is None or part.file.size <= self._old_limit:
            return
        self._warned = True
        self._log.warn(
            "Log file was rotated, but the application does not reopen it",
            path=self._tail.path,
            error="it writes to the old file, which is followed but grows: let it reopen its log",
        )

    def _not_compressed(self, error: Exception) -> None:
        self._log.error("Log file was not compressed", path=self._tail.path, error=repr(error))

    def _compress(self, rotation: Rotation, spared: set[tuple[int, int]]) -> None:
        """Compress files that are not written any more: not PATH.1, nor files that are still followed."""
        with locate(self._tail.path) as place:
            for name in files.uncompressed(place, rotation.max_files, first=2):
                try:
                    found = place.status(name)
                    if found is not None and (found.st_dev, found.st_ino) not in spared:
                        files.compress(place, name)
                except OSError as error:
                    self._log.error(
                        "Log file was not compressed", path=place.path_of(name), error=error.strerror
                    )


def _create_like(place: Place, former: os.stat_result) -> None:
    """Create an empty file with the owner and permissions of the former one."""
    try:
        fd = place.create()
    except FileExistsError:
        return  # the application has created it
    try:
        files.give(fd, former)
    finally:
        os.close(fd)
