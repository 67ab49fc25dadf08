"""The port with ``/readyz`` and ``/livez``, for probes of the container every few seconds.

It works without Starlette, which would make every container that is probed 11 MB larger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.listeners import BACKLOG, bind_tcp, enabled, url

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop

    from cbox_init.api.http.server import HttpServer
    from cbox_init.api.tls import ListenerTls
    from cbox_init.audit.trail import AuditTrail
    from cbox_init.config.model import GlobalConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.lifecycle.readiness import Readiness
    from cbox_init.telemetry.vitals import Vitals


class ReadyzServer:
    """Owns its sockets, which are bound at the start; answers after ``serve``."""

    def __init__(self, settings: GlobalConfig, listeners: tuple[socket.socket, ...]) -> None:
        self._settings = settings
        self._listeners = listeners
        assert settings.readiness is not None
        self._tls_config = enabled(settings.readiness.http_tls)
        self._tls: ListenerTls | None = None
        self._server: HttpServer | None = None

    @classmethod
    def bind(cls, settings: GlobalConfig) -> ReadyzServer | None:
        """Open the port that ``settings`` ask for, if any. Raises ListenError."""
        readiness = settings.readiness
        if readiness is None or not readiness.enabled or not readiness.http_port:
            return None
        keys = "global.readiness.http_host", "global.readiness.http_port"
        listen = enabled(readiness.http_tls) is None
        return cls(settings, bind_tcp(readiness.http_host, readiness.http_port, *keys, listen=listen))

    def addresses(self) -> tuple[str, ...]:
        """The URLs of the port, for messages; none while the certificate is not read."""
        return self._urls() if self._tls_config is None else ()

    def _urls(self) -> tuple[str, ...]:
        tls = self._tls_config is not None
        return tuple(url(listener, tls=tls) for listener in self._listeners)

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

        from cbox_init.api.http.limits import PROBE_LIMITS, configured
        from cbox_init.api.http.plain import PlainHandler, PlainReply
        from cbox_init.api.http.server import HttpServer

        def readyz() -> PlainReply:
            report = readiness.report()
            return PlainReply(200 if report.ready else 503, encode(report))

        paths = {b"/readyz": readyz, b"/livez": lambda: PlainReply(200, b'{"status":"alive"}')}
        limits = configured(PROBE_LIMITS, self._settings)
        if self._tls_config is None:
            self._server = HttpServer(loop, PlainHandler(paths, log), limits, log)
            self._server.serve(self._listeners)
            return
        from cbox_init.api.tls import ListenerTls

        def opened() -> None:
            assert self._server
            for listener in self._listeners:
                listener.listen(BACKLOG)
            self._server.serve(self._listeners)
            for address in self._urls():
                log.info("Readiness listening", address=address)

        self._tls = ListenerTls(
            self._tls_config,
            "global.readiness.http_tls",
            "The readiness port is not opened",
            log,
            opened,
            lambda unix: vitals.expires("readiness", unix),
        )
        self._server = HttpServer(loop, PlainHandler(paths, log), limits, log, self._tls.context)
        if audit is not None:
            self._server.on_handshake_failed = audit.failed_handshake("readiness")
        self._tls.start(loop)

    async def close(self) -> None:
        """Stop answering and close the sockets."""
        if self._tls is not None:
            await self._tls.close()
        self.release()

    def release(self) -> None:
        """Close the sockets and all connections."""
        if self._server is not None:
            self._server.abort()
        for listener in self._listeners:
            listener.close()
