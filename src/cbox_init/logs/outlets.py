"""All outlets of records together: standard output, and those that the configuration names."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from cbox_init.config.model import LogOverflow
from cbox_init.logs.daemon import DaemonLog
from cbox_init.logs.threads import call_in_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import FilterConfig, LoggingConfig, OutputConfig
    from cbox_init.logs.encode.base import Format
    from cbox_init.logs.levels import Level
    from cbox_init.logs.outlet import Outlet
    from cbox_init.logs.outputs.filtering import BlockFilter
    from cbox_init.logs.outputs.places import OutputStatus, Places
    from cbox_init.logs.outputs.routes import Router, Routes
    from cbox_init.logs.sink import Sink

_TELL_AFTER_S = 1.0
"""Once in this time, in seconds, is said how many records were dropped."""


class Outlets:
    """Knows where the records of each process go, and what is dropped there.

    Until an output is configured there is ``sink`` alone, and nothing else is imported. ``form`` is that of
    ``sink``; ``fmt`` and ``timestamps`` are the default of others, ``filters`` makes the filters of one.
    """

    def __init__(
        self,
        sink: Sink,
        form: Format,
        *,
        fmt: str,
        timestamps: bool,
        level: Level,
        overflow: LogOverflow,
        outputs: Mapping[str, OutputConfig],
        filters: Callable[[str, FilterConfig | None], BlockFilter | None],
    ) -> None:
        self.on_room: Callable[[], None] | None = None
        """Called in the loop when an outlet, once full, has room."""
        self.drops = overflow is LogOverflow.DROP
        self.daemon = DaemonLog(form, level, sink, drops=self.drops)
        self._sink = sink
        self._fmt = fmt
        self._timestamps = timestamps
        self._level = level
        self._overflow = overflow
        self._filters = filters
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._places: Places | None = None
        self._router: Router | None = None
        sink.on_room = self._has_room
        if outputs:
            self._router = self._make_router(outputs)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say in ``loop`` from now on when there is room."""
        self._loop = loop

    def routes(self, process: str, logging: LoggingConfig, level: Level) -> Routes | None:
        """Where the records of ``process`` go; None for standard output alone."""
        if self._router is None:
            if not logging.outputs:
                return None
            self._router = self._make_router({})
        return self._router.process(process, logging.outputs, logging.labels, level)

    def forget(self, process: str) -> None:
        """It sends nothing any more."""
        if self._router is not None:
            self._router.forget(process)

    def status(self) -> list[OutputStatus]:
        """What has become of the records, for each place where they go; standard output is the first."""
        from cbox_init.logs.outputs.places import OnePlace

        if self._places is not None:
            return [place.status() for place in self._places.all()]
        return [OnePlace("stdout", "stdout", self._sink).status()]

    def reopen(self) -> None:
        """Open anew the files that are written, for those who have moved them away."""
        for _, outlet in self._all():
            outlet.reopen()

    def tell_dropped(self) -> None:
        """Say how many records were dropped since this was said before."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        for target, outlet in self._all():
            if dropped := outlet.take_unsaid():
                self.daemon.warn("Log records were dropped", output=target, dropped=dropped)

    async def close(self, timeout_s: float) -> bool:
        """Write all that is queued, and end the writers; False when some took longer than ``timeout_s``."""
        from asyncio import get_running_loop, timeout

        self.tell_dropped()
        self._loop = None
        loop = get_running_loop()
        outlets = [outlet for _, outlet in self._all()]
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

    def flush(self, timeout_s: float) -> bool:
        """Wait, at most ``timeout_s``, until all has been written. Blocks; False when that took too long."""
        end = monotonic() + timeout_s
        flushed = [outlet.flush(max(end - monotonic(), 0)) for _, outlet in self._all()]
        return all(flushed)

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
        router = Router(
            self._places, everywhere, level=self._level, overflow=self._overflow, filters=self._filters
        )
        routes = router.daemon()
        self.daemon.route(plain=routes.plain, outputs=routes.outputs)
        return router

    def _all(self) -> list[tuple[str, Outlet]]:
        """Every outlet, with the name of its place."""
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
        if self._telling is None and any(outlet.unsaid for _, outlet in self._all()):
            self._telling = self._loop.call_later(_TELL_AFTER_S, self.tell_dropped)
        if self.on_room is not None:
            self.on_room()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
