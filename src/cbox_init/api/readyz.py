"""The port with ``/readyz`` and ``/livez``, for probes of the container every few seconds.

It works without Starlette, which would make every container that is probed 11 MB larger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.listeners import bind_tcp, enabled
from cbox_init.api.tcp_port import TcpPort

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop

    from cbox_init.audit.trail import AuditTrail
    from cbox_init.config.model import GlobalConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.lifecycle.readiness import Readiness
    from cbox_init.telemetry.vitals import Vitals


class ReadyzServer(TcpPort):
    """The port; answers after ``serve``."""

    def __init__(self, settings: GlobalConfig, listeners: tuple[socket.socket, ...]) -> None:
        assert settings.readiness is not None
        super().__init__(
            "readiness",
            listeners,
            tls=enabled(settings.readiness.http_tls),
            key="global.readiness.http_tls",
            closed="The readiness port is not opened",
        )
        self._settings = settings

    @classmethod
    def bind(cls, settings: GlobalConfig) -> ReadyzServer | None:
        """Open the port that ``settings`` ask for, if any. Raises ListenError."""
        readiness = settings.readiness
        if readiness is None or not readiness.enabled or not readiness.http_port:
            return None
        keys = "global.readiness.http_host", "global.readiness.http_port"
        listen = enabled(readiness.http_tls) is None
        return cls(settings, bind_tcp(readiness.http_host, readiness.http_port, *keys, listen=listen))

    async def serve(
        self,
        loop: AbstractEventLoop,
        readiness: Readiness,
        log: DaemonLog,
        vitals: Vitals,
        audit: AuditTrail | None = None,
    ) -> None:
        """Answer from now on, in ``loop``."""
        from msgspec.json import encode

        from cbox_init.api.http.plain import PlainHandler, PlainReply

        def readyz() -> PlainReply:
            report = readiness.report()
            return PlainReply(200 if report.ready else 503, encode(report))

        paths = {b"/readyz": readyz, b"/livez": lambda: PlainReply(200, b'{"status":"alive"}')}
        self._serve(loop, PlainHandler(paths, log), self._settings, log, vitals, audit)
