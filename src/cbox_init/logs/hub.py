"""Everything about the output of the daemon and its children, in one object."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model import LoggingConfig, LogOverflow
from cbox_init.logs.all_outputs import AllOutputs
from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.encode import output_format
from cbox_init.logs.process import ProcessLog
from cbox_init.logs.reader import PipeReader
from cbox_init.logs.ring import RING_BYTES, NumberedBlock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container, Iterable, Mapping

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
    from cbox_init.logs.stages.finder import Finder
    from cbox_init.logs.stages.guard import BlockBudget
    from cbox_init.logs.stages.pipeline import Stages
    from cbox_init.logs.subscription import Subscription

#: How many logs a turn of the event loop closes at the end.
_CLOSED_AT_ONCE: Final = 500


class LogFigures(Struct, frozen=True, kw_only=True):
    """Figures over all outputs: queued, written and dropped; and the subscriptions that follow the lines."""

    queued_bytes: int
    written_records: int
    dropped_records: int
    backed_up: bool
    subscribers: int
    unread_bytes: int


class LogHub:
    """Owns the readers of pipes and files, the rings, the subscriptions and the outputs.

    ``fmt`` is json or text, ``colours`` are for text. Records below ``level`` do not go to standard
    output. All methods are for one thread (the event loop's; before there is a loop, the one that will run
    it), except those of ``daemon``.
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
        """Called in the event loop when an output that was full has room: a process may no longer be
        ``backed_up``."""
        self.on_dropped: Callable[[str, str, int], None] | None = None
        """Called in the event loop when log lines were dropped: with the process and the output, each may be
        empty, and their number."""
        self.run: Final = os.urandom(5).hex()
        """Distinguishes positions in this log from those of another run of the daemon."""
        self.defaults = LoggingConfig()
        """Logging settings for output that belongs to no process."""
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
        self._all_outputs.on_dropped = lambda output, count: self._dropped("", output, count)
        self.daemon = self._all_outputs.daemon

    @property
    def figures(self) -> LogFigures:
        """Current figures over all outputs."""
        outputs = self.outputs()
        return LogFigures(
            queued_bytes=sum(one.queued_bytes for one in outputs),
            written_records=sum(one.written for one in outputs),
            dropped_records=sum(one.dropped for one in outputs),
            backed_up=self._stdout.backed_up,
            subscribers=sum(len(readers) for readers in self._readers.values()),
            unread_bytes=self.unread,
        )

    def open(
        self,
        process: str,
        logging: LoggingConfig,
        *,
        ring_size: int = RING_BYTES,
        user: str | None = None,
        group: str | None = None,
    ) -> ProcessLog:
        """The log of ``process``, created or updated with these settings.

        ``ring_size`` is the memory for its last lines, in bytes. ``user`` and ``group`` are those that the
        process runs as: it must be able to read the files that are followed.
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
                all_outputs=self._all_outputs,
                logging=logging,
                stages=self._stages(process, logging),
                ring_size=ring_size,
                finder=partial(self._finder, process),
            )
        self._note_usual(process, usual=log.usual)
        if logging.files or process in self._files:
            self._follow(process, log, logging, user, group)
        return log

    def _note_usual(self, process: str, *, usual: bool) -> None:
        """While all processes depend on standard output alone, the reader checks only that for room."""
        if usual:
            self._unusual.discard(process)
        else:
            self._unusual.add(process)
        self._reader.singly = bool(self._unusual)

    def _follow(
        self, process: str, log: ProcessLog, logging: LoggingConfig, user: str | None, group: str | None
    ) -> None:
        """Follow the files that the configuration of ``process`` names."""
        from cbox_init.logs.follow.follower import FileFollower
        from cbox_init.logs.follow.streams import FileStreams

        if self._follower is None:
            self._follower = FileFollower(
                self.daemon, self._all_outputs.identities, self._all_outputs.patience
            )
            if self._loop is not None:
                self._follower.attach(self._loop)
        if process not in self._files:
            stages = partial(self._stages, process)
            self._files[process] = FileStreams(process, log, self._follower, stages)
        self._files[process].use(logging, user, group)

    async def ask_file_systems(self, loggings: Iterable[LoggingConfig]) -> None:
        """Before logs are opened: wait for the file systems of their files, and not for long."""
        paths: set[str | None] = set()
        for one in loggings:
            paths.update(file.path for file in one.files.values())
            paths.update(output.path for output in one.outputs.values())
        if found := [path for path in paths if path]:
            await self._all_outputs.patience.ask(found)

    def _stages(self, process: str, logging: LoggingConfig) -> Stages | None:
        """The stages of a process; None, and nothing imported, when it uses none."""
        if not logging.has_stages:
            return None
        from cbox_init.logs.stages.build import build

        return build(process, logging, self._shared_by_stages())

    def _filters(self, process: str, config: FilterConfig | None) -> BlockFilter | None:
        """The filters of one route; None when it has none."""
        if config is None or not (config.exclude or config.include):
            return None
        from cbox_init.logs.stages.build import build
        from cbox_init.logs.stages.filters import BlockFilter

        filters = build(process, LoggingConfig(filters=config), self._shared_by_stages()).filters
        return BlockFilter(filters) if filters is not None else None

    def _finder(self, process: str, pattern: str) -> tuple[Finder, BlockBudget]:
        """What finds the lines that make an instance of a process ready."""
        from cbox_init.logs.stages.build import ready_finder

        return ready_finder(process, pattern, self._shared_by_stages())

    def _shared_by_stages(self) -> StageContext:
        from cbox_init.logs.stages.build import StageContext

        if self._shared is None:
            from cbox_init.logs.stages.deadlines import Deadlines
            from cbox_init.logs.stages.guard import SearchTimer

            failed = RepeatedError(self.daemon, "Unexpected failure while processing log records")
            self._shared = StageContext(SearchTimer(), Deadlines(failed.report), self.daemon, self._dropped)
            if self._loop is not None:
                self._shared.deadlines.attach(self._loop)
        return self._shared

    def _dropped(self, process: str, output: str, count: int) -> None:
        if self.on_dropped is not None:
            self.on_dropped(process, output, count)

    def forget(self, process: str) -> None:
        """Drop the lines of ``process`` and close its captures."""
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
        """Read the children's output in ``loop`` from now on. Until then it stays in their pipes."""
        self._loop = loop
        if self._shared is not None:
            self._shared.deadlines.attach(loop)
        self._reader.attach(loop)
        self._all_outputs.attach(loop)
        if self._follower is not None:
            self._follower.attach(loop)

    @property
    def position(self) -> Position:
        """The position of the next line."""
        from cbox_init.logs.past import Position

        return Position(self._number + 1)

    def past(self, processes: Container[str] | None = None) -> Past:
        """The kept lines of ``processes``, or of all with None, as they are now. A process without a log
        has none.
        """
        from cbox_init.logs.past import Past

        if processes is None:
            rings, gone = [log.ring for log in self._processes.values()], self._gone
        else:
            rings = [log.ring for name, log in self._processes.items() if name in processes]
            gone = 0
        return Past(
            tuple(ring.entries() for ring in rings),
            max((gone, *(ring.gone for ring in rings))),
            self.position,
        )

    def records(self, process: str | None, *, limit: int, newest_first: bool = True) -> list[Record]:
        """The last ``limit`` lines of ``process``, or of all with None. For small limits: all at once."""
        past = self.past(None if process is None else (process,))
        lines = (line for entry in past.newest_first() for line in entry.block.records(newest_first=True))
        latest = list(islice(lines, limit))
        return latest if newest_first else latest[::-1]

    def subscribe(self, chosen: LogFilter) -> Subscription:
        """Subscribe to lines that ``chosen`` matches, from now on. The caller closes it.

        Together with ``past``, called in the same turn of the event loop, no line is missed and none comes
        twice.
        """
        from cbox_init.logs.subscription import Subscription

        subscription = Subscription(chosen, self._unsubscribe)
        self._readers.setdefault(chosen, []).append(subscription)
        return subscription

    @property
    def unread(self) -> int:
        """Bytes of memory that subscriptions hold; a block counts once for each."""
        return sum(reader.size for readers in self._readers.values() for reader in readers)

    async def drain(self, timeout_s: float) -> None:
        """Read what files and pipes still hold, end the captures, and log what was dropped. Called when no
        child is left.

        Files are read for at most ``timeout_s``.
        """
        if self._follower is not None:
            await self._follower.finish(timeout_s)
            self._follower = None
        from asyncio import sleep  # children start before asyncio is imported

        until = monotonic() + timeout_s
        for number, log in enumerate(tuple(self._processes.values()), 1):
            while not log.drain():
                await sleep(0)
                if monotonic() >= until:
                    break
            log.close()
            if number % _CLOSED_AT_ONCE == 0:
                await sleep(0)
        if self._shared is not None:
            self._shared.deadlines.close()
        self._all_outputs.tell_dropped()

    async def close(self, timeout_s: float) -> bool:
        """Drain, write all queues, and end the writers and subscriptions.

        False when an output did not take everything within ``timeout_s``. ``daemon`` can still be used;
        its later messages need a ``flush_sync``.
        """
        until = monotonic() + timeout_s
        await self.drain(timeout_s)
        self._reader.close()
        for reader in [reader for readers in self._readers.values() for reader in readers]:
            reader.end()
        return await self._all_outputs.close(max(until - monotonic(), 0))

    def flush_sync(self, timeout_s: float) -> bool:
        """Wait until all is written, for exits without an event loop.

        Blocks; False when it takes longer than ``timeout_s``.
        """
        return self._all_outputs.flush(timeout_s)

    def reopen(self) -> None:
        """Reopen written files, check followed files, and retry what failed, at once."""
        self._all_outputs.reopen()
        if self._follower is not None:
            self._follower.reopen()

    def outputs(self, processes: Container[str] | None = None) -> list[OutputStatus]:
        """Figures of each output; standard output is the first.

        With ``processes``, of the outputs that their records go to, without the names of other processes.
        """
        if processes is None:
            return self._all_outputs.status()
        logs = [log for name, log in self._processes.items() if name in processes]
        return self._all_outputs.status({id(one): one for log in logs for one in log.destinations}.values())

    def rate_limited(self, processes: Container[str] | None = None) -> dict[str, int]:
        """How many records ``logging.rate_limit`` has dropped, for each process that has such a limit.

        With ``processes``, for these only.
        """
        counts = ((name, log.rate_limited) for name, log in self._processes.items())
        return {
            name: count
            for name, count in counts
            if count is not None and (processes is None or name in processes)
        }

    def _room_made(self) -> None:
        self._reader.resume()
        if self._follower is not None:
            self._follower.resume()
        if self.on_room is not None:
            self.on_room()

    def _publish(self, block: Block) -> NumberedBlock:
        """Number a block and offer it to subscriptions."""
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
