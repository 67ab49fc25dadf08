"""Follows the configuration file, and asks for a reload when it has changed and come to rest.

Editors replace the file, a Kubernetes ConfigMap replaces a directory that the file's name leads through,
other programs write it in pieces. So what is watched are the directories on the way to the file, and what
counts is whether the name leads to another content than before. A content that cannot be used is for the
reload to say; the next change is another chance.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from cbox_init.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from cbox_init.logs.daemon import DaemonLog

#: A file that was not touched for so long is complete, in milliseconds.
_SETTLE_MS: Final = 200
#: How long a file that is written all the time may keep a reload waiting, in milliseconds.
_LONGEST_SETTLE_MS: Final = 2000
#: How long after a failure to watch (a directory is gone) it is tried again, in seconds.
_AGAIN_S: Final = 1.0
#: How long the library may take to be imported, in seconds.
_IMPORT_TAKES_S: Final = 60.0
#: Directories are looked at this often without news, in milliseconds: a change may have come just before the
#: watch began, and some network file systems tell nothing.
_LOOK_ANYWAY_MS: Final = 2000
_MOST_LINKS: Final = 40

_MISSING: Final = (
    "The configuration is not watched: watchfiles is not installed (pip install 'cbox-init[watch]')"
)


async def watch(path: str, changed: Callable[[], None], log: DaemonLog) -> None:
    """Call ``changed`` whenever ``path`` has another content, until cancelled."""
    seen = fingerprint(path)
    try:
        watchfiles = await in_thread(_library, name="watch-import", timeout_s=_IMPORT_TAKES_S)
    except ImportError:
        log.warn(_MISSING)
        return
    log.info("Watching the configuration", config=path)
    complained = False
    while True:
        try:
            async for folders in _looks(watchfiles, path):
                complained = False
                if (now := fingerprint(path)) != seen:
                    seen = now
                    changed()
                if folders_of(path) != folders:
                    break
        except OSError as error:
            if not complained:
                log.warn("The configuration cannot be watched, it is tried again", error=str(error))
                complained = True
            await asyncio.sleep(_AGAIN_S)


async def _looks(watchfiles: ModuleType, path: str) -> AsyncIterator[tuple[str, ...]]:
    """The directories that are watched, each time that something in them has changed and come to rest."""
    folders = folders_of(path)
    changes = watchfiles.awatch(
        *folders,
        watch_filter=None,
        debounce=_LONGEST_SETTLE_MS,
        step=_SETTLE_MS,
        rust_timeout=_LOOK_ANYWAY_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async with aclosing(changes):
        async for _ in changes:
            yield folders


def fingerprint(path: str) -> tuple[int, ...]:
    """Says whether ``path`` leads to another content than before; empty when it leads to none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def folders_of(path: str) -> tuple[str, ...]:
    """The directories in which a change can make ``path`` lead elsewhere: of the file and of each link."""
    folders: dict[str, None] = {}
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder = os.path.dirname(place)
        link = _first_link(folder)
        if link is not None:
            # A directory on the way is a link: it counts where it stands, then where it leads.
            folders[os.path.dirname(link)] = None
            rest = os.path.relpath(place, link)
            place = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link), rest))
            continue
        if os.path.isdir(folder):
            folders[folder] = None
        if not os.path.islink(place):
            break
        place = os.path.normpath(os.path.join(folder, os.readlink(place)))
    if not folders:
        raise FileNotFoundError(f"no directory on the way to {path}")
    return tuple(folders)


def _first_link(folder: str) -> str | None:
    """The topmost part of ``folder`` that is a symbolic link."""
    parts = folder.split("/")
    for end in range(2, len(parts) + 1):
        part = "/".join(parts[:end])
        if os.path.islink(part):
            return part
    return None


def _library() -> ModuleType:
    import watchfiles

    return watchfiles
