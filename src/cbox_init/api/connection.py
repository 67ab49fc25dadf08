"""One connection: uvicorn's HTTP protocol with limits to what a client may hold, and errors in JSON."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from cbox_init.api.replies import encode
from cbox_init.api.schemas import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.config import Config

#: Bytes of a request line with all headers. The parser itself has no limit.
LARGEST_HEAD: Final = 64 * 1024

#: How long a client may take to send them, in seconds.
HEAD_TAKES_S: Final = 15.0

#: Connections of one application at the same time: the Unix socket answers although TCP is flooded.
MOST_CONNECTIONS: Final = 512

#: How long a stream may take to send what it has when it must end, in seconds.
_STREAM_ENDS_S: Final = 0.5

#: How long a request whose client has gone may take to notice, in seconds.
_REQUEST_ENDS_S: Final = 1.0


class Connections(ServerState):
    """All connections of one application, and the headers that every reply has."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._drained: asyncio.Future[None] | None = None

    def refresh_date(self) -> None:
        """Set the header ``date`` (RFC 9110 6.6.1) when another second has begun."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.default_headers = [(b"date", formatdate(second, usegmt=True).encode())]

    async def close(self, timeout_s: float) -> None:
        """Let requests that are being answered end, for so long; idle connections are closed at once.

        A stream whose reader does not take the rest is not waited for.
        """
        for connection in tuple(self.connections):
            connection.shutdown()
        if not await self._drains_within(min(_STREAM_ENDS_S, timeout_s)):
            self._abort(lambda connection: connection.streams)
            if not await self._drains_within(timeout_s):
                self._abort(lambda _: True)
                await self._until_drained()
        await self._end_tasks()

    def lost(self) -> None:
        """A connection has ended."""
        if not self.connections and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _end_tasks(self) -> None:
        """End the requests; they know that their clients have gone, and most end by themselves."""
        if self.tasks:
            _, left = await asyncio.wait(self.tasks, timeout=_REQUEST_ENDS_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _abort(self, chosen: Callable[[Connection], bool]) -> None:
        for connection in tuple(self.connections):
            if isinstance(connection, Connection) and chosen(connection):
                connection.transport.abort()

    async def _drains_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_drained()
        except TimeoutError:
            return False
        return True

    async def _until_drained(self) -> None:
        if self.connections:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained


class Connection(HttpToolsProtocol):
    """Serves the requests of one client, one after another."""

    def __init__(self, config: Config, connections: Connections) -> None:
        super().__init__(config, connections, {})
        self._of = connections
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._problem = (HTTPStatus.BAD_REQUEST, "this is not HTTP as it is understood here")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        else:
            self._begin_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head_timer()
        super().connection_lost(exc)
        self._of.lost()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._begin_head_timer()
        elif self._is_idle and not self.transport.is_closing():
            # What came began no request (a line end does not), but has ended uvicorn's timer.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    @property
    def streams(self) -> bool:
        """Whether it sends a stream, or the end of one: all else has a length."""
        return self.cycle is not None and self.cycle.chunked_encoding is True

    @property
    def _is_idle(self) -> bool:
        """Whether every request so far has been answered."""
        return self.cycle is not None and self.cycle.response_complete and not self.pipeline

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or not within the limits."""
        self._refuse(*self._problem)

    # -- what the parser finds -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)  # with the colon, the blank and the end of the line
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._end_head_timer()
        self._of.refresh_date()
        super().on_headers_complete()
        if self.expect_100_continue:
            # If we answer without asking for the body, nobody can say whether it comes nevertheless.
            self.cycle.keep_alive = False

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > LARGEST_HEAD:
            self._problem = (
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"request line and headers are larger than {LARGEST_HEAD} bytes",
            )
            raise ValueError  # ends the parser, which reports it as not HTTP

    # -- limits ----------------------------------------------------------------------------------------

    def _begin_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TAKES_S, self._head_too_slow)

    def _end_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer and close; not when an earlier request of the connection is still being answered."""
        if self.cycle is None or self.cycle.response_complete:
            body = encode(ErrorReply(message))
            self.transport.write(
                b"HTTP/1.1 %d %b\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (status, status.phrase.encode(), len(body), body)
            )
        self.transport.close()
