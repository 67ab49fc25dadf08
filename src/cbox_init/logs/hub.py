"""Everything about the daemon's and the children's output, in one object."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from cbox_init.config.model import LogOverflow
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

    from cbox_init.config.model import LoggingConfig, OutputConfig
    from cbox_init.logs.levels import Level
    from cbox_init.logs.outlet import Outlet
    from cbox_init.logs.outputs.places import OutputStatus, Places
    from cbox_init.logs.outputs.routes import Router, Routes
    from cbox_init.logs.record import Block, Record
    from cbox_init.logs.sink import Sink

_TELL_AFTER_S = 1.0
"""Once in this time, in seconds, is said how many records were dropped."""


class LogHub:
    """Owns the reading of all pipes, the rings, the subscriptions and the way to ``sink``.

    ``fmt`` is json or text; messages and lines below ``level`` stay off the sink. For one thread (the event
    loop's, and before there is a loop the one that will run it), but for ``daemon``.
    """

    def __init__(
        self,
        *,
        fmt: str,
        level: Level,
        timestamps: bool,
        sink: Sink,
        overflow: LogOverflow = LogOverflow.BLOCK,
        outputs: Mapping[str, OutputConfig] | None = None,
    ) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the loop when an output, once full, has room: some process is ``backed_up`` no more."""
        self._fmt = fmt
        self._timestamps = timestamps
        self._form = output_format(fmt, timestamps=timestamps)
        self._level = level
        self._sink = sink
        self._reader = Reader(sink)
        self._processes: dict[str, ProcessLog] = {}
        self._subscriptions: list[Subscription] = []
        self._drops = overflow is LogOverflow.DROP
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._places: Places | None = None
        self._router: Router | None = None
        self.daemon = DaemonLog(self._form, level, sink, drops=self._drops)
        sink.on_room = self._has_room
        if outputs:
            self._router = self._make_router(outputs)

    def open(self, process: str, logging: LoggingConfig) -> ProcessLog:
        """The log of ``process``: a new one, or the one that is there, with these settings from now on."""
        log = self._processes.get(process)
        if log is not None:
            log.update(logging)
            self._reader.singly = not self._all_usual()
            return log
        log = self._processes[process] = ProcessLog(
            process,
            form=self._form,
            level=self._level,
            sink=self._sink,
            reader=self._reader,
            publish=self._publish,
            route=self._route,
            drops=self._drops,
            logging=logging,
        )
        self._reader.singly = not self._all_usual()
        return log

    def forget(self, process: str) -> None:
        """Let go of the lines of ``process``. Captures that are still open are closed."""
        log = self._processes.pop(process, None)
        if log is not None:
            log.close()
            if self._router is not None:
                self._router.forget(process)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the children's output in ``loop`` from now on; until then it waits in their pipes."""
        self._loop = loop
        self._reader.attach(loop)

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

    def drain(self) -> None:
        """Read what the pipes hold, end the captures, and say what was dropped: nothing lives any more."""
        for log in self._processes.values():
            log.close()
        if self._telling is not None:
            self._telling.cancel()
        self._tell_dropped()

    async def close(self, timeout_s: float) -> bool:
        """Drain, write all to the outputs, and end their writers and the subscriptions.

        False when some output did not take it all within ``timeout_s``. ``daemon`` can still be used; what it
        says afterwards wants a ``flush_sync``.
        """
        from asyncio import get_running_loop, timeout

        self.drain()
        self._loop = None
        self._reader.close()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        loop = get_running_loop()
        outlets = [outlet for _, outlet in self._outlets()]
        written = [loop.create_future() for _ in outlets]
        for outlet, future in zip(outlets, written, strict=True):
            outlet.end(partial(call_in_loop, loop, partial(_settle, future)))
        try:
            async with timeout(timeout_s):
                for future in written:
                    await future
        except TimeoutError:
            return False
        return True

    def flush_sync(self, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s``, until all has been written: for exits where no loop runs.

        Blocks; False when that took too long.
        """
        end = monotonic() + timeout_s
        flushed = [outlet.flush(max(end - monotonic(), 0)) for _, outlet in self._outlets()]
        return all(flushed)

    def reopen(self) -> None:
        """Open anew the files that are written, for those who have moved them away."""
        for _, outlet in self._outlets():
            outlet.reopen()

    def outputs(self) -> list[OutputStatus]:
        """What has become of the records, for each place where they go; standard output is the first."""
        from cbox_init.logs.outputs.places import OnePlace

        if self._places is not None:
            return [place.status() for place in self._places.all()]
        return [OnePlace("stdout", "stdout", self._sink).status()]

    def _route(self, process: str, logging: LoggingConfig, level: Level) -> Routes | None:
        """Where the records of ``process`` go; None for standard output alone."""
        if self._router is None:
            if not logging.outputs:
                return None
            self._router = self._make_router({})
        return self._router.process(process, logging.outputs, logging.labels, level)

    def _make_router(self, everywhere: Mapping[str, OutputConfig]) -> Router:
        from cbox_init.logs.outputs.places import Places
        from cbox_init.logs.outputs.routes import Router

        self._places = Places(
            fmt=self._fmt,
            timestamps=self._timestamps,
            sink=self._sink,
            log=self.daemon,
            on_room=self._has_room,
        )
        overflow = LogOverflow.DROP if self._drops else LogOverflow.BLOCK
        router = Router(self._places, everywhere, level=self._level, overflow=overflow)
        self.daemon.route(router.daemon())
        return router

    def _all_usual(self) -> bool:
        return all(log.usual for log in self._processes.values())

    def _outlets(self) -> list[tuple[str, Outlet]]:
        """Every outlet, and the name of its place."""
        if self._places is None:
            return [("stdout", self._sink)]
        return [(place.target, outlet) for place in self._places.all() for outlet in place.outlets()]

    def _has_room(self) -> None:
        """From the thread of an outlet."""
        if (loop := self._loop) is not None:
            call_in_loop(loop, self._room_made)

    def _room_made(self) -> None:
        if self._loop is None:
            return
        if self._telling is None and any(outlet.unsaid for _, outlet in self._outlets()):
            self._telling = self._loop.call_later(_TELL_AFTER_S, self._tell_dropped)
        self._reader.resume()
        if self.on_room is not None:
            self.on_room()

    def _tell_dropped(self) -> None:
        """Say how many records were dropped since this was said before."""
        self._telling = None
        for target, outlet in self._outlets():
            if dropped := outlet.take_unsaid():
                self.daemon.warn("Log records were dropped", output=target, dropped=dropped)

    def _publish(self, block: Block) -> None:
        for subscription in self._subscriptions:
            subscription.offer(block)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
