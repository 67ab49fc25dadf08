"""One request and its answer, for ports that are asked every few seconds: a probe, a scrape.

A protocol of its own rather than the API's HTTP stack, which would make the daemon 12 MB larger. One request
a connection, headers are not looked at. Imported when the event loop is there, as all that needs asyncio.
"""

from __future__ import annotations

from asyncio import Future, Protocol
from typing import TYPE_CHECKING, Final, NamedTuple, cast

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, BaseTransport, TimerHandle, Transport
    from collections.abc import Callable, Mapping

#: Bytes of a request line with all headers.
LARGEST_HEAD: Final = 8 * 1024
#: How long a client may take to send them, in seconds.
REQUEST_TAKES_S: Final = 5.0
#: How long the answer may take from then on, until the client has it, in seconds.
ANSWER_TAKES_S: Final = 30.0
#: Connections at the same time; one more is closed.
MOST_PROBES: Final = 256

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_END_OF_HEAD: Final = (b"\r\n\r\n", b"\n\n")


class Answer(NamedTuple):
    """What a path answers."""

    status: int
    body: bytes
    content_type: str = "application/json"


if TYPE_CHECKING:
    #: The paths of a port, each with what answers it: at once, or when it is ready.
    Paths = Mapping[bytes, Callable[[], Answer | Future[Answer]]]


class Probe(Protocol):
    """One request of one connection. ``probes`` is all there are."""

    def __init__(self, loop: AbstractEventLoop, paths: Paths, probes: set[Probe]) -> None:
        self._loop = loop
        self._paths = paths
        self._probes = probes
        self._transport: Transport | None = None
        self._timer: TimerHandle | None = None
        self._head = b""
        self._asked = False

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self._probes.add(self)
        self._limit(REQUEST_TAKES_S)
        if len(self._probes) > MOST_PROBES:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._probes.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._asked:
            return  # a body, or a second request: neither is read
        self._head += data
        if any(end in self._head for end in _END_OF_HEAD):
            self._answer()
        elif len(self._head) > LARGEST_HEAD:
            self._send(Answer(400, b'{"error":"the request is too large"}'))

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for the answer."""
        return self._asked

    def abort(self) -> None:
        """End the connection, answered or not."""
        if self._transport is not None:
            self._transport.abort()

    def _limit(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.abort)

    def _answer(self) -> None:
        self._asked = True
        self._limit(ANSWER_TAKES_S)
        method, found = _asked_for(self._head, self._paths)
        with_body = method != b"HEAD"
        answer = found if isinstance(found, Answer) else found()
        if isinstance(answer, Future):
            answer.add_done_callback(lambda done: self._ready(done, with_body=with_body))
        else:
            self._send(answer, with_body=with_body)

    def _ready(self, done: Future[Answer], *, with_body: bool) -> None:
        if done.cancelled():
            self.abort()
        else:
            self._send(done.result(), with_body=with_body)

    def _send(self, answer: Answer, *, with_body: bool = True) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._asked = True
        allow = "allow: GET, HEAD\r\n" if answer.status == 405 else ""
        head = (
            f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\n"
            f"content-type: {answer.content_type}\r\n{allow}"
            f"cache-control: no-store\r\ncontent-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + (answer.body if with_body else b""))
        self._transport.close()


def _asked_for(head: bytes, paths: Paths) -> tuple[bytes, Answer | Callable[[], Answer | Future[Answer]]]:
    """The method of a request, and who answers it, or the refusal."""
    method, _, rest = head.partition(b"\n")[0].strip().partition(b" ")
    target, _, version = rest.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        return b"", Answer(400, b'{"error":"this is not HTTP/1.1"}')
    found = paths.get(target.partition(b"?")[0])
    if found is None:
        return method, Answer(404, b'{"error":"not found"}')
    if method not in (b"GET", b"HEAD"):
        return method, Answer(405, b'{"error":"method not allowed"}')
    return method, found
