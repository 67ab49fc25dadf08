"""The inotify watches for followed files: every directory on the way to each, and the files."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cbox_init.system import inotify
from cbox_init.system.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.tail import Tail, TailedFile
    from cbox_init.system.inotify import InotifyEvent


_RETRY_S: Final = 60.0
"""How long after inotify failed it is tried again, in seconds."""


class WatchStep(NamedTuple):
    """One directory on the way to a file, and the name that matters in it.

    ``last`` marks the directory in which the file has its names; the others lead there.
    """

    watch: int
    name: str
    last: bool


class Watched(Protocol):
    """Gets the events of the directory of ``path``, and of those on the way to it: a tail, or a pattern."""

    path: str

    def apply(self, event: InotifyEvent) -> None: ...

    def look(self) -> None: ...

    def lose_sight(self) -> None: ...

    def try_to_open(self) -> bool: ...

    def accept(self) -> None: ...


class PathWatches:
    """One inotify instance for all files. Without one (the system has none left), ``fileno`` is None and
    files are checked at intervals."""

    def __init__(self, log: DaemonLog) -> None:
        self._log = log
        self._steps: dict[Watched, list[WatchStep]] = {}
        self._users: dict[int, list[tuple[Watched, WatchStep]]] = {}
        self._files: dict[int, list[tuple[Tail, TailedFile]]] = {}
        self._inotify: Inotify | None = None
        self._retry_at = 0.0
        self.restored = False
        """Whether there is inotify again: everything is to be added once more."""
        self._said = False
        self._begin()

    def fileno(self) -> int | None:
        return self._inotify.fileno() if self._inotify is not None else None

    def usable(self, now: float) -> bool:
        """Whether there is inotify; where it failed it is tried again once a minute."""
        self.restored = False
        if self._inotify is None and now >= self._retry_at:
            self._begin()
            self.restored = self._inotify is not None
        return self._inotify is not None

    def add(self, tail: Watched) -> None:
        """Renew the watches on the way to a file, as far as it exists."""
        if self._inotify is None:
            tail.look()
            return
        before = self._steps.get(tail, [])
        steps = list(self._watched(tail.path))
        if self.fileno() is None:  # it has failed meanwhile
            tail.look()
            return
        self._use(tail, steps)
        if before and _last(before) == _last(steps):
            tail.look()
        else:
            tail.lose_sight()

    def drop(self, tail: Watched) -> None:
        """Remove the watches on the way to a file."""
        if tail not in self._steps:
            return
        self._use(tail, [])
        del self._steps[tail]

    def add_file(self, tail: Tail, part: TailedFile) -> None:
        """Watch an open file for writes."""
        if self._inotify is None or part.file is None:
            return
        try:
            part.watch = self._inotify.watch(f"/proc/self/fd/{part.file.fd}", inotify.OF_FILES)
        except OSError as error:
            self._fail(error)
            return
        self._files.setdefault(part.watch, []).append((tail, part))

    def drop_file(self, tail: Tail, part: TailedFile) -> None:
        """Remove the watch of a file that will be closed."""
        watch, part.watch = part.watch, None
        if watch is None:
            return
        users = self._files[watch]
        users.remove((tail, part))
        if not users:
            del self._files[watch]
            if self._inotify is not None:
                self._inotify.unwatch(watch)

    def take_events(self, tails: Sequence[Watched]) -> bool:
        """Give events to the tails, and let them open new files; whether to come again at once."""
        self._route(tails)
        tried = [tail.try_to_open() for tail in tails]
        if not any(tried):
            return False
        self._route(tails)
        for tail in tails:
            tail.accept()
        return True

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    # -- inside ----------------------------------------------------------------------------------------

    def _watched(self, path: str) -> Iterator[WatchStep]:
        assert self._inotify
        for directory, name in _way(path):
            try:
                watch = self._inotify.watch(directory, inotify.OF_DIRECTORIES)
            except PermissionError:
                continue
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._fail(error)
                return
            yield WatchStep(watch, name, last=os.path.join(directory, name) == path)

    def _route(self, tails: Sequence[Watched]) -> None:
        if self._inotify is None:
            return
        lost: set[Watched] = set()
        for event in self._inotify.read():
            if event.mask & inotify.OVERFLOW:
                lost.update(tails)
                for tail in tails:
                    tail.lose_sight()
            elif event.watch in self._files:
                self._file_event(event)
            else:
                lost |= self._directory_event(event)
        for tail in lost:
            if tail in self._steps:
                self.add(tail)

    def _file_event(self, event: InotifyEvent) -> None:
        for tail, part in self._files[event.watch]:
            part.dirty |= bool(event.mask & inotify.MODIFY)
            if event.mask & ~inotify.MODIFY and os.path.islink(tail.path):
                tail.look()  # its own directory is another, which is not watched

    def _directory_event(self, event: InotifyEvent) -> set[Watched]:
        """Apply an event; gives the tails whose way may have changed."""
        lost: set[Watched] = set()
        for tail, step in self._users.get(event.watch, ()):
            if not event.name or (event.name == step.name and not step.last):
                lost.add(tail)
            elif step.last:
                tail.apply(event)
        return lost

    def _use(self, tail: Watched, steps: list[WatchStep]) -> None:
        """Watch these directories for a tail, and drop watches that no tail uses any more."""
        before = self._steps.get(tail, [])
        self._steps[tail] = steps
        for step in before:
            self._users[step.watch].remove((tail, step))
        for step in steps:
            self._users.setdefault(step.watch, []).append((tail, step))
        for watch in {step.watch for step in before}:
            if not self._users[watch]:
                del self._users[watch]
                if self._inotify is not None:
                    self._inotify.unwatch(watch)

    def _begin(self) -> None:
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Go on without inotify for a while: with too few watches its events are incomplete."""
        if not self._said:
            self._said = True
            self._log.warn("Log files are looked at every second", error=f"inotify: {error.strerror}")
        self._retry_at = monotonic() + _RETRY_S
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._steps.clear()
        self._users.clear()
        for users in self._files.values():
            for _, part in users:
                part.watch = None
        self._files.clear()


def _way(path: str) -> Iterator[tuple[str, str]]:
    """Each directory on the way to the absolute ``path``, with the name that follows in it.

    When the last name is a symbolic link, first the directory of the file it leads to.
    """
    if os.path.islink(path):
        yield os.path.split(os.path.realpath(path))
    directory = "/"
    *between, base = path.strip("/").split("/")
    for name in between:
        yield directory, name
        directory = os.path.join(directory, name)
    yield directory, base


def _last(steps: Sequence[WatchStep]) -> int | None:
    return steps[-1].watch if steps and steps[-1].last else None
