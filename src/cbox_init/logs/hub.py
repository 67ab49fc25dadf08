"""Everything about the daemon's and the children's output, in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.logs.daemon import DaemonLog
from cbox_init.logs.encode import output_format
from cbox_init.logs.process import ProcessLog
from cbox_init.logs.reader import Reader
from cbox_init.logs.ring import latest
from cbox_init.logs.subscription import Subscription
from cbox_init.logs.threads import call_in_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Mapping

    from cbox_init.logs.levels import Level
    from cbox_init.logs.record import Block, Record
    from cbox_init.logs.sink import Sink


class LogFigures(Struct, frozen=True, kw_only=True):
    """What waits for standard output and what has been written to it, in bytes; who follows the lines."""

    queued_bytes: int
    written_bytes: int
    backed_up: bool
    subscribers: int


class LogHub:
    """Owns the reading of all pipes, the rings, the subscriptions and the way to ``sink``.

    ``fmt`` is json or text; messages and lines below ``level`` stay off the sink. For one thread (the event
    loop's, and before there is a loop the one that will run it), but for ``daemon``.
    """

    def __init__(self, *, fmt: str, level: Level, timestamps: bool, sink: Sink) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the loop when no process is ``backed_up`` any more."""
        self._form = output_format(fmt, timestamps=timestamps)
        self._level = level
        self._sink = sink
        self._reader = Reader(sink)
        self._processes: dict[str, ProcessLog] = {}
        self._subscriptions: list[Subscription] = []
        self.daemon = DaemonLog(self._form, level, sink)

    @property
    def figures(self) -> LogFigures:
        """The figures of now."""
        return LogFigures(
            queued_bytes=self._sink.queued,
            written_bytes=self._sink.written,
            backed_up=self._sink.backed_up,
            subscribers=len(self._subscriptions),
        )

    def open(self, process: str, *, labels: Mapping[str, str], min_level: Level) -> ProcessLog:
        """The log of ``process``: a new one, or the one that is there, with these settings from now on."""
        log = self._processes.get(process)
        if log is not None:
            log.update(labels=labels, min_level=min_level)
            return log
        log = self._processes[process] = ProcessLog(
            process,
            form=self._form,
            level=self._level,
            sink=self._sink,
            reader=self._reader,
            publish=self._publish,
            labels=labels,
            min_level=min_level,
        )
        return log

    def forget(self, process: str) -> None:
        """Let go of the lines of ``process``. Captures that are still open are closed."""
        log = self._processes.pop(process, None)
        if log is not None:
            log.close()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the children's output in ``loop`` from now on; until then it waits in their pipes."""
        self._reader.attach(loop)
        self._sink.on_room = lambda: call_in_loop(loop, self._room_made)

    def records(
        self,
        process: str | None,
        *,
        limit: int,
        newest_first: bool = True,
        min_level: Level | None = None,
    ) -> list[Record]:
        """The last ``limit`` lines of ``process``, or of all together in the order of their times.

        Nothing for a process that has no log.
        """
        if process is None:
            rings = [log.ring for log in self._processes.values()]
        else:
            log = self._processes.get(process)
            rings = [log.ring] if log is not None else []
        return latest(rings, limit=limit, newest_first=newest_first, min_level=min_level)

    def subscribe(
        self, processes: Collection[str] | None = None, min_level: Level | None = None
    ) -> Subscription:
        """The lines of ``processes`` (None: of all) from now on. To be closed by the reader."""
        subscription = Subscription(processes, min_level, self._subscriptions.remove)
        self._subscriptions.append(subscription)
        return subscription

    async def close(self, timeout_s: float) -> bool:
        """Read what the pipes hold, write all to the sink, end the writer, the captures and subscriptions.

        False when the sink did not take it all within ``timeout_s``. ``daemon`` can still be used; what it
        says afterwards wants a ``flush_sync``.
        """
        from asyncio import get_running_loop, timeout

        for log in self._processes.values():
            log.close()
        self._sink.on_room = None
        self._reader.close()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        loop = get_running_loop()
        written = loop.create_future()

        def settle() -> None:
            if not written.done():
                written.set_result(None)

        self._sink.end(lambda: call_in_loop(loop, settle))
        try:
            async with timeout(timeout_s):
                await written
        except TimeoutError:
            return False
        return True

    def flush_sync(self, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s``, until all has been written: for exits where no loop runs.

        Blocks; False when that took too long.
        """
        return self._sink.flush(timeout_s)

    def _room_made(self) -> None:
        self._reader.resume()
        if self._sink.take_overflowed() and self.on_room is not None:
            self.on_room()

    def _publish(self, block: Block) -> None:
        for subscription in self._subscriptions:
            subscription.offer(block)
