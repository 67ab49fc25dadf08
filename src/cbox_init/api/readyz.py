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
    from cbox_init.config.model import ReadinessConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.lifecycle.readiness import Readiness


class ReadyzServer:
    """Owns its sockets, which are bound at the start; answers after ``serve``."""

    def __init__(self, listeners: tuple[socket.socket, ...]) -> None:
        self._listeners = listeners
        self._server: HttpServer | None = None

    @classmethod
    def bind(cls, settings: ReadinessConfig | None) -> ReadyzServer | None:
        """Open the port that ``settings`` ask for, if any. Raises ListenError."""
        if settings is None or not settings.enabled or not settings.http_port:
            return None
        setting = "global.readiness.http"
        return cls(bind_tcp(settings.http_host, settings.http_port, f"{setting}_host", f"{setting}_port"))

    def addresses(self) -> tuple[str, ...]:
        """The URLs of the port, for messages."""
        return tuple(map(url, self._listeners))

    async def serve(self, loop: AbstractEventLoop, readiness: Readiness, log: DaemonLog) -> None:
        """Answer from now on, in ``loop``."""
        from msgspec.json import encode

        from cbox_init.api.http.limits import PROBE_LIMITS
        from cbox_init.api.http.plain import PlainHandler, PlainReply
        from cbox_init.api.http.server import HttpServer

        def readyz() -> PlainReply:
            report = readiness.report()
            return PlainReply(200 if report.ready else 503, encode(report))

        paths = {b"/readyz": readyz, b"/livez": lambda: PlainReply(200, b'{"status":"alive"}')}
        self._server = HttpServer(loop, PlainHandler(paths, log), PROBE_LIMITS, log)
        self._server.serve(self._listeners)

    def close(self) -> None:
        """Stop answering and close the sockets."""
        if self._server is not None:
            self._server.abort()
        for listener in self._listeners:
            listener.close()
