"""Servers on ports of their own, and the applications that tests put behind them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from cbox_init.api.http.connection import Connection
from cbox_init.api.http.limits import API_LIMITS
from cbox_init.api.http.places import is_this_machine
from cbox_init.api.http.server import HttpServer
from cbox_init.logs.daemon import DaemonLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.api.http.exchange import Exchange

DEADLINE_S = 20


class Log(DaemonLog):
    """What was logged: the message with its fields."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def error(self, message: str, **fields: Any) -> None:
        self.said.append((message, fields))


class Running:
    """A server on a port of its own."""

    def __init__(
        self,
        handler: Callable[[Exchange], None],
        log: Log,
        tls: Callable[[], ssl.SSLContext] | None = None,
        exempt: Callable[[str], bool] = is_this_machine,
        **limits: Any,
    ) -> None:
        self.log = log
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self.server = HttpServer(loop, handler, replace(API_LIMITS, **limits), log, tls, exempt)
        self.server.serve((self.listener,))

    @property
    def connections(self) -> list[Connection]:
        """Those that the server has."""
        return [one for one in self.server._connections.all if isinstance(one, Connection)]

    async def connect(self, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.listener.getsockname(), **more)

    async def raw(self, data: bytes, *, eof: bool = False) -> bytes:
        """What comes back until the server ends the connection."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            if eof:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), DEADLINE_S)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)


class Run(Protocol):
    def __call__(self, app: ASGIApp, **limits: Any) -> Running: ...


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body of the request."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    await send({"type": "http.response.body", "body": body})


def streaming(pieces: int, size: int = 10) -> ASGIApp:
    """Answers with a body of unknown length."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def closing(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)


def get(path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
