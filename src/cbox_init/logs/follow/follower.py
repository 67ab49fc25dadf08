"""The thread that follows files, and how their lines get into the event loop.

Each file has one block in transit at a time: the next is read when the loop has taken it, and the loop
waits while the process is held. Renames are followed meanwhile.
"""

from __future__ import annotations

import os
import select
import stat
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.logs.follow.growing_file import FLAGS
from cbox_init.logs.follow.rotating import FollowedRotation
from cbox_init.logs.follow.tail import Tail
from cbox_init.logs.follow.watches import PathWatches
from cbox_init.threads import call_in_loop, start_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container, Sequence
    from threading import Thread

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.growing_file import FileRead
    from cbox_init.logs.rotation import Rotation

_POLL_S: Final = 1.0
"""How often files are checked, in seconds, where inotify is not available."""


class FileConsumer(Protocol):
    """Takes the lines of a file. Called in the event loop's thread."""

    def held(self) -> bool:
        """Whether reading should stop because an output is full."""

    def take(self, reads: Sequence[FileRead]) -> None:
        """Take what was read."""

    def end(self) -> None:
        """Nothing more will come."""


class FollowedFile:
    """A followed file, as the event loop's thread uses it."""

    def __init__(self, path: str, consumer: FileConsumer) -> None:
        self.path = path
        self.consumer = consumer


class _Lane:
    """A followed file, as the follower's thread uses it. ``free`` when no block of it is in transit."""

    def __init__(self, followed: FollowedFile, tail: Tail, rotating: FollowedRotation) -> None:
        self.followed = followed
        self.tail = tail
        self.rotating = rotating
        self.free = True


