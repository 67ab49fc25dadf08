"""Watches the configuration file for ``serve --watch``, which reloads it when its content has changed.

Editors replace the file, a Kubernetes ConfigMap replaces a directory in its path, other programs write it in
pieces. So the file and every directory in its path are watched, also those that symbolic links lead to, and a
change counts when the path leads to other content than before. The reload checks whether that is valid. The
files of its ``include`` are watched in the same way, and the directories of its patterns for new files, and
the files of variables of the configuration in force.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.include import included_by
from cbox_init.system import inotify
from cbox_init.system.inotify import Inotify, steps_to
from cbox_init.threads import OneThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from cbox_init.logs.daemon import DaemonLog

#: A file that has not changed for this time is complete, in seconds.
_SETTLE_S: Final = 0.2
#: How long a file that is written all the time can delay a reload, in seconds.
_LONGEST_SETTLE_S: Final = 2.0
#: How long the file system may take to answer, in seconds.
_RENEW_TIMEOUT_S: Final = 30.0
#: The first and the longest pause before another try, when the file cannot be watched, in seconds.
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
#: How often the path is resolved again when it changes meanwhile.
_MAX_TRIES: Final = 10

#: Stands for every name in a directory: a pattern of ``include`` may match it.
_ANY: Final = "*"

Fingerprint = tuple[int, ...]


async def watch(
    path: str,
    changed: Callable[[], Awaitable[object] | None],
    log: DaemonLog,
    what: str = "configuration",
    begun: Callable[[], None] | None = None,
    *,
    more: Callable[[], tuple[str, ...]] = tuple,
    more_changed: asyncio.Event | None = None,
) -> None:
    """Call ``changed`` whenever ``path`` has other content than before, until cancelled.

    ``what`` names the file in messages. ``begun`` is called once, when no further change can be missed.
    ``more`` gives further files, and is called again when what ``changed`` has returned is done, and when
    ``more_changed`` is set. A file that is new there has just been read, and is no change.
    """
    event = asyncio.Event() if more_changed is None else more_changed
    seen: _Seen | None = None
    thread = OneThread("config-watch")
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            with _watcher(path, event, thread) as watcher:
                while True:
                    found = await watcher.renew(more())
                    if seen is None:
                        log.info(f"Watching the {what}", config=path)
                        if begun is not None:
                            begun()
                    elif found.differs(seen):
                        await _done(changed())
                    seen, pause_s = found, _FIRST_PAUSE_S
                    if set(more()) != set(found.more):
                        continue
                    await watcher.wait()
        except OSError as error:
            if pause_s == _FIRST_PAUSE_S:
                log.warn(f"The {what} cannot be watched, it is tried again", config=path, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _done(begun: Awaitable[object] | None) -> None:
    """Wait for the end of what has begun; how it went is not of interest here."""
    if begun is not None:
        with suppress(Exception):
            await asyncio.shield(begun)


class _Seen(NamedTuple):
    """The fingerprint of the file with what it includes, and that of each further file."""

    file: Fingerprint
    more: dict[str, Fingerprint]

    def differs(self, before: _Seen) -> bool:
        """Whether there is other content than before in a file that was there before."""
        return self.file != before.file or any(
            name in before.more and before.more[name] != found for name, found in self.more.items()
        )


class _Watcher:
    """Owns the watches on one path. ``event`` is set when there may be something new."""

    def __init__(self, path: str, events: Inotify, event: asyncio.Event, thread: OneThread) -> None:
        self._path = path
        self._thread = thread
        self._events = events
        self._event = event
        # The names that matter in each watched directory; None while the watches are renewed, as all do then.
        self._names: dict[int, set[str]] | None = None
        self._watched: set[int] = set()

    async def renew(self, more: tuple[str, ...]) -> _Seen:
        """Watch the present directories of the path and of ``more``; gives fingerprints. Raises OSError."""
        self._event.clear()
        self._names = None
        names, found = await self._thread.run(
            partial(_watch_path, self._events, self._path, more), timeout_s=_RENEW_TIMEOUT_S
        )
        for number in self._watched - names.keys():
            self._events.unwatch(number)
        self._watched = set(names)
        self._names = names
        return found

    async def wait(self) -> None:
        """Return when something has changed and then settled."""
        loop = asyncio.get_running_loop()
        await self._event.wait()
        until = loop.time() + _LONGEST_SETTLE_S
        while self._event.is_set() and (left_s := until - loop.time()) > 0:
            self._event.clear()
            try:
                async with asyncio.timeout(min(_SETTLE_S, left_s)):
                    await self._event.wait()
            except TimeoutError:
                return

    def read(self) -> None:
        """Read events, when the event loop finds some."""
        names = self._names
        for event in self._events.read():
            if (
                names is None
                or event.mask & inotify.OVERFLOW
                or not {event.name, _ANY}.isdisjoint(names.get(event.watch, ()))
            ):
                self._event.set()


@contextmanager
def _watcher(path: str, event: asyncio.Event, thread: OneThread) -> Iterator[_Watcher]:
    loop = asyncio.get_running_loop()
    events = Inotify()
    try:
        watcher = _Watcher(path, events, event, thread)
        loop.add_reader(events.fileno(), watcher.read)
        try:
            yield watcher
        finally:
            loop.remove_reader(events.fileno())
    finally:
        events.close()


def _watch_path(events: Inotify, path: str, more: tuple[str, ...]) -> tuple[dict[int, set[str]], _Seen]:
    """Watch each directory in the paths, and the files; gives the names that matter in each watch.

    "" is the watched directory or file itself. The fingerprint is taken when all is watched, so that no later
    change is missed.
    """
    names: dict[int, set[str]] = {}
    found = _Seen((), {})
    for _ in range(_MAX_TRIES):
        names = {}
        files, folders = included_by(path, os.environ)
        own = (path, *files)
        paths = (*own, *more)
        steps = {one: tuple(steps_to(one)) for one in paths}
        for one in paths:
            for directory, name in steps[one]:
                _add(events, directory, inotify.OF_DIRECTORIES, name, names)
            _add(events, one, inotify.OF_FILES, "", names)
        for folder in folders:
            _add(events, folder, inotify.OF_DIRECTORIES, _ANY, names)
        of_own = tuple(number for one in own for number in (*fingerprint(one), 0))
        found = _Seen(of_own if any(of_own) else (), {one: fingerprint(one) for one in more})
        same = included_by(path, os.environ) == (files, folders)
        if same and all(tuple(steps_to(one)) == steps[one] for one in paths):
            break
    return names, found


def _add(events: Inotify, path: str, mask: int, name: str, names: dict[int, set[str]]) -> None:
    try:
        number = events.watch(path, mask)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # the directory above is watched
    names.setdefault(number, {""}).add(name)


def fingerprint(path: str) -> Fingerprint:
    """A value that differs when ``path`` leads to other content than before; empty when there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
