"""A small real HTTP server in place of the daemon: on a Unix socket or on TCP, well behaved or not."""

from __future__ import annotations

import socketserver
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cbox_init.api.schemas import (
    ApiVitals,
    CountsVitals,
    DaemonEntry,
    InstanceEntry,
    LogEntry,
    LogVitals,
    LoopVitals,
    ProcessEntry,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


class Sent(NamedTuple):
    """A request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """An answer; ``reply`` is encoded as JSON unless it is bytes, ``chunks`` is a stream in place of it."""

    reply: object = b""
    status: int = 200
    content_type: str = "application/json"
    chunks: tuple[bytes, ...] | None = None
    complete: bool = True


class FakeDaemon:
    """Answers what ``answers`` says for "METHOD /path"; a list is given out one by one, the last for good.

    ``any_query``: the query does not count.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.sent: list[Sent] = []
        self.any_query = False

    def answer(self, sent: Sent) -> Answer:
        self.sent.append(sent)
        path = sent.path.partition("?")[0] if self.any_query else sent.path
        found = self.answers.get(f"{sent.method} {path}", Answer({"error": "not found"}, 404))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found


@contextmanager
def fake_daemon(path: str | None = None) -> Iterator[FakeDaemon]:
    """A fake daemon on the Unix socket ``path``, or on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = daemon.answer(Sent(self.command, self.path, headers, self.rfile.read(length)))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            if answer.chunks is None:
                body = answer.reply if isinstance(answer.reply, bytes) else msgspec.json.encode(answer.reply)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in answer.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            if answer.complete:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def address_string(self) -> str:
            return "client"

        def log_message(self, *_: object) -> None: ...

    with _serving(path, Handler) as address:
        daemon = FakeDaemon("http://localhost" if path else f"http://127.0.0.1:{address[1]}")
        yield daemon


@contextmanager
def raw_server(path: str, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """A Unix socket on which each connection is handed to ``behave``, and closed when that returns."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            behave(self.request)

    with _serving(path, Handler):
        yield


class _Server(socketserver.BaseServer):
    """Does not report that a client has left early."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _TcpServer(_Server, socketserver.ThreadingTCPServer): ...


class _UnixServer(_Server, socketserver.ThreadingUnixStreamServer): ...


@contextmanager
def _serving(path: str | None, handler: type[socketserver.BaseRequestHandler]) -> Iterator[tuple[str, int]]:
    """A server in a thread, until the end of the ``with``; gives its address on TCP."""
    server: _TcpServer | _UnixServer
    server = _TcpServer(("127.0.0.1", 0), handler) if path is None else _UnixServer(path, handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        try:
            yield ("127.0.0.1", server.socket.getsockname()[1] if path is None else 0)
        finally:
            server.shutdown()
            thread.join()


def instance(index: int = 0, state: str = "running", **values: object) -> InstanceEntry:
    """An instance of ``web`` as the list shows it."""
    alive = state in ("running", "stopping")
    base = {
        "id": f"web-{index}",
        "state": state,
        "pid": 1000 + index if alive else 0,
        "started_at": 1_700_000_000,
        "restart_count": 0,
        "cpu_percent": 0.5,
        "memory_rss_bytes": 1_048_576,
        "memory_percent": 0.1,
    }
    return msgspec.convert({**base, **values}, InstanceEntry)


def process(*instances: InstanceEntry, **values: object) -> ProcessEntry:
    """A process as the list shows it: ``web``, running, wanted as it is."""
    base = {
        "name": "web",
        "type": "longrun",
        "state": "running",
        "scale": len(instances),
        "desired_scale": len(instances),
        "max_scale": 0,
        "cpu_percent": 1.0,
        "memory_rss_bytes": 2_097_152,
        "memory_percent": 0.2,
        "wanted": True,
        "instances": msgspec.to_builtins(instances),
    }
    return msgspec.convert({**base, **values}, ProcessEntry)


def listed(*entries: ProcessEntry) -> Answer:
    """The answer to a call for the list."""
    return Answer({"processes": entries})


def line(message: str, number: int = 0, **values: str) -> LogEntry:
    """A line of ``web``'s log; ``number`` orders them in time."""
    base = {
        "timestamp": f"2026-11-24T09:08:03.{number:09d}Z",
        "process": "web",
        "instance": "web-0",
        "stream": "stdout",
        "level": "info",
        "message": message,
    }
    return msgspec.convert({**base, **values}, LogEntry)


def event(entry: LogEntry) -> bytes:
    """A line as the stream sends it."""
    return b"event: log\ndata: " + msgspec.json.encode(entry) + b"\n\n"


def daemon_entry() -> DaemonEntry:
    """What a daemon says of itself after a little more than an hour."""
    return DaemonEntry(
        version="0.1.0",
        python_version="3.11.7",
        pid=1,
        config="/etc/cbox-init/cbox-init.yaml",
        started_at=1_700_000_000,
        uptime_seconds=3905.4,
        cpu_seconds=3.21,
        memory_rss_bytes=36 * 2**20,
        memory_peak_bytes=40 * 2**20,
        threads=2,
        file_descriptors=42,
        max_file_descriptors=1024,
        loop=LoopVitals(lag_p50_ms=0.2, lag_p99_ms=1.2, lag_max_ms=5.31, turns=1234),
        counts=CountsVitals(
            processes=5, instances=12, running=11, failed=1, restarts=7, scheduled=2, runs=40
        ),
        log=LogVitals(
            queued_bytes=12,
            written_records=1000,
            dropped_records=0,
            backed_up=False,
            subscribers=0,
            unread_bytes=0,
        ),
        api=ApiVitals(requests=3, connections=1),
    )