class FileFollower:
    """Follows files from ``attach`` until ``finish``."""

    def __init__(self, log: DaemonLog, written: Callable[[], Container[tuple[int, int]]] = frozenset) -> None:
        self._log = log
        self._written = written
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._waiting: list[FollowedFile] = []
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # The thread's own:
        self._lanes: dict[FollowedFile, _Lane] = {}
        self._watches = PathWatches(log)
        self._finished: Callable[[], None] | None = None

    # -- for the event loop's thread -------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start reading. Until then the lines stay in the files."""
        self._loop = loop
        self._thread = start_thread(self._run, name="log-follower", failed=self._failed)

    def follow(self, followed: FollowedFile, rotation: Rotation | None) -> None:
        """Follow a file from its end, if it exists now; one that is created later from its beginning."""
        found = None
        with suppress(OSError):
            if stat.S_ISREG(os.stat(followed.path).st_mode):
                fd = os.open(followed.path, FLAGS)
                found = (fd, os.fstat(fd).st_size)
        self._call(partial(self._begin, followed, rotation, found))

    def change(self, followed: FollowedFile, rotation: Rotation | None) -> None:
        """Change how it is rotated."""
        self._call(partial(self._change, followed, rotation))

    def leave(self, followed: FollowedFile) -> None:
        """Stop following a file once its content is read."""
        self._call(partial(self._leave, followed))

    def resume(self) -> None:
        """A process may no longer be held: read on."""
        waiting, self._waiting = self._waiting, []
        for followed in waiting:
            self._go_on(followed)

    def reopen(self) -> None:
        """Check each path again, and retry what failed."""
        self._call(self._look)

    async def finish(self, timeout_s: float) -> bool:
        """Read what is left, and end; False when that takes longer than ``timeout_s``.

        Waits for processes that are held.
        """
        from asyncio import get_running_loop, timeout

        if self._thread is not None:
            ended = get_running_loop().create_future()
            self._call(partial(self._finish, partial(_settle, ended)))
            try:
                async with timeout(timeout_s):
                    await ended
            except TimeoutError:
                return False
        os.close(self._wake_fd)
        return True

    def _call(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        os.eventfd_write(self._wake_fd, 1)

    def _arrived(self, followed: FollowedFile, reads: list[FileRead]) -> None:
        followed.consumer.take(reads)
        self._go_on(followed)

    def _go_on(self, followed: FollowedFile) -> None:
        if followed.consumer.held():
            self._waiting.append(followed)
        else:
            self._call(partial(self._free, followed))

    # -- for the follower's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while self._finished is None or self._lanes:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  # a defect must not end what follows all files
                self._log.error("Unexpected failure while following files", error=repr(error))
                select.poll().poll(_POLL_S * 1000)
        self._watches.close()
        self._tell(self._finished)

    def _failed(self, error: Exception) -> None:
        self._log.error("Log files are not followed any more", error=repr(error))

    def _turn(self) -> None:
        """Do everything that is due, then wait for events."""
        self._take_calls()
        polls = self._watches.fileno() is None
        if polls:
            self._look()
        again = self._take_events()
        now = monotonic()
        due = [self._serve(lane, now) for lane in tuple(self._lanes.values())]
        if self._finished is not None and not self._lanes:
            return
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        if (events := self._watches.fileno()) is not None:
            poll.register(events, select.POLLIN)
        poll.poll(0 if again else _milliseconds(due, now, polls=polls))

    def _take_calls(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            call()

    def _serve(self, lane: _Lane, now: float) -> float | None:
        """Send the next block of a file; gives when to come again if nothing else happens."""
        tail = lane.tail
        due = lane.rotating.look(now)
        if not lane.free:
            return due
        reads = tail.next_reads(now)
        if not reads:
            reads, at = tail.tend(now)
            due = at if due is None or at is None else min(at, due)
        if not reads and tail.leaving:
            if not tail.parts:
                self._end(lane)
                return None
            tail.close()
            reads = tail.next_reads(now)
            if not reads:
                return now
        if reads:
            lane.free = False
            self._tell(partial(self._arrived, lane.followed, reads))
        return due

    def _tell(self, call: Callable[[], None]) -> None:
        assert self._loop
        call_in_loop(self._loop, call)

    def _begin(
        self, followed: FollowedFile, rotation: Rotation | None, found: tuple[int, int] | None
    ) -> None:
        tail = Tail(
            followed.path,
            self._log,
            opened=self._watches.add_file,
            closed=self._watches.drop_file,
            written=self._written,
        )
        self._lanes[followed] = _Lane(followed, tail, FollowedRotation(tail, rotation, self._log))
        if found is not None:
            tail.begin(*found)
        self._watches.add(tail)

    def _change(self, followed: FollowedFile, rotation: Rotation | None) -> None:
        if lane := self._lanes.get(followed):
            lane.rotating.change(rotation)

    def _leave(self, followed: FollowedFile) -> None:
        self._catch_up()
        if lane := self._lanes.get(followed):
            lane.tail.leave()

    def _free(self, followed: FollowedFile) -> None:
        if lane := self._lanes.get(followed):
            lane.free = True

    def _look(self) -> None:
        for lane in self._lanes.values():
            self._watches.add(lane.tail)
            lane.tail.look()

    def _take_events(self) -> bool:
        return self._watches.take_events([lane.tail for lane in self._lanes.values()])

    def _catch_up(self) -> None:
        """Open every file that exists now."""
        if self._watches.fileno() is None:
            self._look()
        while self._take_events():
            pass

    def _finish(self, done: Callable[[], None]) -> None:
        self._catch_up()
        self._finished = done
        for lane in self._lanes.values():
            lane.tail.leave()

    def _end(self, lane: _Lane) -> None:
        self._watches.drop(lane.tail)
        lane.tail.close()
        del self._lanes[lane.followed]
        self._tell(lane.followed.consumer.end)


def _milliseconds(due: Sequence[float | None], now: float, *, polls: bool) -> int | None:
    """How long to wait: until the earliest of these times, for ever when there is none."""
    times = [at for at in due if at is not None]
    if polls:
        times.append(now + _POLL_S)
    return int(max(min(times) - now, 0) * 1000) + 1 if times else None


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
