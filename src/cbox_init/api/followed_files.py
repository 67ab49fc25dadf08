"""Reads files again when they change, and at intervals: for certificates and tokens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from cbox_init.supervisor.configuration.watch import watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from cbox_init.logs.daemon import DaemonLog


class FollowedFiles:
    """Calls ``read`` at the start and whenever one of ``paths`` may have changed.

    ``read`` raises nothing, and gives after how many seconds it is called again if nothing changes; None is
    the end. ``what`` names the files in messages about the watch.
    """

    def __init__(
        self, paths: Iterable[str], what: str, read: Callable[[], Awaitable[float | None]], log: DaemonLog
    ) -> None:
        self._paths = tuple(paths)
        self._what = what
        self._read = read
        self._log = log
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to read and to watch."""
        self._tasks.append(loop.create_task(self._run()))
        for path in self._paths:
            follow = watch(path, self._changed.set, self._log, self._what, begun=self._changed.set)
            self._tasks.append(loop.create_task(follow))

    async def close(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            again_s = await self._read()
            if again_s is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await self._changed.wait()
