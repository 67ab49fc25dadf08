"""One followed path: the files that have been there, each read to its end, oldest first.

For the follower's thread alone.
"""

from __future__ import annotations

import errno
import os
import stat
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from cbox_init.errors import UnsafePathError
from cbox_init.logs.follow.growing_file import GrowingFile
from cbox_init.logs.follow.names import FileNames
from cbox_init.safe_paths import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cbox_init.logs.daemon import DaemonLog, RepeatedError
    from cbox_init.logs.follow.growing_file import FileRead
    from cbox_init.logs.follow.names import FileGeneration
    from cbox_init.system.inotify import InotifyEvent

QUIET_S: Final = 10.0
"""After this many seconds without a byte a removed or old file is closed."""

_PARTIAL_S: Final = 2.0
"""After this many seconds the unfinished line of a file that was replaced becomes a record."""

_PATIENCE_S: Final = 1.0
"""How many seconds later files wait for an earlier one to be opened, so that its lines come first."""

_MOST_OPEN: Final = 8

_INTERVAL_S: Final = 10.0
_MOST_MESSAGES: Final = 5
"""What is logged about one path in ten seconds."""

_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_FEEDBACK: Final = "Log file cannot be followed: an output of the daemon writes to it"


class TailedFile:
    """One of the files. Without ``file`` it is known but not opened yet; later files wait for it until the
    monotonic time ``awaited_until``.
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
    """Follows ``path``. ``opened`` and ``closed`` are called for each file, so that it can be watched.
    ``open_file`` opens a path for reading.

    ``failed`` logs what cannot be followed, together with that of other tails.

    ``written`` gives the device and inode of files that outputs write to: following one would never end. With
    ``keeps_last`` the last file stays open when it was removed, until another is at the path.
    """

    def __init__(
        self,
        path: str,
        log: DaemonLog,
        *,
        open_file: Callable[[str], int] = open_to_read,
        opened: Callable[[Tail, TailedFile], None],
        closed: Callable[[Tail, TailedFile], None],
        written: Callable[[], Container[tuple[int, int]]] = frozenset,
        keeps_last: bool = True,
        failed: RepeatedError | None = None,
    ) -> None:
        self.path = os.path.abspath(path)
        self.parts: list[TailedFile] = []
        self.leaving = False
        self.short = False
        """Whether a file could not be opened for want of descriptors or memory, or was refused: try again
        soon."""
        self._log = log
        self._failed = failed
        self._open = open_file
        self._opened = opened
        self._closed = closed
        self._written = written
        self._keeps_last = keeps_last
        self._names = FileNames(os.path.basename(self.path))
        self._trying: dict[TailedFile, tuple[str, int]] = {}
        self._said: set[str] = set()
        self._said_since = 0.0
        self._said_lately = 0
        self._suppressed = 0
        self._over: list[FileRead] = []

    @property
    def current(self) -> TailedFile | None:
        """The file at the path, when it is open."""
        generation = self._names.current
        return next((part for part in self.parts if part.generation is generation and part.file), None)

    # -- names -----------------------------------------------------------------------------------------

    def begin(self, fd: int, position: int) -> None:
        """Follow an open file from ``position`` on."""
        part = TailedFile(self._names.appear(), GrowingFile(fd, position))
        self.parts.append(part)
        self._opened(self, part)

    def apply(self, event: InotifyEvent) -> None:
        """Apply an event of the directory."""
        for part, (name, fd) in list(self._trying.items()):
            if name == event.name:  # it may be another file than the one that was meant
                os.close(fd)
                del self._trying[part]
        if (generation := self._names.apply(event)) and not self.leaving:
            self.parts.append(TailedFile(generation))

    def lose_sight(self) -> None:
        """Events were lost, or the directory was replaced."""
        self._names.reset()
        self.look()

    def look(self) -> None:
        """Check whether another file is at the path, and whether the known ones have grown."""
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
        """Open known files that are not open yet, by their current names; whether there was one to try.

        Names may have changed since the last event: ``accept`` is called after the next events.
        """
        # A file that lost its name before it was opened cannot be opened any more.
        self.parts = [part for part in self.parts if part.file or not part.generation.lost]
        self.short = False
        for part in self.parts:
            name = part.generation.name
            if part.file is not None or part in self._trying or name is None:
                continue
            path = os.path.join(os.path.dirname(self.path), name)
            try:
                self._trying[part] = (name, self._open(path))
            except FileNotFoundError:
                continue  # it was renamed; an event will tell
            except OSError as error:
                part.awaited_until = 0.0
                self.short |= error.errno in _SHORT or isinstance(error, UnsafePathError)
                self._say(f"Log file cannot be followed: {error.strerror}")
        return bool(self._trying)

    def accept(self) -> None:
        """Accept what was opened: no event has shown that a name was another file's."""
        for part, (_, fd) in self._trying.items():
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                self.parts.remove(part)
                self._say("Log file cannot be followed: it is no regular file")
                continue
            try:
                file = GrowingFile(fd, 0)
            except OSError as error:
                os.close(fd)
                self.parts.remove(part)
                self._say(f"Log file cannot be read: {error.strerror}")
                continue
            if file.inode in self._written():
                file.close()
                self.parts.remove(part)
                self._say(_FEEDBACK)
                continue
            known = next((one for one in self.parts if one.file and one.file.inode == file.inode), None)
            if known is not None:  # it is back, or has a second name here
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
        """What to send next, at most one block; empty when everything was read."""
        reads, self._over = self._over, []
        limits = self._limits()
        for part in tuple(self.parts):
            if self._awaited(part, now):
                break
            while part.dirty and part.file is not None and not reads:
                if part.file.inode in self._written():  # an output has opened it meanwhile
                    self._say(_FEEDBACK)
                    self._close(part)
                    break
                try:
                    reads = part.file.read(limits.get(part))
                except OSError as error:
                    self._say(f"Log file cannot be read: {error.strerror}")
                    self._close(part)
                else:
                    enough = part.end_at is not None and part.file.position >= part.end_at
                    part.dirty = not part.file.at_end and not enough
                    part.quiet_since = now
        return reads

    def _limits(self) -> dict[TailedFile, int]:
        """How far each of several files may be read for its lines to come in the order in which they were
        written.

        A program that opens its log for each line may write to the old file a moment before it writes to the
        new one, and after the old one was read. So the sizes are taken of the newest file first.
        """
        limits: dict[TailedFile, int] = {}
        if len(self.parts) > 1:
            for part in reversed(self.parts):
                if part.file is not None:
                    limits[part] = part.file.size
                    part.dirty |= part.end_at is None and limits[part] > part.file.position
        return limits

    def tend(self, now: float) -> tuple[list[FileRead], float | None]:
        """Close files that are done; gives what was left in one, and when to come again."""
        awaited = (part.awaited_until for part in self.parts if self._awaited(part, now))
        soonest = min(awaited, default=None)
        last = self.parts[-1:]
        lets_go = not self._keeps_last and last and last[0].file and last[0].file.removed
        candidates = self.parts if lets_go else self.parts[:-1]
        old = [part for part in candidates if part.file and not part.dirty]
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
        """Whether nothing more is expected in a file."""
        if part.file is None:
            return True
        return part.file.position >= part.file.size and now >= part.quiet_since + QUIET_S

    @property
    def written_at(self) -> float:
        """When one of the files was written last, in Unix time."""
        return max((part.file.written_at for part in self.parts if part.file), default=0.0)

    def leave(self) -> None:
        """Read to the current end of each file, and no further."""
        self.leaving = True
        for part in self.parts:
            if part.file is not None:
                part.dirty = True
                part.end_at = part.file.size

    def close(self) -> None:
        """Close all files."""
        for part in tuple(self.parts):
            self._close(part)
        for _, fd in self._trying.values():
            os.close(fd)
        self._trying.clear()

    def close_file(self, part: TailedFile) -> None:
        """Close one file."""
        self._close(part)

    def _has_at_path(self, inode: tuple[int, int]) -> bool:
        """Whether the file at the path is the one that is followed, or not known yet."""
        generation = self._names.current
        for part in self.parts:
            if part.generation is generation:
                return part.file is None or part.file.inode == inode
        return False

    def _awaited(self, part: TailedFile, now: float) -> bool:
        """Whether a file is still to be opened, so that later ones have to wait."""
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
        """Log a message once, until a file was opened. Another user may make it come and go all the time."""
        if message in self._said:
            return
        now = monotonic()
        if now >= self._said_since + _INTERVAL_S:
            self._said_since, self._said_lately = now, 0
        if self._said_lately >= _MOST_MESSAGES:
            self._suppressed += 1
            return
        self._said_lately += 1
        self._said.add(message)
        suppressed, self._suppressed = self._suppressed, 0
        head, _, error = message.partition(": ")
        if self._failed is not None:
            self._failed.report(error, path=self.path)
        else:
            self._log.error(head, path=self.path, error=error, suppressed=suppressed or None)
