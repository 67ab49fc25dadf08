"""Answers requests without an application, for ports that are asked every few seconds: a probe, a scrape."""

from __future__ import annotations

from asyncio import Future
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.api.http.exchange import RequestFailures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.logs.daemon import DaemonLog


class PlainReply(NamedTuple):
    """What a path answers."""

    status: int
    body: bytes
    content_type: str = "application/json"


if TYPE_CHECKING:
    #: The paths of a port, each with the function that answers it: at once, or when it is ready.
    PlainPaths = Mapping[bytes, Callable[[], PlainReply | Future[PlainReply]]]
    #: The same for paths whose answer depends on the header Accept, which is given.
    AcceptingPaths = Mapping[bytes, Callable[[bytes], PlainReply | Future[PlainReply]]]

_NOT_FOUND: Final = PlainReply(404, b'{"error":"not found"}')
_WRONG_METHOD: Final = PlainReply(405, b'{"error":"method not allowed"}')


class PlainHandler:
    """Answers GET and HEAD of ``paths`` and of ``accepting``. An error of one of them is logged, and answered
    with 500."""

    def __init__(self, paths: PlainPaths, log: DaemonLog, accepting: AcceptingPaths | None = None) -> None:
        self._paths = paths
        self._accepting = accepting or {}
        self._failures = RequestFailures(log)

    def __call__(self, exchange: Exchange) -> None:
        answer, accepting = self._paths.get(exchange.path), self._accepting.get(exchange.path)
        if answer is None and accepting is None:
            _send(exchange, _NOT_FOUND)
        elif exchange.head.method not in ("GET", "HEAD"):
            _send(exchange, _WRONG_METHOD)
        else:
            try:
                if accepting is not None:
                    accepts = [value for name, value in exchange.head.headers if name == b"accept"]
                    reply = accepting(b",".join(accepts))
                else:
                    assert answer is not None
                    reply = answer()
            except Exception as error:  # noqa: BLE001  # of one request
                self._failures.failed(exchange, error)
                return
            if isinstance(reply, Future):
                reply.add_done_callback(lambda done: self._ready(exchange, done))
            else:
                _send(exchange, reply)

    def _ready(self, exchange: Exchange, done: Future[PlainReply]) -> None:
        if done.cancelled():
            exchange.fail()
        elif (error := done.exception()) is not None:
            self._failures.failed(exchange, error)
        else:
            _send(exchange, done.result())


def _send(exchange: Exchange, reply: PlainReply) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"cache-control", b"no-store"),
    ]
    if reply.status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    exchange.respond(reply.status, headers, reply.body)
