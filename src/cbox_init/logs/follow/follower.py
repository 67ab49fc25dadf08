"""The thread that follows files, and how their lines get into the event loop.

Each file has one block in transit at a time: the next is read when the loop has taken it, and the loop
waits while the process is held. Renames are followed meanwhile.
"""

from __future__ import annotations

import os
import select
from collections import deque
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final

from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.follow.globs import MOST_FILES, GlobFiles, matches_now
from cbox_init.logs.follow.lookups import Lookups
from cbox_init.logs.follow.rotating import FollowedRotation
from cbox_init.logs.follow.tail import Tail
from cbox_init.logs.follow.watches import PathWatches
from cbox_init.logs.patience import Patience
from cbox_init.logs.reader import TURN_S
from cbox_init.threads import call_in_loop, start_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container, Mapping, Sequence
    from threading import Thread

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.follow.globs import FollowedGlob, Match
    from cbox_init.logs.follow.growing_file import FileRead, FollowedFile
    from cbox_init.logs.follow.watches import Watched
    from cbox_init.logs.rotation import Rotation

_AGAIN_S: Final = 1.0
_POLL_S: Final = 1.0
"""How often files are checked, in seconds, where inotify is not available."""


class _Lane:
    """A followed file, as the follower's thread uses it. ``free`` when no block of it is in transit."""

    def __init__(
        self, followed: FollowedFile, tail: Tail, rotating: FollowedRotation, glob: GlobFiles | None = None
    ) -> None:
        self.followed = followed
        self.glob = glob
        self.tail = tail
        self.rotating = rotating
        self.free = True
        self.removed = False


