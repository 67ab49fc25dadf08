"""One path that is followed: the files that have been there, each read to its end, the oldest first.

For the follower's thread alone.
"""

from __future__ import annotations

import os
import stat
from math import inf
from typing import TYPE_CHECKING, Final

from cbox_init.logs.follow.growing_file import FLAGS, GrowingFile
from cbox_init.logs.follow.names import FileNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.growing_file import FileRead
    from cbox_init.logs.follow.names import FileGeneration
    from cbox_init.system.inotify import InotifyEvent

QUIET_S: Final = 10.0
"""After this time without a byte nothing more is expected in a file that was removed, or has gone far."""

_PARTIAL_S: Final = 2.0
"""After this time the beginning of a line at the end of a file that has a successor is a record."""

_PATIENCE_S: Final = 1.0
"""For so long the files that came after one wait for it to be opened, so that its lines come first."""

_MOST_OPEN: Final = 8


class TailedFile:
    """One of the files. Without ``file`` it is known, but could not be opened yet; its successors wait for it
    until the monotonic time ``awaited_until``.
    """

    __slots__ = ("awaited_until", "dirty", "end_at", "file", "generation", "quiet_since", "watch")

    def __init__(self, generation: FileGeneration, file: GrowingFile | None = None) -> None:
        self.generation = generation
        self.file = file
        self.dirty = file is not None
        self.quiet_since = 0.0
        self.awaited_until = inf
        self.end_at: int | None = None
        self.watch: int | None = None


