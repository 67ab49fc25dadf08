"""Everything about the daemon's and the children's output, in one object."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model import LoggingConfig, LogOverflow
from cbox_init.logs.all_outputs import AllOutputs
from cbox_init.logs.encode import output_format
from cbox_init.logs.process import ProcessLog
from cbox_init.logs.reader import PipeReader
from cbox_init.logs.ring import RING_BYTES, NumberedBlock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Mapping

    from cbox_init.config.model import FilterConfig, OutputConfig
    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.descriptor_writer import DescriptorWriter
    from cbox_init.logs.encode.colours import Colours
    from cbox_init.logs.filter import LogFilter
    from cbox_init.logs.follow.follower import FileFollower
    from cbox_init.logs.follow.streams import FileStreams
    from cbox_init.logs.outputs.destinations import OutputStatus
    from cbox_init.logs.past import Past, Position
    from cbox_init.logs.record import Block, Record
    from cbox_init.logs.stages.build import StageContext
    from cbox_init.logs.stages.filters import BlockFilter
    from cbox_init.logs.stages.pipeline import Stages
    from cbox_init.logs.subscription import Subscription


class LogFigures(Struct, frozen=True, kw_only=True):
    """What waits for the outputs, what they have taken, who follows the lines and has not read them yet."""

    queued_bytes: int
    written_records: int
    dropped_records: int
    backed_up: bool
    subscribers: int
    unread_bytes: int


class LogHub:
    """Owns the reading of all pipes and files, the rings, the subscriptions and the way to all outputs.

    ``fmt`` is json or text, the latter in ``colours`` where there are some; messages and lines below
    ``level`` stay off the stdout. For one thread (the event loop's, and before there is a loop the one that
    will run it), but for ``daemon``.
    """

    def __init__(
        self,
        *,
        fmt: str,
        level: LogLevel,
        timestamps: bool,
        stdout: DescriptorWriter,
        colours: Colours | None = None,
        overflow: LogOverflow = LogOverflow.BLOCK,
        outputs: Mapping[str, OutputConfig] | None = None,
    ) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the loop when an output, once full, has room: some process is ``backed_up`` no more."""
        self.run: Final = os.urandom(5).hex()
        """Tells places in this log from those in the log of another run of the daemon."""
        self.defaults = LoggingConfig()
        """Settings for output that belongs to no process."""
        self._form = output_format(fmt, timestamps=timestamps, colours=colours)
        self._level = level
        self._stdout = stdout
        self._reader = PipeReader(stdout)
        self._processes: dict[str, ProcessLog] = {}
        self._unusual: set[str] = set()
        self._readers: dict[LogFilter, list[Subscription]] = {}
        self._number = 0
        self._gone = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shared: StageContext | None = None
        self._follower: FileFollower | None = None
        self._files: dict[str, FileStreams] = {}
        self._all_outputs = AllOutputs(
            stdout,
            self._form,
            fmt=fmt,
            timestamps=timestamps,
            level=level,
            overflow=overflow,
            outputs=outputs or {},
            filters=self._filters,
        )
        self._all_outputs.on_room = self._room_made
        self.daemon = self._all_outputs.daemon

    @property
    def figures(self) -> LogFigures:
        """The figures of now, over all outputs."""
        outputs = self.outputs()
        return LogFigures(
            queued_bytes=sum(one.queued_bytes for one in outputs),
            written_records=sum(one.written for one in outputs),
            dropped_records=sum(one.dropped for one in outputs),
            backed_up=self._stdout.backed_up,
            subscribers=sum(len(readers) for readers in self._readers.values()),
            unread_bytes=self.unread,
        )

    def open(self, process: str, logging: LoggingConfig, *, ring_size: int = RING_BYTES) -> ProcessLog:
        """The log of ``process``: a new one, or the one that is there, with these settings from now on.

        ``ring_size`` is the memory for its last lines, in bytes.
        """
        log = self._processes.get(process)
        if log is not None:
            log.update(logging, self._stages(process, logging), ring_size)
        else:
            log = self._processes[process] = ProcessLog(
                process,
                form=self._form,
                level=self._level,
                stdout=self._stdout,
                reader=self._reader,
                publish=self._publish,
                writers=self._all_outputs,
                logging=logging,
                stages=self._stages(process, logging),
                ring_size=ring_size,
            )
        self._note_usual(process, usual=log.usual)
        if logging.files or process in self._files:
            self._follow(process, log, logging)
        return log

    def _note_usual(self, process: str, *, usual: bool) -> None:
        """While all depend on standard output alone, the reader asks for all together whether it is full."""
        if usual:
            self._unusual.discard(process)
        else:
            self._unusual.add(process)
        self._reader.singly = bool(self._unusual)

    def _follow(self, process: str, log: ProcessLog, logging: LoggingConfig) -> None:
        """Follow the files of ``process`` that it is configured to have."""
        from cbox_init.logs.follow.follower import FileFollower
        from cbox_init.logs.follow.streams import FileStreams

        if self._follower is None:
            self._follower = FileFollower(self.daemon)
            if self._loop is not None:
                self._follower.attach(self._loop)
        if process not in self._files:
            stages = partial(self._stages, process)
            self._files[process] = FileStreams(process, log, self._follower, stages)
        self._files[process].use(logging)

    def _stages(self, process: str, logging: LoggingConfig) -> Stages | None:
        """The stages of a process, None when it uses none: then nothing of them is imported."""
        if not logging.has_stages:
            return None
        from cbox_init.logs.stages.build import build

        return build(process, logging, self._shared_by_stages())

    def _filters(self, process: str, config: FilterConfig | None) -> BlockFilter | None:
        """The filters of an output of a process, None when there are none."""
        if config is None or not (config.exclude or config.include):
            return None
        from cbox_init.logs.stages.build import build
        from cbox_init.logs.stages.filters import BlockFilter

        filters = build(process, LoggingConfig(filters=config), self._shared_by_stages()).filters
        return BlockFilter(filters) if filters is not None else None

    def _shared_by_stages(self) -> StageContext:
        from cbox_init.logs.stages.build import StageContext

        if self._shared is None:
            from cbox_init.logs.stages.deadlines import Deadlines
            from cbox_init.logs.stages.guard import SearchTimer

            self._shared = StageContext(SearchTimer(), Deadlines(), self.daemon)
            if self._loop is not None:
                self._shared.deadlines.attach(self._loop)
        return self._shared

    def forget(self, process: str) -> None:
        """Let go of the lines of ``process``. Captures that are still open are closed."""
        log = self._processes.pop(process, None)
        if log is not None:
            log.close()
            self._note_usual(process, usual=True)
            self._gone = max(self._gone, log.ring.newest)
            self._all_outputs.forget(process)
        files = self._files.pop(process, None)
        if files is not None:
            files.leave()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the children's output in ``loop`` from now on; until then it waits in their pipes."""
        self._loop = loop
        if self._shared is not None:
            self._shared.deadlines.attach(loop)
        self._reader.attach(loop)
        self._all_outputs.attach(loop)
        if self._follower is not None:
            self._follower.attach(loop)

    @property
    def position(self) -> Position:
        """The place where the next line will be."""
        from cbox_init.logs.past import Position

        return Position(self._number + 1)

    def past(self, processes: Collection[str] | None = None) -> Past:
        """What is kept of the lines of ``processes`` (None: of all) at this moment.

        Nothing for a process that has no log.
        """
        from cbox_init.logs.past import Past

        if processes is None:
            rings, gone = [log.ring for log in self._processes.values()], self._gone
        else:
            rings = [self._processes[name].ring for name in processes if name in self._processes]
            gone = 0
        return Past(
            tuple(ring.entries() for ring in rings),
            max((gone, *(ring.gone for ring in rings))),
            self.position,
        )

    def records(self, process: str | None, *, limit: int, newest_first: bool = True) -> list[Record]:
        """The last ``limit`` lines of ``process``, or of all together, at once: for a few lines."""
        past = self.past(None if process is None else (process,))
        lines = (line for entry in past.newest_first() for line in entry.block.records(newest_first=True))
        latest = list(islice(lines, limit))
        return latest if newest_first else latest[::-1]

    def subscribe(self, chosen: LogFilter) -> Subscription:
        """The lines that ``chosen`` asks for, from now on. To be closed by the reader.

        With ``past``, asked for in the same turn of the event loop, no line is missing and none comes twice.
        """
        from cbox_init.logs.subscription import Subscription

        subscription = Subscription(chosen, self._unsubscribe)
        self._readers.setdefault(chosen, []).append(subscription)
        return subscription

    @property
    def unread(self) -> int:
        """Bytes of memory of what readers have not taken yet; a block counts for each of them."""
        return sum(reader.size for readers in self._readers.values() for reader in readers)

    async def drain(self, timeout_s: float) -> None:
        """Read what files and pipes hold, end the captures, and say what was dropped: nothing lives any more.

        Files are read for as long as ``timeout_s``.
        """
        if self._follower is not None:
            await self._follower.finish(timeout_s)
            self._follower = None
        for log in self._processes.values():
            log.close()
        if self._shared is not None:
            self._shared.deadlines.close()
        self._all_outputs.tell_dropped()

    async def close(self, timeout_s: float) -> bool:
        """Drain, write all to the outputs, and end their writers and the subscriptions.

        False when some output did not take it all within ``timeout_s``. ``daemon`` can still be used; what it
        says afterwards wants a ``flush_sync``.
        """
        until = monotonic() + timeout_s
        await self.drain(timeout_s)
        self._reader.close()
        for reader in [reader for readers in self._readers.values() for reader in readers]:
            reader.end()
        return await self._all_outputs.close(max(until - monotonic(), 0))

    def flush_sync(self, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s``, until all has been written: for exits where no loop runs.

        Blocks; False when that took too long.
        """
        return self._all_outputs.flush(timeout_s)

    def reopen(self) -> None:
        """Open anew the files that are written, look at those that are followed, try at once what failed."""
        self._all_outputs.reopen()
        if self._follower is not None:
            self._follower.reopen()

    def outputs(self) -> list[OutputStatus]:
        """What has become of the records, for each place where they go; standard output is the first."""
        return self._all_outputs.status()

    def rate_limited(self) -> dict[str, int]:
        """How many records of each process its ``logging.rate_limit`` has held back, where it has one."""
        counts = ((name, log.rate_limited) for name, log in self._processes.items())
        return {name: count for name, count in counts if count is not None}

    def _room_made(self) -> None:
        self._reader.resume()
        if self._follower is not None:
            self._follower.resume()
        if self.on_room is not None:
            self.on_room()

    def _publish(self, block: Block) -> NumberedBlock:
        """Number a block, and hand it to those who follow."""
        self._number += 1
        entry = NumberedBlock(self._number, block)
        for chosen, readers in self._readers.items():
            if chosen.may_take(block):
                for reader in readers:
                    reader.offer(entry)
        return entry

    def _unsubscribe(self, subscription: Subscription) -> None:
        readers = self._readers[subscription.chosen]
        readers.remove(subscription)
        if not readers:
            del self._readers[subscription.chosen]
