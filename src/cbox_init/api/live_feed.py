"""The present state of all processes for those who watch it: first everything, then what changes.

A reader is a number, the revision that it has, and gets what has changed since. Nothing is queued for it: a
slow reader gets fewer and larger messages. What readers with the same limits need is encoded once. Without a
reader nothing runs and nothing is kept.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic, process_time
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.api.replies import encode
from cbox_init.api.schemas_live import LiveDaemon
from cbox_init.api.views import daemon_entry, process_entry
from cbox_init.api.waiting import Slices, StreamReader
from cbox_init.system.own_figures import read_own_figures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.api.caller import ProcessPatterns
    from cbox_init.api.context import Context
    from cbox_init.api.process_list import ProcessListBody
    from cbox_init.api.schemas import DaemonEntry
    from cbox_init.supervisor.status import ProcessStatus

#: The least time between two messages about processes, in seconds.
SPACING_S: Final = 0.5

#: What follows a change within this time is sent together with it, in seconds: an exit and the next start.
_GATHERED_S: Final = 0.02

#: How old figures have to be before they are sampled again, in seconds: other readers have others.
_STALE_S: Final = 0.5

#: Time after a defect until the next try, in seconds.
_AGAIN_S = 1.0

#: Readers that are woken in one turn of the event loop.
_WOKEN_AT_ONCE: Final = 50

#: Names of removed processes that are kept for readers that are behind; further behind, everything is sent.
_KEPT_REMOVED: Final = 1000

#: Messages that are kept for the next reader: readers that keep up need the same one.
_KEPT_MESSAGES: Final = 16


class _Shown(NamedTuple):
    """A process as it was encoded last, at a revision."""

    status: ProcessStatus
    revision: int
    data: bytes


class LiveFeed:
    """Finds what has changed, and encodes it for its readers. Works only while there are readers."""

    def __init__(self, context: Context, body: ProcessListBody) -> None:
        self._context = context
        self._supervisor = context.supervisor
        self._body = body
        self._defects = context.parts.runtime.defects
        self._readers: set[LiveReader] = set()
        self._task: asyncio.Task[None] | None = None
        self._forget()

    def __len__(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def _forget(self) -> None:
        self._wake: asyncio.Future[None] | None = None
        self.begun = False
        """Whether it knows the processes."""
        self.revision = 0
        """Raised by each change that it has taken in."""
        self.complete_since = 0
        """A reader with an older revision has to begin again."""
        self._known: dict[str, _Shown] = {}
        self._removed: dict[str, int] = {}
        self._ordered_at = 0
        self.hurried = False
        """Whether it is about to take in the last changes before the daemon ends its streams."""
        self._dirty_at: float | None = -inf
        self._changed_at = -inf
        self._messages: dict[tuple[ProcessPatterns, int], bytes] = {}
        self._of_daemon = b""
        self._of_instances: dict[str, bytes] = {}
        self._figures_time = b""
        self._figures_messages: dict[ProcessPatterns, bytes] = {}
        self._base = monotonic()
        self._second = 0
        self._tick = 0.0
        self._cpu = process_time(), monotonic()

    # -- readers ---------------------------------------------------------------------------------------

    def enter(self, reader: LiveReader) -> None:
        """Wake ``reader`` from now on."""
        self._readers.add(reader)
        if self._task is None:
            self._forget()
            self._supervisor.on_changed = self._note_change
            self._task = asyncio.get_running_loop().create_task(self._run(), name="live-feed")
        self._plan()

    def leave(self, reader: LiveReader) -> None:
        """Wake it no more."""
        self._readers.discard(reader)
        if self._readers or self._task is None:
            return
        self._supervisor.on_changed = None
        self._task.cancel()
        self._task = None
        self._forget()

    def hurry(self) -> None:
        """Take in at once what has changed."""
        self.hurried = self._task is not None
        self._interrupt()

    def _plan(self) -> None:
        """Set the second of the next figures."""
        self._tick = min((self._second // one.interval + 1) * one.interval for one in self._readers)
        self._interrupt()

    # -- messages --------------------------------------------------------------------------------------

    async def snapshot(self, audience: ProcessPatterns) -> bytes:
        """The message that has everything."""
        body = await self._body.current(audience)
        daemon = encode(self._daemon_entry())
        return b'event: snapshot\ndata: {"time":%b,"daemon":%b,%b\n\n' % (self._time(), daemon, body[1:])

    def changes(self, audience: ProcessPatterns, since: int) -> bytes:
        """The message for what has changed after a revision; empty when this audience sees nothing of it."""
        message = self._messages.get((audience, since))
        if message is None:
            message = self._changes(audience, since)
            if len(self._messages) < _KEPT_MESSAGES:
                self._messages[audience, since] = message
        return message

    def _changes(self, audience: ProcessPatterns, since: int) -> bytes:
        parts = [
            one.data for name, one in self._known.items() if one.revision > since and audience.match(name)
        ]
        removed = [name for name, at in self._removed.items() if at > since and audience.match(name)]
        if not parts and not removed and self._ordered_at <= since:
            return b""
        order = b""
        if self._ordered_at > since:
            order = b',"order":' + encode([name for name in self._known if audience.match(name)])
        return b'event: processes\ndata: {"time":%b,"processes":[%b],"removed":%b%b}\n\n' % (
            self._time(),
            b",".join(parts),
            encode(removed),
            order,
        )

    def figures(self, audience: ProcessPatterns) -> bytes:
        """The message that has the latest figures."""
        message = self._figures_messages.get(audience)
        if message is None:
            parts = (data for name, data in self._of_instances.items() if audience.match(name))
            message = b'event: figures\ndata: {"time":%b,"daemon":%b,"instances":[%b]}\n\n' % (
                self._figures_time,
                self._of_daemon,
                b",".join(parts),
            )
            self._figures_messages[audience] = message
        return message

    def _time(self) -> bytes:
        return b"%.3f" % self._context.parts.runtime.unix()

    # -- finding what has changed ----------------------------------------------------------------------

    def _note_change(self) -> None:
        now = monotonic()
        if self._dirty_at is None or self._dirty_at > now:
            self._dirty_at = now
            self._interrupt()

    def _interrupt(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001  # a defect: tried again
                self._defects.report("the live state could not be sent, and is tried again", error)
                await asyncio.sleep(_AGAIN_S)

    async def _turn(self) -> None:
        """Wait until something is due, and do it."""
        if self.hurried:
            try:
                self._dirty_at = None
                await self._take_changes()
            finally:
                self.hurried = False
                await self._wake_all(tuple(self._readers))
        now = monotonic()
        dirty_at, tick_at = self._dirty_at, self._base + self._tick
        changes_at = inf
        if dirty_at is not None:
            changes_at = max(dirty_at + _GATHERED_S, self._changed_at + SPACING_S)
        if now < min(changes_at, tick_at):
            await self._pause(min(changes_at, tick_at) - now)
            return
        if now >= changes_at:
            self._dirty_at = None
            try:
                await self._take_changes()
            except Exception:
                self._dirty_at = dirty_at
                raise
            await self._wake_all(tuple(self._readers))
        if now >= tick_at:
            before, self._second = self._second, int(now - self._base)
            due = [one for one in self._readers if self._second // one.interval > before // one.interval]
            self._plan()
            await self._take_figures()
            for reader in due:
                reader.figures_due = True
            await self._wake_all(due)

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(seconds, self._interrupt)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    async def _wake_all(self, readers: Iterable[LiveReader]) -> None:
        for count, reader in enumerate(readers, 1):
            if reader.pending or reader.ended:
                reader.wake()
            if count % _WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _take_changes(self) -> None:
        """Encode the processes whose status has changed. The first time they are only looked at."""
        slices = Slices()
        figures = self._context.figures
        revision = self.revision + 1
        known, now_known = self._known, dict[str, _Shown]()
        changed = not self.begun
        for process in self._supervisor.each_managed():
            name = process.name
            before = shown = known.get(name)
            failed = True
            with self._defects.contain("a process is not up to date in the live state", process=name):
                status = process.status()
                if before is None or (before.status is not status and before.status != status):
                    data = encode(process_entry(status, figures)) if self.begun else b""
                    shown = _Shown(status, revision, data)
                failed = False
            if failed and self._dirty_at is None:
                self._dirty_at = monotonic() + _AGAIN_S
            if shown is not None:
                now_known[name] = shown
                changed = changed or shown is not before
            await slices.breathe()
        if not changed and len(now_known) == len(known):
            return
        self._take_names(known, now_known, revision)
        self._known = now_known
        self._messages.clear()
        self.revision = revision
        if self.begun:
            self._changed_at = monotonic()
        self.begun = True

    def _take_names(self, known: dict[str, _Shown], now_known: dict[str, _Shown], revision: int) -> None:
        """Take in which processes are gone, and whether the order has changed otherwise."""
        added = [name for name in now_known if name not in known]
        stayed = [name for name in known if name in now_known]
        returned = [name for name in added if self._removed.pop(name, None) is not None]
        if returned or list(now_known) != stayed + added:
            self._ordered_at = revision
        for name in known:
            if name not in now_known:
                self._removed[name] = revision
        while len(self._removed) > _KEPT_REMOVED:
            self.complete_since = self._removed.pop(next(iter(self._removed)))

    async def _take_figures(self) -> None:
        """Sample and encode what the daemon and the instances use."""
        slices = Slices()
        figures = self._context.figures
        if figures.due(_STALE_S):
            figures.sample(
                one.pid for shown in self._known.values() for one in shown.status.instances if one.pid
            )
        while figures.sampling:  # noqa: ASYNC110  # it goes on in each turn
            await asyncio.sleep(0)
        of_instances = {}
        for name, shown in self._known.items():
            rows = [(one.id, *figures.of(one.pid)) for one in shown.status.instances if one.pid]
            if rows:
                of_instances[name] = encode(rows)[1:-1]
            await slices.breathe()
        self._of_daemon = encode(self._live_daemon())
        self._of_instances = of_instances
        self._figures_time = self._time()
        self._figures_messages.clear()

    def _daemon_entry(self) -> DaemonEntry:
        context = self._context
        return daemon_entry(
            context.vitals,
            read_own_figures(),
            context.supervisor.counts(),
            context.logs.figures,
            context.traffic,
        )

    def _live_daemon(self) -> LiveDaemon:
        entry = self._daemon_entry()
        before_s, before = self._cpu
        self._cpu = entry.cpu_seconds, monotonic()
        used_s, elapsed_s = self._cpu[0] - before_s, self._cpu[1] - before
        return LiveDaemon(
            uptime_seconds=entry.uptime_seconds,
            cpu_percent=round(100 * max(used_s, 0.0) / max(elapsed_s, 0.01), 2),
            cpu_seconds=entry.cpu_seconds,
            memory_rss_bytes=entry.memory_rss_bytes,
            memory_peak_bytes=entry.memory_peak_bytes,
            threads=entry.threads,
            file_descriptors=entry.file_descriptors,
            loop=entry.loop,
            counts=entry.counts,
            log=entry.log,
            api=entry.api,
        )


class LiveReader(StreamReader):
    """What one reader has, and what it gets next. It sees the processes of ``audience``, and gets figures
    each ``interval`` seconds."""

    def __init__(self, feed: LiveFeed, audience: ProcessPatterns, interval: int) -> None:
        super().__init__()
        self.audience: Final = audience
        self.interval: Final = interval
        self.figures_due = False
        self._feed = feed
        self._revision: int | None = None
        feed.enter(self)

    @property
    def begins(self) -> bool:
        """Whether it needs everything."""
        return self._revision is None or self._revision < self._feed.complete_since

    @property
    def pending(self) -> bool:
        """Whether there may be something to take."""
        feed = self._feed
        if self._gone or not feed.begun:
            return False
        return self._revision is None or self._revision < feed.revision or self.figures_due

    @property
    def ended(self) -> bool:
        """Whether the daemon ends the stream, and has taken in the last changes; or the reader is gone."""
        return self._ended and (self._gone or not self._feed.hurried)

    def end(self) -> None:
        """End the stream when what has changed was taken."""
        if not self._gone:
            self._feed.hurry()
        super().end()

    async def snapshot(self) -> bytes:
        """The message that has everything; what changes meanwhile comes after it."""
        self._revision = self._feed.revision
        return await self._feed.snapshot(self.audience)

    def chunk(self) -> bytes:
        """The next messages; may be empty although something was pending."""
        feed, data = self._feed, b""
        if self._revision is not None and self._revision < feed.revision:
            data = feed.changes(self.audience, self._revision)
            self._revision = feed.revision
        if self.figures_due:
            self.figures_due = False
            data += feed.figures(self.audience)
        return data

    def close(self) -> None:
        """The reader is gone: nothing is pending any more."""
        super().close()
        self._feed.leave(self)