class Tail:
    """Follows ``path``. ``opened`` and ``closed`` are told of each file, so that it can be watched."""

    def __init__(
        self,
        path: str,
        log: DaemonLog,
        *,
        opened: Callable[[Tail, TailedFile], None],
        closed: Callable[[Tail, TailedFile], None],
    ) -> None:
        self.path = os.path.abspath(path)
        self.parts: list[TailedFile] = []
        self.leaving = False
        self._log = log
        self._opened = opened
        self._closed = closed
        self._names = FileNames(os.path.basename(self.path))
        self._trying: dict[TailedFile, tuple[str, int]] = {}
        self._said: set[str] = set()
        self._over: list[FileRead] = []

    @property
    def current(self) -> TailedFile | None:
        """The file that is at the path, when it is open."""
        generation = self._names.current
        return next((part for part in self.parts if part.generation is generation and part.file), None)

    # -- names -----------------------------------------------------------------------------------------

    def begin(self, fd: int, position: int) -> None:
        """Follow the file that is open already, from ``position`` on."""
        part = TailedFile(self._names.appear(), GrowingFile(fd, position))
        self.parts.append(part)
        self._opened(self, part)

    def apply(self, event: InotifyEvent) -> None:
        """Something happened in the directory."""
        for part, (name, fd) in list(self._trying.items()):
            if name == event.name:  # it may not be the file that it was thought to be
                os.close(fd)
                del self._trying[part]
        if (generation := self._names.apply(event)) and not self.leaving:
            self.parts.append(TailedFile(generation))

    def lose_sight(self) -> None:
        """Events were lost, or it is another directory."""
        self._names.reset()
        self.look()

    def look(self) -> None:
        """See whether there is another file at the path, and whether there is something new in those."""
        if self.leaving:
            return
        found = None
        try:
            status = os.stat(self.path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                self._say(f"Log file cannot be followed: {error.strerror}")
        else:
            found = (status.st_dev, status.st_ino)
        if found is not None and not self._has_at_path(found):
            self.parts.append(TailedFile(self._names.appear()))
        for part in self.parts:
            part.dirty = part.file is not None

    def try_to_open(self) -> bool:
        """Open those that are known and not open yet, by their names now; whether there was one to try.

        Between the last event and this the names may have changed: ``accept`` comes after the next events.
        """
        # What has lost its name before it could be opened is not to be had any more.
        self.parts = [part for part in self.parts if part.file or not part.generation.lost]
        for part in self.parts:
            name = part.generation.name
            if part.file is not None or part in self._trying or name is None:
                continue
            path = os.path.join(os.path.dirname(self.path), name)
            try:
                self._trying[part] = (name, os.open(path, FLAGS))
            except FileNotFoundError:
                continue  # it has gone on; an event will tell where
            except OSError as error:
                part.awaited_until = 0.0
                self._say(f"Log file cannot be followed: {error.strerror}")
        return bool(self._trying)

    def accept(self) -> None:
        """No event has come that says otherwise: what was opened is what it was thought to be."""
        for part, (_, fd) in self._trying.items():
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                self.parts.remove(part)
                self._say("Log file cannot be followed: it is no regular file")
                continue
            file = GrowingFile(fd, 0)
            known = next((one for one in self.parts if one.file and one.file.inode == file.inode), None)
            if known is not None:  # it was away for a while, or is here under another name
                file.close()
                known.generation = part.generation
                known.dirty = True
                self.parts.remove(part)
                continue
            part.file = file
            part.dirty = True
            self._said.clear()
            self._opened(self, part)
        self._trying.clear()

    # -- content ---------------------------------------------------------------------------------------

    def next_reads(self, now: float) -> list[FileRead]:
        """What is to be read next, at most one block; nothing when all has been read."""
        reads, self._over = self._over, []
        for part in tuple(self.parts):
            if self._awaited(part, now):
                break
            while part.dirty and part.file is not None and not reads:
                try:
                    reads = part.file.read()
                except OSError as error:
                    self._say(f"Log file cannot be read: {error.strerror}")
                    self._close(part)
                else:
                    enough = part.end_at is not None and part.file.position >= part.end_at
                    part.dirty = not part.file.at_end and not enough
                    part.quiet_since = now
        return reads

    def tend(self, now: float) -> tuple[list[FileRead], float | None]:
        """Close files that are done with; gives what was left in one, and when to come again."""
        awaited = (part.awaited_until for part in self.parts if self._awaited(part, now))
        soonest = min(awaited, default=None)
        old = [part for part in self.parts[:-1] if part.file and not part.dirty]
        for part in old:
            assert part.file
            surplus = part.file.removed or (part is old[0] and len(self.parts) > _MOST_OPEN)
            for applies, after_s in ((part.file.partial, _PARTIAL_S), (surplus, QUIET_S)):
                due = part.quiet_since + after_s
                if applies and now < due:
                    soonest = due if soonest is None else min(soonest, due)
            if part.file.partial and now >= part.quiet_since + _PARTIAL_S:
                return [part.file.end()], now
            if surplus and now >= part.quiet_since + QUIET_S:
                self._close(part)
        reads, self._over = self._over, []
        return reads, soonest

    def is_quiet(self, part: TailedFile, now: float) -> bool:
        """Whether nothing more is expected in it."""
        if part.file is None:
            return True
        return part.file.position >= part.file.size and now >= part.quiet_since + QUIET_S

    def leave(self) -> None:
        """Read what there is now, and then no more."""
        self.leaving = True
        for part in self.parts:
            if part.file is not None:
                part.dirty = True
                part.end_at = part.file.size

    def close(self) -> None:
        """Let go of all files."""
        for part in tuple(self.parts):
            self._close(part)
        for _, fd in self._trying.values():
            os.close(fd)
        self._trying.clear()

    def close_file(self, part: TailedFile) -> None:
        """Let go of one file."""
        self._close(part)

    def _has_at_path(self, inode: tuple[int, int]) -> bool:
        """Whether the file that is at the path is the one that is thought to be there, or not known yet."""
        generation = self._names.current
        for part in self.parts:
            if part.generation is generation:
                return part.file is None or part.file.inode == inode
        return False

    def _awaited(self, part: TailedFile, now: float) -> bool:
        """Whether a file is about to be opened, as soon as it is known what it is called by now."""
        if part.file is not None or self.leaving:
            return False
        part.awaited_until = min(part.awaited_until, now + _PATIENCE_S)
        return now < part.awaited_until

    def _close(self, part: TailedFile) -> None:
        self._names.forget(part.generation)
        self.parts.remove(part)
        if part.file is not None:
            self._closed(self, part)
            self._over.append(part.file.end())
            part.file.close()
            part.file = None

    def _say(self, message: str) -> None:
        """Once, until a file could be opened."""
        if message not in self._said:
            self._said.add(message)
            head, _, error = message.partition(": ")
            self._log.error(head, path=self.path, error=error)
