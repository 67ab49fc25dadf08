"""Readers of a stream of events, all in one thread, which notes when each event came."""

import json
import selectors
import socket
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Self

from bench.errors import BenchError
from bench.peers.base import Request

_TIMEOUT_S = 30.0
_BLOCK = 1 << 16
_DATA = b"data: "
#: The least that Linux gives: what a reader does not read stays in the daemon.
_SMALL_BUFFER = 2304


class EventReaders:
    """A number of connections. Those that ``read`` are read from until the context is left.

    ``delays_ms`` has the time from each event, by its own time, until each reader had it.
    """

    def __init__(self, request: Request, count: int, *, read: bool = True) -> None:
        self._request = request
        self._count = count
        self._reads = read
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._read)
        self._stop_here, self._stop_there = socket.socketpair()
        self._blocks: list[tuple[int, bytes]] = []
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._selector.register(self._stop_there, selectors.EVENT_READ)
        try:
            for _ in range(self._count):
                connection = self._connect()
                self._connections.append(connection)
                if self._reads:
                    self._selector.register(connection, selectors.EVENT_READ)
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_here.send(b".")
        self._thread.join()
        self._close()

    @property
    def blocks(self) -> int:
        """How many blocks were read; a message is in one or several."""
        return len(self._blocks)

    @property
    def delays_ms(self) -> list[float]:
        found = []
        for came_ns, block in tuple(self._blocks):
            for line in block.split(b"\n"):
                if line.startswith(_DATA):
                    event = json.loads(line.removeprefix(_DATA))
                    found.append((came_ns - _unix_ns(event["timestamp"])) / 1e6)
        return found

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        if not self._reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        connection.settimeout(_TIMEOUT_S)
        connection.connect(("127.0.0.1", self._request.port))
        connection.sendall(f"GET {self._request.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = connection.recv(_BLOCK)
        if not answer.startswith(b"HTTP/1.1 200"):
            connection.close()
            raise BenchError(f"GET {self._request.path} was answered with {answer[:40]!r}")
        return connection

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._stop_there:
                    return
                assert isinstance(key.fileobj, socket.socket)
                block = key.fileobj.recv(_BLOCK)
                if not block:
                    self._selector.unregister(key.fileobj)
                    continue
                # Taken apart afterwards: that would delay the next ones. A message is in one block, but for
                # a few, which do not count.
                self._blocks.append((time.time_ns(), block))

    def _close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._selector.close()
        self._stop_here.close()
        self._stop_there.close()


def _unix_ns(timestamp: str) -> int:
    second, _, rest = timestamp.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(second + "+00:00").timestamp()) * 1_000_000_000 + int(
        rest.ljust(9, "0")
    )
