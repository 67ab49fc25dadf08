"""Readers of a stream of server-sent events, all in one thread, which only counts."""

import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from bench.errors import BenchError
from bench.peers.base import Request

_TIMEOUT_S = 30.0
_BLOCK = 1 << 16
_EVENT = b"event: log\n"


class Readers:
    """So many connections, each read from until the context is left."""

    def __init__(self, request: Request, count: int) -> None:
        self._request = request
        self._count = count
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._read)
        self._stop_here, self._stop_there = socket.socketpair()
        self.lines = 0

    def __enter__(self) -> Self:
        self._selector.register(self._stop_there, selectors.EVENT_READ)
        try:
            for _ in range(self._count):
                connection = self._connect()
                self._selector.register(connection, selectors.EVENT_READ, Tally())
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

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._request.port), _TIMEOUT_S)
        connection.sendall(f"GET {self._request.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        # The answer's head comes at once; no event can be in this first block, as nobody writes yet.
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
                    key.fileobj.close()
                    continue
                self.lines += key.data.take(block)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        self._stop_here.close()
        self._stop_there.close()


class Tally:
    """Counts events in blocks that may end anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, block: bytes) -> int:
        """Return how many events have begun, with `block`, that had not before."""
        data = self._rest + block
        # Less than a whole mark is kept, so that none counts twice.
        self._rest = data[-(len(_EVENT) - 1) :]
        return data.count(_EVENT)
