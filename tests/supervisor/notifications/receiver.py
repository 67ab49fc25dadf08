"""A real HTTP server that takes messages: it answers, fails, hangs, redirects or goes on for ever."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.supervisor.house import DEADLINE_S

#: What a server may answer: a status, headers with it, or a word for something worse.
Answer = int | str | tuple[int, dict[str, str], str]


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Receiver:
    """``answers`` has for each path a list of answers, the last for good; 200 by default."""

    def __init__(self) -> None:
        self.got: list[Received] = []
        self.answers: dict[str, list[Answer]] = {}
        self.over = threading.Event()
        """Set at the end: what hangs goes on then."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Received(self.path, headers, body))
                todo = receiver.answers.get(self.path, [200])
                receiver.answer(self, todo.pop(0) if len(todo) > 1 else todo[0])

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # whoever gives up a request closes its connection

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, to: BaseHTTPRequestHandler, what: Answer) -> None:
        if isinstance(what, tuple):
            status, headers, body = what
            to.send_response(status)
            for name, value in headers.items():
                to.send_header(name, value)
            to.end_headers()
            to.wfile.write(body.encode())
        elif what == "hang":
            self.over.wait(DEADLINE_S)
        elif what == "drip":
            to.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not self.over.wait(0.01):
                to.wfile.write(b"x")
        elif what == "endless":
            to.send_response(500)
            to.end_headers()
            while not self.over.is_set():
                to.wfile.write(b"x" * 65_536)
        else:
            assert isinstance(what, int)
            to.send_response(what)
            to.end_headers()

    def paths(self) -> list[str]:
        return [one.path for one in self.got]

    def kinds(self, path: str) -> list[str]:
        """The kinds of the events that have come as plain JSON."""
        return [one.json["kind"] for one in self.got if one.path == path]

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
