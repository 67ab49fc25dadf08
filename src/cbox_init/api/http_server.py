"""Serves an application on a socket that is bound already.

uvicorn's own server looks ten times a second whether it should end, and wants the signals. Its protocol and
its configuration are all that is needed of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from uvicorn.config import Config

from cbox_init.api.connection import Connection, Connections
from cbox_init.api.listeners import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from starlette.types import ASGIApp

    from cbox_init.api.traffic import Traffic

#: How long a connection may be silent between two requests, in seconds.
_KEEP_ALIVE_S: Final = 30


class HttpServer:
    """One application, on one or more listening sockets. What it is asked counts as ``traffic``."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._config = Config(
            app,
            lifespan="off",
            ws="none",
            interface="asgi3",
            log_config=None,
            log_level="error",  # what is wrong with a client's request is told to the client
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            workers=1,  # else WEB_CONCURRENCY of the container would be read, and may not be a number
        )
        self._config.load()
        self._connections = Connections()
        traffic.enter(self._connections)
        self._servers: list[asyncio.Server] = []

    async def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        for listener in listeners:
            server = await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)
            self._servers.append(server)

    async def close(self, timeout_s: float) -> None:
        """Accept no more, and end the connections; those that are busy get ``timeout_s``."""
        for server in self._servers:
            server.close()
        await self._connections.close(timeout_s)

    def _connection(self) -> Connection:
        return Connection(self._config, self._connections)
