"""Wires the parts of the API that take time and memory to import."""

from __future__ import annotations

import logging
from asyncio import gather, get_running_loop
from typing import TYPE_CHECKING, Final

from cbox_init.api.app import build_app, guarded
from cbox_init.api.authentication import AuthenticateSocket, Credentials
from cbox_init.api.context import Context, Traffic
from cbox_init.api.http.asgi import AsgiHandler
from cbox_init.api.http.budget import MemoryBudget
from cbox_init.api.http.limits import API_LIMITS, SOCKET_LIMITS, configured
from cbox_init.api.http.places import is_this_machine
from cbox_init.api.http.server import HttpServer
from cbox_init.api.pages import Pages, WithPages
from cbox_init.api.waiting import Streams
from cbox_init.container import read_capacity
from cbox_init.logs.stdlib import forward_logging
from cbox_init.system.procfs import read_figures
from cbox_init.telemetry.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from starlette.types import ASGIApp

    from cbox_init.api.http.access import Access
    from cbox_init.api.listeners import Listeners
    from cbox_init.audit.trail import AuditTrail
    from cbox_init.build import DaemonParts
    from cbox_init.config.model import AclConfig, GlobalConfig
    from cbox_init.telemetry.vitals import Vitals

_LOGGERS: Final = ("asyncio",)


class Stack:
    """One application on two servers: the Unix socket, and TCP with access list, rate limit and token."""

    def __init__(
        self,
        parts: DaemonParts,
        settings: GlobalConfig,
        vitals: Vitals,
        tls: Callable[[], SSLContext] | None = None,
    ) -> None:
        self._figures = Figures(read_figures, read_capacity().memory)
        self._streams = Streams()
        traffic = Traffic()
        log = parts.logs.daemon
        supervisor = parts.supervisor
        self._credentials = Credentials(lambda: supervisor.config.global_, log)
        context = Context(parts, self._figures, self._streams, vitals, traffic, self._credentials)
        app = build_app(context, most_body_bytes=settings.api_max_request_body)
        audit = parts.runtime.audit
        if audit is not None:
            from cbox_init.api.auditing import RecordRequests

            app = RecordRequests(app, audit)
        pages = Pages(self._credentials.current, log)
        unix_app: ASGIApp = WithPages(AuthenticateSocket(app, self._credentials), pages)
        tcp_app = guarded(app, settings, self._credentials, pages)
        if audit is not None:
            from cbox_init.api.auditing import RecordRefusals

            unix_app, tcp_app = RecordRefusals(unix_app, audit), RecordRefusals(tcp_app, audit)
        self._handlers = AsgiHandler(unix_app, log), AsgiHandler(tcp_app, log)
        loop, (unix, tcp) = get_running_loop(), self._handlers
        memory = MemoryBudget(settings.api_memory_budget)
        access = _access(tcp, settings.api_acl, audit)
        self._unix = HttpServer(loop, unix, configured(SOCKET_LIMITS, settings), log, memory=memory)
        self._tcp = HttpServer(
            loop,
            access or tcp,
            configured(API_LIMITS, settings),
            log,
            tls,
            access.trusts if access else is_this_machine,
            memory,
        )
        if audit is not None:
            self._tcp.on_handshake_failed = audit.failed_handshake("api")
        traffic.enter(self._unix)
        traffic.enter(self._tcp)
        # Last: after a failure another stack is made, and this one is not closed.
        self._logging_handler = forward_logging(log, _LOGGERS)

    def serve(self, listeners: Listeners) -> None:
        """Accept connections from now on."""
        self._unix.serve((listeners.unix.listener,) if listeners.unix else ())
        if listeners.tcp_open:
            self.serve_tcp(listeners)

    def serve_tcp(self, listeners: Listeners) -> None:
        """Accept connections on the TCP port."""
        self._tcp.serve(listeners.tcp)

    def distrust_certificates(self) -> None:
        """Have clients show their certificates again."""
        self._tcp.distrust_certificates()

    async def close(self, timeout_s: float) -> None:
        """Accept no more; streams end at once, other requests within ``timeout_s``."""
        self._streams.end()
        await gather(self._unix.close(timeout_s), self._tcp.close(timeout_s))
        await gather(*(handler.close() for handler in self._handlers))
        await self._credentials.close()
        self._figures.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._logging_handler)


def _access(handler: AsgiHandler, acl: AclConfig | None, audit: AuditTrail | None) -> Access | None:
    if acl is None or not acl.enabled:
        return None
    from cbox_init.api.http.access import Access

    return Access(handler, acl, audit.denied_by_acl("api") if audit is not None else None)
