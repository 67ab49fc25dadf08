"""A TCP port beside that of the API: its sockets, its certificate, and the server on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cbox_init.api.listeners import BACKLOG, url

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.api.http.server import HttpServer
    from cbox_init.api.tls import ListenerTls
    from cbox_init.audit.trail import AuditTrail
    from cbox_init.config.model import GlobalConfig, TlsConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.telemetry.vitals import Vitals


class TcpPort:
    """Owns its sockets, which are bound at the start. ``name`` is such as ``metrics``.

    With the section ``tls``, at ``key`` of the configuration, nothing is accepted until its certificate is
    read; while it cannot be, the log says ``closed``. ``path`` is that of the URLs.
    """

    def __init__(
        self,
        name: str,
        listeners: tuple[socket.socket, ...],
        *,
        tls: TlsConfig | None,
        key: str,
        closed: str,
        path: str = "",
    ) -> None:
        self._name = name
        self._listeners = listeners
        self._tls_config = tls
        self._key = key
        self._closed = closed
        self._path = path
        self._tls: ListenerTls | None = None
        self._server: HttpServer | None = None

    def addresses(self) -> tuple[str, ...]:
        """The URLs of the port, for messages; none while the certificate is not read."""
        return self._urls() if self._tls_config is None else ()

    def _serve(
        self,
        loop: AbstractEventLoop,
        handler: Callable[[Exchange], None],
        settings: GlobalConfig,
        log: DaemonLog,
        vitals: Vitals,
        audit: AuditTrail | None,
        exempt: Callable[[str], bool] | None = None,
    ) -> None:
        """Answer from now on. ``exempt`` are addresses that `HttpServer` limits less, by default this
        machine's.
        """
        from cbox_init.api.http.limits import PROBE_LIMITS, configured
        from cbox_init.api.http.places import is_this_machine
        from cbox_init.api.http.server import HttpServer

        limits, exempt = configured(PROBE_LIMITS, settings), exempt or is_this_machine
        if self._tls_config is None:
            self._server = HttpServer(loop, handler, limits, log, exempt=exempt)
            self._server.serve(self._listeners)
            return
        from cbox_init.api.tls import ListenerTls

        expires = partial(vitals.expires, self._name)
        opened = partial(self._open, log)
        tls = self._tls = ListenerTls(
            self._tls_config, self._key, self._closed, log, opened, expires, self._distrust
        )
        self._server = HttpServer(loop, handler, limits, log, tls.context, exempt)
        if audit is not None:
            self._server.on_handshake_failed = audit.failed_handshake(self._name)
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

    def _distrust(self) -> None:
        if self._server is not None:
            self._server.distrust_certificates()

    def _open(self, log: DaemonLog) -> None:
        """The certificate is read: accept connections."""
        assert self._server
        for listener in self._listeners:
            listener.listen(BACKLOG)
        self._server.serve(self._listeners)
        for address in self._urls():
            log.info(f"{self._name.capitalize()} listening", address=address)

    def _urls(self) -> tuple[str, ...]:
        tls = self._tls_config is not None
        return tuple(f"{url(listener, tls=tls)}{self._path}" for listener in self._listeners)
