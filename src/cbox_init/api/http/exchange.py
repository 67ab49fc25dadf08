"""One request and its response, as an ASGI application or a function that answers at once sees them."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.json import encode

from cbox_init.api.http.head import HttpError
from cbox_init.logs.daemon import RepeatedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message

    from cbox_init.api.http.head import RequestHead
    from cbox_init.api.http.peer import Peer
    from cbox_init.api.http.places import ConnectionPlace
    from cbox_init.api.http.turns import ClientTurns
    from cbox_init.logs.daemon import DaemonLog

#: Up to this size a body goes out with its head in one system call.
_WRITTEN_TOGETHER: Final = 256 * 1024

# Not http.HTTPStatus, which takes longer to import than a probe to answer.
_PHRASES: Final = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
_STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in _PHRASES.items()
}
#: A response that needs no memory to be had: the kernel takes it.
_SMALL: Final = 16 * 1024
_NO_MEMORY: Final = "too much memory is taken by responses that are not read yet; see api_memory_budget"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_WITHOUT_BODY: Final = frozenset((204, 304))
_RETRY_AFTER: Final = (b"retry-after", b"1")
_JSON: Final = (b"content-type", b"application/json")


class ClientConnection(Protocol):
    """What an exchange needs of its connection."""

    @property
    def congested(self) -> bool:
        """Whether the client takes more slowly than is written."""

    @property
    def may_stay_open(self) -> bool:
        """Whether the connection can be used for another request after this response."""

    @property
    def date_header(self) -> bytes: ...
    @property
    def client(self) -> tuple[str, int] | None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def peer(self) -> Peer: ...
    @property
    def place(self) -> ConnectionPlace: ...
    @property
    def turns(self) -> ClientTurns: ...
    def write(self, data: bytes) -> None: ...
    async def drained(self) -> None: ...
    def body_taken(self) -> None: ...
    def answered(self, exchange: Exchange) -> None: ...
    def stream_begins(self) -> None: ...
    def may_hold(self, size: int) -> bool:
        """Whether there is memory for a response of this size."""

    def abort(self) -> None: ...


class Exchange:
    """A request with what has come of its body, and how far its response is.

    ``receive`` and ``send`` are those of ASGI; ``respond`` writes a whole response at once. ``client`` is the
    address and port of the client, which may be behind a proxy; None on a Unix socket.
    """

    __slots__ = (
        "_body",
        "_body_complete",
        "_body_given",
        "_chunked",
        "_connection",
        "_disconnected",
        "_headers",
        "_left",
        "_status",
        "_waiter",
        "client",
        "head",
        "held",
        "keep_alive",
        "paid_s",
        "response_complete",
        "response_started",
    )

    def __init__(self, connection: ClientConnection, head: RequestHead) -> None:
        self.head = head
        self.client = connection.client
        self.keep_alive = head.keep_alive
        self.held = 0
        """Bytes of the head and of what has come of the body, for the memory of requests."""
        self.paid_s = 0.0
        """The time that was taken from the budget of the turn for it, in seconds."""
        self.response_started = False
        self.response_complete = False
        self._connection = connection
        self._body = bytearray()
        self._body_complete = not head.length
        self._body_given = False
        self._disconnected = False
        self._waiter: Future[None] | None = None
        self._status = 0
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self._chunked = False
        self._left: int | None = None  # bytes of a body whose length was announced

    @property
    def path(self) -> bytes:
        """The path of the target as it was sent, without the query."""
        return self.head.target.partition(b"?")[0]

    @property
    def scheme(self) -> str:
        """``https`` behind TLS, otherwise ``http``."""
        return self._connection.scheme

    @property
    def peer(self) -> Peer:
        """What the kernel and TLS say about the other end of the connection."""
        return self._connection.peer

    @property
    def turns(self) -> ClientTurns:
        """The turns of the event loop, shared with the other clients of the server."""
        return self._connection.turns

    @property
    def share(self) -> str | bytes | None:
        """With what this request shares them, as `ConnectionPlace.share`."""
        return self._connection.place.share

    @property
    def streams(self) -> bool:
        """Whether the response has no length and has begun."""
        return self.response_started and self._left is None

    @property
    def unread(self) -> int:
        """Bytes of the body that nobody has taken yet."""
        return len(self._body)

    # -- what the connection finds ---------------------------------------------------------------------

    def body_came(self, data: bytes, *, complete: bool) -> None:
        """Add a part of the body; it is dropped when the response is over already."""
        if not self.response_complete:
            self._body += data
            self.held += len(data)
        self._body_complete = complete
        self._wake()

    def disconnect(self) -> None:
        """The client will send nothing more: a body that is not complete never will be."""
        self._disconnected = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    # -- ASGI ------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next part of the body, or the end of the connection."""
        if self.head.expects_continue and not (self._body or self._body_complete or self.response_started):
            self._connection.write(_CONTINUE)
        while not self.response_complete:
            if (self._body_complete and not self._body_given) or (self._body and not self._disconnected):
                body, self._body = bytes(self._body), bytearray()
                self._body_given = self._body_complete
                self._connection.body_taken()
                return {"type": "http.request", "body": body, "more_body": not self._body_complete}
            if self._disconnected:
                break
            if self._waiter is None:
                self._waiter = get_running_loop().create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take the next part of the response. The head goes out with the first part of the body."""
        if message["type"] == "http.response.start":
            if self._status:
                raise RuntimeError("a response was started twice")
            self._status, self._headers = message["status"], message.get("headers", ())
            return
        more = message.get("more_body", False)
        self._write(message.get("body", b""), more)
        if more and self._connection.congested:
            await self._connection.drained()

    # -- the response ----------------------------------------------------------------------------------

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Write a whole response, in place of one that an application has begun and nobody has seen."""
        self._status, self._headers = status, headers
        self._left, self._chunked = None, False
        self._write(body, more=False)

    def refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read; the connection ends with it."""
        self.keep_alive = False
        headers = (_JSON, _RETRY_AFTER) if error.status == 503 else (_JSON,)
        self.respond(error.status, headers, encode({"error": str(error)}))

    def fail(self) -> None:
        """End a response that its application did not end: 500 when nothing was sent, else a broken one."""
        if self.response_complete:
            return
        if self.response_started:
            self._connection.abort()
        else:
            body = b'{"error":"internal error: the log of the daemon says where"}'
            self.respond(500, (_JSON,), body)

    def _write(self, body: bytes, more: bool) -> None:
        if self.response_complete:
            return
        if not self._status:
            raise RuntimeError("a response has a body before its status")
        if len(body) > _SMALL and not (self.response_started or more or self._connection.may_hold(len(body))):
            self.refuse(HttpError(503, _NO_MEMORY))
            return
        head = b"" if self.response_started else self._begin(len(body), more)
        if self.head.method == "HEAD" or self._status in _WITHOUT_BODY:
            body = b""
        elif self._chunked:
            body = _chunk(body, more)
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("a body has another length than its content-length")
        if head and len(body) > _WRITTEN_TOGETHER:
            self._connection.write(head)
        else:
            body = head + body
        self.response_started = True
        if body:
            self._connection.write(body)
        if head and more and self._left is None:
            self._connection.stream_begins()
        if not more:
            self.response_complete = True
            self._wake()
            self._connection.answered(self)

    def _begin(self, size: int, more: bool) -> bytes:
        """The status line and the headers, with those that frame the body."""
        parts = [
            _STATUS_LINES.get(self._status) or b"HTTP/1.1 %d \r\n" % self._status,
            self._connection.date_header,
        ]
        closing = False
        for name, value in self._headers:
            if b"\n" in value or b"\r" in value:
                raise RuntimeError(f"the header {name!r} has a line end")
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                closing = value == b"close"
            parts += (name, b": ", value, b"\r\n")
        if self._left is None and not more and self.head.method != "HEAD":
            self._left = size
            if self._status not in _WITHOUT_BODY:
                parts.append(b"content-length: %d\r\n" % size)
        if self._left is None and self.head.method != "HEAD":
            if self.head.version == "1.1":
                self._chunked = True
                parts.append(_CHUNKED)
            else:
                self.keep_alive = (
                    False  # HTTP/1.0 has no chunks: the end of the connection is that of the body
                )
        self.keep_alive = self.keep_alive and not closing and self._connection.may_stay_open
        if not self.keep_alive and not closing:
            parts.append(_CLOSE)
        parts.append(b"\r\n")
        return b"".join(parts)


class RequestFailures:
    """Ends the exchanges of requests that fail by a defect of ours."""

    def __init__(self, log: DaemonLog) -> None:
        self._log = RepeatedError(log, "Unexpected: a request failed")

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """Log ``error``, and answer 500 unless the response has begun."""
        path = exchange.path.decode(errors="replace")
        self._log.report(error, method=exchange.head.method, path=path)
        exchange.fail()


def _chunk(body: bytes, more: bool) -> bytes:
    """A part of a body in the chunked coding; the last one says so."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk if more else chunk + b"0\r\n\r\n"
