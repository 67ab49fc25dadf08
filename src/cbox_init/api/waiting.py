"""For requests that take long: waiting for a command, streams, and work in slices."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

from cbox_init.api.caller import is_still_allowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from types import TracebackType

    from starlette.requests import Request
    from starlette.types import Receive, Scope

_T = TypeVar("_T")

#: How long one request may work in one turn of the event loop, in seconds.
SLICE_S: Final = 0.002

#: Seconds between two comments that tell both sides, and what is between them, that the stream lives.
KEEPALIVE_S: Final = 15.0

#: When a browser comes back after the connection broke, in milliseconds.
RETRY_MS: Final = 2000

#: The media type of server-sent events, and the headers of a stream of them.
EVENT_STREAM: Final = "text/event-stream"
STREAM_HEADERS: Final = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


@asynccontextmanager
async def while_connected(
    request: Request, work: Coroutine[Any, Any, _T], timeout_s: float | None = None
) -> AsyncIterator[asyncio.Task[_T]]:
    """Wait until ``work`` is done, the client has disconnected, or the time is up; yields the task.

    It is cancelled when it is not done by the end of the block.
    """
    done = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((done, gone), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        yield done
    finally:
        done.cancel()
        gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Slices:
    """Cuts the work of one request into slices, between which the event loop serves others."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = SLICE_S if seconds is None else seconds
        self._end = monotonic() + self._seconds

    async def breathe(self) -> None:
        """Let others run if the present slice is over. To be called often."""
        if monotonic() >= self._end:
            await asyncio.sleep(0)
            self._end = monotonic() + self._seconds


class Streamed(Protocol):
    """What one stream sends: the lines of a log, or events."""

    def end(self) -> None:
        """Add nothing any more. What is pending can still be taken."""

    def close(self) -> None:
        """The reader is gone: drop everything."""


class StreamReader:
    """The reader of one stream, which waits for what comes next. Leaving the ``with`` block closes it."""

    def __init__(self) -> None:
        self._ended = False
        self._gone = False
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        """Whether there may be something to take."""
        raise NotImplementedError

    @property
    def waiting(self) -> bool:
        """Whether it waits for what comes next."""
        return self._waiting is not None

    @property
    def ended(self) -> bool:
        """Whether the daemon ends the stream, or the reader is gone."""
        return self._ended

    async def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, nothing will come any more, or ``timeout_s`` has passed; it
        may return earlier."""
        if self.pending or self.ended or timeout_s <= 0:
            return
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        if self._timer is None:  # one serves all waits until the same time
            self._timer = loop.call_later(timeout_s, self._time_is_up)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _time_is_up(self) -> None:
        self._timer = None
        self.wake()

    def wake(self) -> None:
        """End its wait."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self) -> None:
        """End the stream when what is pending was taken."""
        self._ended = True
        self.wake()

    def close(self) -> None:
        """The reader is gone: nothing is pending any more."""
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.end()

    async def close_when_gone(self, receive: Receive) -> None:
        """Close it when the client has disconnected."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Streamed = TypeVar("_Streamed", bound=Streamed)


class Streams:
    """What open streams send."""

    def __init__(self) -> None:
        self._open: dict[Streamed, Scope] = {}
        self._closed = False
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @contextmanager
    def entry(self, subscription: _Streamed, scope: Scope) -> Iterator[_Streamed]:
        """Keep what the request of ``scope`` gets among the open streams during the block, then close it."""
        self._open[subscription] = scope
        if self._closed:
            subscription.end()
        try:
            yield subscription
        finally:
            self._open.pop(subscription, None)
            subscription.close()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Work for one stream: one stream works in each turn of the event loop, in order.

        However many there are, other requests wait for one of them only.
        """
        await self._turn.acquire()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._turn.release)

    def end_refused(self) -> None:
        """End the streams of callers that are not allowed any more, without waiting until they see it."""
        for subscription, scope in tuple(self._open.items()):
            if not is_still_allowed(scope):
                subscription.end()

    def end(self) -> None:
        """End every stream, present and future, when it has sent what is buffered."""
        self._closed = True
        for subscription in tuple(self._open):
            subscription.end()
