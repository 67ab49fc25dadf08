"""Follows the configuration file for ``serve --watch``: asks for a reload when its content has changed.

Editors replace the file, a Kubernetes ConfigMap replaces a directory that the file's name leads through,
other programs write it in pieces. So every directory on the way to the file is watched, and the file itself,
and a change counts when the path leads to other content than before. Whether that content is valid is found
out by the reload.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.system import inotify
from cbox_init.system.inotify import Inotify, steps_to
from cbox_init.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbox_init.logs.daemon import DaemonLog

#: A file that was not touched for this time is complete, in seconds.
_SETTLE_S: Final = 0.2
#: How long a file that is written all the time can delay a reload, in seconds.
_LONGEST_SETTLE_S: Final = 2.0
#: How long the file system may take to answer, in seconds.
_LOOK_TAKES_S: Final = 30.0
#: The first and the longest pause before another try, when the file cannot be watched, in seconds.
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
#: How often the way to the file is followed again when it changes meanwhile.
_MOST_TRIES: Final = 10

Fingerprint = tuple[int, ...]


async def watch(path: str, changed: Callable[[], None], log: DaemonLog) -> None:
    """Call ``changed`` whenever ``path`` has other content than before, until cancelled."""
    seen: Fingerprint | None = None
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            with _watcher(path) as watcher:
                while True:
                    found = await watcher.look()
                    if seen is None:
                        log.info("Watching the configuration", config=path)
                    elif found != seen:
                        changed()
                    seen, pause_s = found, _FIRST_PAUSE_S
                    await watcher.wait()
        except OSError as error:
            if pause_s == _FIRST_PAUSE_S:
                log.warn("The configuration cannot be watched, it is tried again", error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class _Watcher:
    """The watches on one path. ``look`` renews them."""

    def __init__(self, path: str, events: Inotify) -> None:
        self._path = path
        self._events = events
        self._news = asyncio.Event()
        # The names that matter in each watched directory; None while the watches are renewed: all do.
        self._names: dict[int, set[str]] | None = None
        self._watched: set[int] = set()

    async def look(self) -> Fingerprint:
        """Watch what is on the way to the file now; gives the fingerprint of its content. Raises OSError."""
        self._news.clear()
        self._names = None
        names, found = await in_thread(
            partial(_watch_way, self._events, self._path), name="config-watch", timeout_s=_LOOK_TAKES_S
        )
        for number in self._watched - names.keys():
            self._events.unwatch(number)
        self._watched = set(names)
        self._names = names
        return found

    async def wait(self) -> None:
        """Return when something has changed and then rested."""
        loop = asyncio.get_running_loop()
        await self._news.wait()
        until = loop.time() + _LONGEST_SETTLE_S
        while self._news.is_set() and (left_s := until - loop.time()) > 0:
            self._news.clear()
            try:
                async with asyncio.timeout(min(_SETTLE_S, left_s)):
                    await self._news.wait()
            except TimeoutError:
                return

    def read(self) -> None:
        """The event loop's call when there are events."""
        names = self._names
        for event in self._events.read():
            if names is None or event.mask & inotify.OVERFLOW or event.name in names.get(event.watch, ()):
                self._news.set()


@contextmanager
def _watcher(path: str) -> Iterator[_Watcher]:
    loop = asyncio.get_running_loop()
    events = Inotify()
    try:
        watcher = _Watcher(path, events)
        loop.add_reader(events.fileno(), watcher.read)
        try:
            yield watcher
        finally:
            loop.remove_reader(events.fileno())
    finally:
        events.close()


def _watch_way(events: Inotify, path: str) -> tuple[dict[int, set[str]], Fingerprint]:
    """Watch each directory on the way to ``path``, and the file: the names that matter in each watch.

    "" is what is watched itself. The fingerprint is taken when all is watched, so that no later change is
    missed.
    """
    names: dict[int, set[str]] = {}
    for _ in range(_MOST_TRIES):
        names = {}
        steps = tuple(steps_to(path))
        for directory, name in steps:
            _add(events, directory, inotify.OF_DIRECTORIES, name, names)
        _add(events, path, inotify.OF_FILES, "", names)
        if tuple(steps_to(path)) == steps:
            break
    return names, fingerprint(path)


def _add(events: Inotify, path: str, mask: int, name: str, names: dict[int, set[str]]) -> None:
    try:
        number = events.watch(path, mask)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what is above it is watched
    names.setdefault(number, {""}).add(name)


def fingerprint(path: str) -> Fingerprint:
    """Differs when ``path`` leads to other content than before; empty when it leads to none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
