"""The port with ``/readyz`` and ``/livez``, for probes of the container every few seconds.

It works without Starlette, which would make every container that is probed 11 MB larger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.listeners import bind_tcp, url

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop

    from cbox_init.api.http.server import HttpServer
    from cbox_init.config.model import GlobalConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.lifecycle.readiness import Readiness


class ReadyzServer:
    """Owns its sockets, which are bound at the start; answers after ``serve``."""

    def __init__(self, settings: GlobalConfig, listeners: tuple[socket.socket, ...]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._server: HttpServer | None = None

    @classmethod
    def bind(cls, settings: GlobalConfig) -> ReadyzServer | None:
        """Open the port that ``settings`` ask for, if any. Raises ListenError."""
        readiness = settings.readiness
        if readiness is None or not readiness.enabled or not readiness.http_port:
            return None
        keys = "global.readiness.http_host", "global.readiness.http_port"
        return cls(settings, bind_tcp(readiness.http_host, readiness.http_port, *keys))

    def addresses(self) -> tuple[str, ...]:
        """The URLs of the port, for messages."""
        return tuple(map(url, self._listeners))

    async def serve(self, loop: AbstractEventLoop, readiness: Readiness, log: DaemonLog) -> None:
        """Answer from now on, in ``loop``."""
        from msgspec.json import encode

        from cbox_init.api.http.limits import PROBE_LIMITS, configured
        from cbox_init.api.http.plain import PlainHandler, PlainReply
        from cbox_init.api.http.server import HttpServer

        def readyz() -> PlainReply:
            report = readiness.report()
            return PlainReply(200 if report.ready else 503, encode(report))

        paths = {b"/readyz": readyz, b"/livez": lambda: PlainReply(200, b'{"status":"alive"}')}
        limits = configured(PROBE_LIMITS, self._settings)
        self._server = HttpServer(loop, PlainHandler(paths, log), limits, log)
        self._server.serve(self._listeners)

    def close(self) -> None:
        """Stop answering and close the sockets."""
        if self._server is not None:
            self._server.abort()
        for listener in self._listeners:
            listener.close()
