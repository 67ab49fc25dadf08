"""One probe: a request and its answer.

Imported when the event loop is there, like everything that needs asyncio.
"""

from __future__ import annotations

from asyncio import Protocol
from typing import TYPE_CHECKING, Final, cast

import msgspec

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, BaseTransport, TimerHandle, Transport

    from cbox_init.supervisor.readiness import Readiness

#: Bytes of a request line with all headers.
LARGEST_HEAD: Final = 8 * 1024
#: How long a client may take to send them and to take the answer, in seconds.
REQUEST_TAKES_S: Final = 5.0
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


class Probe(Protocol):
    """One request of one connection. ``probes`` is all there are."""

    def __init__(self, loop: AbstractEventLoop, readiness: Readiness, probes: set[Probe]) -> None:
        self._loop = loop
        self._readiness = readiness
        self._probes = probes
        self._transport: Transport | None = None
        self._timer: TimerHandle | None = None
        self._head = b""
        self._answered = False

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self._probes.add(self)
        self._timer = self._loop.call_later(REQUEST_TAKES_S, self.abort)
        if len(self._probes) > MOST_PROBES:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._probes.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return  # a body, or a second request: neither is read
        self._head += data
        if any(end in self._head for end in _END_OF_HEAD):
            self._answer(*answer(self._head, self._readiness))
        elif len(self._head) > LARGEST_HEAD:
            self._answer(400, b'{"error":"the request is too large"}', True)

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for the answer."""
        return self._answered

    def abort(self) -> None:
        """End the connection, answered or not."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, status: int, body: bytes, with_body: bool) -> None:
        assert self._transport is not None
        self._answered = True
        allow = "allow: GET, HEAD\r\n" if status == 405 else ""
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n{allow}"
            f"cache-control: no-store\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + (body if with_body else b""))
        self._transport.close()


def answer(head: bytes, readiness: Readiness) -> tuple[int, bytes, bool]:
    """The status and body for a request, and whether the body is sent."""
    method, _, rest = head.partition(b"\n")[0].strip().partition(b" ")
    target, _, version = rest.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        return 400, b'{"error":"this is not HTTP/1.1"}', True
    with_body = method != b"HEAD"
    path = target.partition(b"?")[0]
    if path not in (b"/readyz", b"/livez"):
        return 404, b'{"error":"not found"}', with_body
    if method not in (b"GET", b"HEAD"):
        return 405, b'{"error":"method not allowed"}', True
    if path == b"/livez":
        return 200, b'{"status":"alive"}', with_body
    report = readiness.report()
    return 200 if report.ready else 503, msgspec.json.encode(report), with_body