class FileFollower:
    """Follows files from ``attach`` until ``finish``."""

    def __init__(
        self,
        log: DaemonLog,
        written: Callable[[], Container[tuple[int, int]]] = frozenset,
        patience: Patience | None = None,
    ) -> None:
        self._log = log
        self._written = written
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._waiting: list[FollowedFile] = []
        self._told: deque[Callable[[], None]] = deque()
        """What the thread has to say, in its order."""
        self._goes_on = False
        self._lookups = Lookups(log, patience or Patience())
        self._sought: dict[FollowedFile | FollowedGlob, Rotation | None] = {}
        """What is not followed yet, because its file system has not answered."""
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake: tuple[int, int] | None = None
        self._failures = RepeatedError(log, "Unexpected failure while following log files")
        self._not_started = RepeatedError(log, "Log files cannot be followed, it is tried again")
        # The thread's own:
        self._lanes: dict[FollowedFile, _Lane] = {}
        self._globs: dict[FollowedGlob, GlobFiles] = {}
        self._expected = 0
        self._watches = PathWatches(log)
        self._finished: Callable[[], None] | None = None

    # -- for the event loop's thread -------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start reading. Until then the lines stay in the files."""
        self._loop = loop
        self._start()
        self._lookups.attach(loop)

    def _start(self) -> None:
        """Start the thread; where descriptors or threads are short, try again until it can be started."""
        if self._thread is not None or self._loop is None:
            return
        try:
            self._wake = self._wake or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._thread = start_thread(self._run, name="log-follower", failed=self._failures.report)
        except OSError as error:
            self._not_started.report(error)
            self._loop.call_later(_AGAIN_S, self._start)

    def follow(self, followed: FollowedFile, rotation: Rotation | None) -> None:
        """Follow a file from its end, if it exists now; one that is created later from its beginning."""

        def find() -> Callable[[], None]:
            found = None
            with suppress(OSError):
                fd = followed.open(followed.path)
                found = (fd, os.fstat(fd).st_size)
            return partial(self._file_found, followed, found)

        self._sought[followed] = rotation
        self._lookups.begin(followed.path, find)

    def follow_glob(self, glob: FollowedGlob, rotation: Rotation | None) -> None:
        """Follow the files that match a pattern: each from its end, later ones from their beginning."""
        self._sought[glob] = rotation
        self._lookups.begin(glob.path, lambda: partial(self._glob_found, glob, *matches_now(glob)))

    def change_glob(self, glob: FollowedGlob, rotation: Rotation | None) -> None:
        """Change how its files are rotated."""
        if glob in self._sought:
            self._sought[glob] = rotation
        else:
            self._call(partial(self._change_glob, glob, rotation))

    def leave_glob(self, glob: FollowedGlob) -> None:
        """Stop following the files of a pattern once their content is read."""
        if glob in self._sought:
            del self._sought[glob]
        else:
            self._call(partial(self._leave_glob, glob))

    def change(self, followed: FollowedFile, rotation: Rotation | None) -> None:
        """Change how it is rotated."""
        if followed in self._sought:
            self._sought[followed] = rotation
        else:
            self._call(partial(self._change, followed, rotation))

    def leave(self, followed: FollowedFile) -> None:
        """Stop following a file once its content is read."""
        if followed in self._sought:
            del self._sought[followed]
            followed.consumer.end()
        else:
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

        self._lookups.close()
        self._sought.clear()
        if self._thread is not None:
            ended = get_running_loop().create_future()
            self._call(partial(self._finish, partial(_settle, ended)))
            try:
                async with timeout(timeout_s):
                    await ended
            except TimeoutError:
                return False
        if self._wake is not None:
            for fd in self._wake:
                os.close(fd)
            self._wake = None
        self._loop = None
        return True

    def _file_found(self, followed: FollowedFile, found: tuple[int, int] | None) -> None:
        if followed in self._sought:
            self._call(partial(self._begin, followed, self._sought.pop(followed), found))
        elif found is not None:
            os.close(found[0])

    def _glob_found(
        self, glob: FollowedGlob, matches: Sequence[Match], others: Mapping[str, tuple[int, int]]
    ) -> None:
        if glob in self._sought:
            found = [(glob.file(match.path), match) for match in matches]
            self._call(partial(self._begin_glob, glob, self._sought.pop(glob), found, others))
        else:
            for match in matches:
                os.close(match.fd)

    def _call(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        if self._wake is not None:
            with suppress(BlockingIOError):  # it will wake up in any case
                os.write(self._wake[1], b"x")

    def _arrived(self, followed: FollowedFile, reads: list[FileRead]) -> None:
        try:
            followed.consumer.take(reads)
        except Exception as error:  # noqa: BLE001  # contained at these lines
            self._failures.report(error)
        self._go_on(followed)

    def _found(self, glob: FollowedGlob, rotation: Rotation | None, path: str) -> None:
        """A file has come that matches a pattern."""
        try:
            followed = glob.file(path)
        except Exception as error:  # noqa: BLE001  # contained at the file
            self._failures.report(error)
            self._call(self._not_adopted)
        else:
            self._call(partial(self._adopt, glob, followed, rotation))

    def _go_on(self, followed: FollowedFile) -> None:
        if followed.consumer.held():
            self._waiting.append(followed)
        else:
            self._call(partial(self._free, followed))

    def _take_told(self) -> None:
        """Take what the thread has to say, for a slice of each turn: there may be a block of each file."""
        if self._goes_on:
            return
        until = monotonic() + TURN_S
        while self._told:
            try:
                self._told.popleft()()
            except Exception as error:  # noqa: BLE001  # the others are not to wait for ever
                self._failures.report(error)
            if monotonic() >= until:
                break
        if self._told and self._loop is not None:
            self._goes_on = True
            self._loop.call_soon(self._go_on_taking)

    def _go_on_taking(self) -> None:
        self._goes_on = False
        self._take_told()

    # -- for the follower's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while self._finished is None or self._lanes or self._expected:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  # a defect must not end what follows all files
                self._failures.report(error)
                select.poll().poll(_AGAIN_S * 1000)
        self._watches.close()
        self._tell(self._finished)

    def _turn(self) -> None:
        """Do everything that is due, then wait for events."""
        self._take_calls()
        polls = not self._watches.usable(monotonic())
        if polls or self._watches.restored:
            self._look()
        again = self._take_events()
        now = monotonic()
        due = [self._served(lane, now) for lane in tuple(self._lanes.values())]
        self._find_new()
        if self._finished is not None and not self._lanes and not self._expected:
            return
        assert self._wake is not None
        poll = select.poll()
        poll.register(self._wake[0], select.POLLIN)
        if (events := self._watches.fileno()) is not None:
            poll.register(events, select.POLLIN)
        poll.poll(0 if again else _milliseconds(due, now, polls=polls))

    def _take_calls(self) -> None:
        assert self._wake is not None
        with suppress(BlockingIOError):
            os.read(self._wake[0], 4096)
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            try:
                call()
            except Exception as error:  # noqa: BLE001  # the next ones are still to be done
                self._failures.report(error)

    def _served(self, lane: _Lane, now: float) -> float | None:
        try:
            return self._serve(lane, now)
        except Exception as error:  # noqa: BLE001  # contained at the file
            self._failures.report(error, path=lane.followed.path)
            return now + _AGAIN_S

    def _serve(self, lane: _Lane, now: float) -> float | None:
        """Send the next block of a file; gives when to come again if nothing else happens."""
        tail = lane.tail
        due = lane.rotating.look(now)
        if not lane.free:
            return due
        reads = tail.next_reads(now)
        if not reads:
            reads, at = tail.tend(now)
            due = _earlier(due, at)
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
        elif lane.glob is not None and not tail.leaving and not tail.parts:
            lane.removed = True
            tail.leave()
            return now
        if tail.short:
            due = _earlier(due, now + _AGAIN_S)
        return due

    def _tell(self, call: Callable[[], None]) -> None:
        assert self._loop
        self._told.append(call)
        call_in_loop(self._loop, self._take_told)

    def _begin(
        self,
        followed: FollowedFile,
        rotation: Rotation | None,
        found: tuple[int, int] | None,
        glob: GlobFiles | None = None,
    ) -> None:
        tail = Tail(
            followed.path,
            self._log,
            open_file=followed.open,
            opened=self._watches.add_file,
            closed=self._watches.drop_file,
            written=self._written,
            keeps_last=glob is None,
            failed=glob.failed if glob is not None else None,
        )
        self._lanes[followed] = _Lane(followed, tail, FollowedRotation(tail, rotation, self._log), glob)
        if found is not None:
            tail.begin(*found)
        self._watches.add(tail)

    def _begin_glob(
        self,
        glob: FollowedGlob,
        rotation: Rotation | None,
        found: Sequence[tuple[FollowedFile, Match]],
        others: Mapping[str, tuple[int, int]],
    ) -> None:
        failed = RepeatedError(self._log, "Log file cannot be followed", pattern=glob.path)
        files = GlobFiles(glob, rotation, [match.path for _, match in found], others, failed)
        self._globs[glob] = files
        for followed, match in found:
            files.files[match.path] = followed
            self._begin(followed, rotation, (match.fd, match.size), files)
        self._watches.add(files)

    def _change_glob(self, glob: FollowedGlob, rotation: Rotation | None) -> None:
        if files := self._globs.get(glob):
            files.rotation = rotation
            for followed in files.files.values():
                if followed is not None:
                    self._change(followed, rotation)

    def _leave_glob(self, glob: FollowedGlob) -> None:
        self._catch_up()
        if files := self._globs.pop(glob, None):
            self._watches.drop(files)
            for lane in self._lanes.values():
                if lane.glob is files:
                    lane.tail.leave()

    def _find_new(self) -> None:
        """Have the event loop make consumers of files that have come; let go of the oldest of too many."""
        for files in self._globs.values():
            for path in files.new_paths(self._followed_inodes):
                self._expected += 1
                self._tell(partial(self._found, files.glob, files.rotation, path))
            if len(files.files) > MOST_FILES:
                self._leave_oldest(files)

    def _leave_oldest(self, files: GlobFiles) -> None:
        lanes = [lane for lane in self._lanes.values() if lane.glob is files and not lane.tail.leaving]
        surplus = len(lanes) - MOST_FILES
        if surplus > 0:
            lanes.sort(key=lambda lane: lane.tail.written_at)
            for lane in lanes[:surplus]:
                lane.tail.leave()

    def _followed_inodes(self) -> set[tuple[int, int]]:
        return {part.file.inode for lane in self._lanes.values() for part in lane.tail.parts if part.file}

    def _not_adopted(self) -> None:
        self._expected -= 1

    def _adopt(self, glob: FollowedGlob, followed: FollowedFile, rotation: Rotation | None) -> None:
        """Follow a file that has come, from its beginning."""
        self._expected -= 1
        files = self._globs.get(glob)
        if files is None:
            self._tell(followed.consumer.end)
            return
        files.files[followed.path] = followed
        self._begin(followed, rotation, None, files)
        if self._finished is not None:
            self._catch_up()
            self._lanes[followed].tail.leave()

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
        for watched in self._watched():
            self._watches.add(watched)
            watched.look()
        for lane in self._lanes.values():
            for part in lane.tail.parts:
                if part.watch is None:
                    self._watches.add_file(lane.tail, part)

    def _watched(self) -> list[Watched]:
        return [*(lane.tail for lane in self._lanes.values()), *self._globs.values()]

    def _take_events(self) -> bool:
        return self._watches.take_events(self._watched())

    def _catch_up(self) -> None:
        """Open every file that exists now."""
        if self._watches.fileno() is None:
            self._look()
        while self._take_events():
            pass

    def _finish(self, done: Callable[[], None]) -> None:
        self._catch_up()
        self._find_new()
        self._finished = done
        for lane in self._lanes.values():
            lane.tail.leave()

    def _end(self, lane: _Lane) -> None:
        self._watches.drop(lane.tail)
        lane.tail.close()
        del self._lanes[lane.followed]
        if lane.glob is not None:
            lane.glob.over(lane.followed.path, removed=lane.removed)
        self._tell(lane.followed.consumer.end)


def _earlier(one: float | None, other: float | None) -> float | None:
    """The earlier of two times, of which None means never."""
    return min((at for at in (one, other) if at is not None), default=None)


def _milliseconds(due: Sequence[float | None], now: float, *, polls: bool) -> int | None:
    """How long to wait: until the earliest of these times, for ever when there is none."""
    times = [at for at in due if at is not None]
    if polls:
        times.append(now + _POLL_S)
    return int(max(min(times) - now, 0) * 1000) + 1 if times else None


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
