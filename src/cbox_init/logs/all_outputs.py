"""All outputs together: standard output, and those of the configuration."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from cbox_init.config.model import LogOverflow
from cbox_init.logs.daemon import DaemonLog, RepeatedError
from cbox_init.logs.routes import Routes
from cbox_init.threads import call_in_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Mapping

    from cbox_init.config.model import FilterConfig, LoggingConfig, OutputConfig
    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.descriptor_writer import DescriptorWriter
    from cbox_init.logs.encode.base import Format
    from cbox_init.logs.outputs.destinations import Destinations, OutputStatus
    from cbox_init.logs.outputs.route_table import RouteTable
    from cbox_init.logs.patience import Patience
    from cbox_init.logs.routes import Destination
    from cbox_init.logs.stages.filters import BlockFilter
    from cbox_init.logs.writer import Writer

_TELL_AFTER_S = 1.0
_TELL_AFTER_AT_MOST_S = 60.0
"""At most once in this many seconds, a message says how many records were dropped: once a second first, then
ever more seldom while records are dropped."""

_START_AGAIN_S = 0.5
"""How long after no thread could be started for an output this is tried again, in seconds."""


class AllOutputs:
    """Makes the routes of each process and of the daemon, and counts what is dropped on them.

    Until an output is configured, standard output is the only one and nothing else is imported. ``form`` is
    the form of records on standard output; ``fmt`` and ``timestamps`` are the defaults of other outputs;
    ``filters`` makes the filters of a route.
    """

    def __init__(
        self,
        stdout: DescriptorWriter,
        form: Format,
        *,
        fmt: str,
        timestamps: bool,
        level: LogLevel,
        overflow: LogOverflow,
        outputs: Mapping[str, OutputConfig],
        filters: Callable[[str, FilterConfig | None], BlockFilter | None],
    ) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the event loop when an output that was full has room."""
        self.on_dropped: Callable[[str, int], None] | None = None
        """Called in the event loop when records were dropped: with the output and their number."""
        self.drops = overflow is LogOverflow.DROP
        self.daemon = DaemonLog(form, level, stdout, drops=self.drops)
        self._stdout = stdout
        self._fmt = fmt
        self._timestamps = timestamps
        self._level = level
        self._overflow = overflow
        self._filters = filters
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._tell_after_s = _TELL_AFTER_S
        self._told_at = 0.0
        self._starting: asyncio.TimerHandle | None = None
        self._no_threads = RepeatedError(self.daemon, "Log output has no thread")
        self._patience: Patience | None = None
        self._destinations: Destinations | None = None
        self._table: RouteTable | None = None
        self._prepare(stdout, "stdout")
        if outputs:
            self._table = self._make_table(outputs)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call ``on_room`` in ``loop`` from now on."""
        self._loop = loop
        self._start_threads()

    def identities(self) -> set[tuple[int, int]]:
        """Device and inode of every file that records are written to now; from any thread."""
        found = self._destinations.files.identities() if self._destinations is not None else set()
        for fd in (1, 2):
            with suppress(OSError):
                status = os.fstat(fd)
                found.add((status.st_dev, status.st_ino))
        return found

    @property
    def patience(self) -> Patience:
        """How long file systems are waited for; loaded for the first log file."""
        if self._patience is None:
            from cbox_init.logs.patience import Patience

            self._patience = Patience()
        return self._patience

    def routes(self, process: str, logging: LoggingConfig, level: LogLevel) -> Routes:
        """Where the records of ``process`` go. ``level`` is the lowest on standard output."""
        if self._table is None:
            if not logging.outputs:
                return Routes(level, True, ())
            self._table = self._make_table({})
        return self._table.process(process, logging.outputs, logging.labels, level)

    def forget(self, process: str) -> None:
        """Remove the routes of ``process``."""
        if self._table is not None:
            self._table.forget(process)

    def status(self, of: Collection[Destination] | None = None) -> list[OutputStatus]:
        """What has become of the records, by destination; standard output is the first.

        With ``of``, of these destinations only. Where several processes share one, its error names no file.
        """
        from cbox_init.logs.outputs.destinations import SingleDestination

        if self._destinations is None:
            return [SingleDestination("stdout", "stdout", self._stdout).status()]
        found = self._destinations.all()
        if of is None:
            return [destination.status() for destination in found]
        stdout, *others = found
        wanted = set(map(id, of))
        return [stdout.status(), *(one.status_without_files() for one in others if id(one) in wanted)]

    def reopen(self) -> None:
        """Reopen the files that are written, for logrotate and others that move them away."""
        for _, writer in self._all():
            writer.reopen()

    def tell_dropped(self) -> None:
        """Log how many records were dropped since the last such message."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told_at = monotonic()
        for target, writer in self._all():
            if dropped := writer.take_unsaid():
                self.daemon.warn("Log records were dropped", output=target, dropped=dropped)
                if self.on_dropped is not None:
                    self.on_dropped(target, dropped)

    async def close(self, timeout_s: float) -> bool:
        """Write all that is queued and end the writers; False when that takes longer than ``timeout_s``."""
        from asyncio import get_running_loop, timeout, wait

        self.tell_dropped()
        self._loop = None
        loop = get_running_loop()
        writers = [writer for _, writer in self._all()]
        written = [loop.create_future() for _ in writers]
        for writer, future in zip(writers, written, strict=True):
            writer.end(partial(call_in_loop, loop, partial(_settle, future)))
        waiting = set(written)
        try:
            async with timeout(timeout_s):
                while waiting:
                    started = [writer.start() for writer in writers]
                    _, waiting = await wait(waiting, timeout=None if all(started) else _START_AGAIN_S)
        except TimeoutError:
            return False
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; False when that takes longer than ``timeout_s``. Blocks."""
        end = monotonic() + timeout_s
        flushed = [writer.flush(max(end - monotonic(), 0)) for _, writer in self._all()]
        return all(flushed)

    def _make_table(self, everywhere: Mapping[str, OutputConfig]) -> RouteTable:
        from cbox_init.logs.outputs.destinations import Destinations
        from cbox_init.logs.outputs.route_table import RouteTable

        self._destinations = Destinations(
            fmt=self._fmt,
            timestamps=self._timestamps,
            stdout=self._stdout,
            log=self.daemon,
            prepare=self._prepare,
            patience=self.patience,
        )
        table = RouteTable(
            self._destinations, everywhere, level=self._level, overflow=self._overflow, filters=self._filters
        )
        self.daemon.use(table.daemon())
        return table

    def _all(self) -> list[tuple[str, Writer]]:
        """Every writer, with the name of its destination."""
        if self._destinations is None:
            return [("stdout", self._stdout)]
        return [
            (destination.name, writer)
            for destination in self._destinations.all()
            for writer in destination.writers()
        ]

    def _prepare(self, writer: Writer, name: str) -> None:
        """Be called when something happens to a writer. ``name`` is that of its output."""
        writer.on_room = self._has_room
        writer.on_no_thread = self._no_thread
        writer.on_failure = RepeatedError(
            self.daemon, "Unexpected failure while writing log output", output=name
        ).report

    def _no_thread(self) -> None:
        """Called in any thread, with the writer locked. Before there is a loop, ``attach`` tries again."""
        if (loop := self._loop) is not None:
            call_in_loop(loop, self._start_later)

    def _start_later(self) -> None:
        if self._loop is not None and self._starting is None:
            self._starting = self._loop.call_later(_START_AGAIN_S, self._start_threads)

    def _start_threads(self) -> None:
        self._starting = None
        missing = [name for name, writer in self._all() if not writer.start()]
        if missing:
            self._no_threads.report(f"none can be started for {', '.join(missing)}; its records wait")

    def _has_room(self) -> None:
        """Called in a writer's thread."""
        if (loop := self._loop) is not None:
            call_in_loop(loop, self._room_made)

    def _room_made(self) -> None:
        if self._loop is None:
            return
        if self._telling is None and any(writer.unsaid for _, writer in self._all()):
            again = monotonic() - self._told_at < 2 * self._tell_after_s
            self._tell_after_s = (
                min(2 * self._tell_after_s, _TELL_AFTER_AT_MOST_S) if again else _TELL_AFTER_S
            )
            self._telling = self._loop.call_later(self._tell_after_s, self.tell_dropped)
        if self.on_room is not None:
            self.on_room()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
