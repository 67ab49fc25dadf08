"""The port of the metrics: bound at the start, and cheap until somebody scrapes it.

The text of a scrape is made by `page`, which is imported with prometheus_client when the first one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.listeners import bind_tcp, url

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop, Future, Task

    from cbox_init.api.http.plain import PlainPaths, PlainReply
    from cbox_init.api.http.server import HttpServer
    from cbox_init.build import DaemonParts
    from cbox_init.config.model import GlobalConfig
    from cbox_init.metrics.page import Page
    from cbox_init.telemetry.vitals import Vitals

_IMPORT_TAKES_S: Final = 60.0


class MetricsServer:
    """Owns its sockets; answers from ``serve`` on. ``missing`` says why it has none, when it should have."""

    def __init__(
        self, path: str, listeners: tuple[socket.socket, ...] = (), *, missing: str | None = None
    ) -> None:
        self.missing = missing
        self._path = path
        self._listeners = listeners
        self._server: HttpServer | None = None
        self._page: Page | None = None
        self._making: Task[PlainReply] | None = None

    @classmethod
    def bind(cls, settings: GlobalConfig) -> MetricsServer:
        """Open what ``settings`` want. Raises ListenError, with nothing left open."""
        for key, section in (("metrics_tls", settings.metrics_tls), ("metrics_acl", settings.metrics_acl)):
            if section is not None and section.enabled:
                missing = f"The metrics are not served: global.{key} is not supported by this version"
                return cls(settings.metrics_path, missing=missing)
        host, port = settings.metrics_host, settings.metrics_port
        listeners = bind_tcp(host, port, "global.metrics_host", "global.metrics_port")
        return cls(settings.metrics_path, listeners)

    def addresses(self) -> tuple[str, ...]:
        """Where the metrics can be read, for people."""
        return tuple(f"{url(listener)}{self._path}" for listener in self._listeners)

    async def serve(self, loop: AbstractEventLoop, parts: DaemonParts, vitals: Vitals) -> None:
        """Answer from now on."""
        from cbox_init.api.http.limits import PROBE_LIMITS
        from cbox_init.api.http.plain import PlainHandler, PlainReply
        from cbox_init.api.http.server import HttpServer

        log = parts.logs.daemon
        if self.missing is not None:
            log.error(self.missing)

        async def make() -> PlainReply:
            from cbox_init.threads import in_thread

            try:
                if self._page is None:
                    page = await in_thread(_import_page, name="metrics-import", timeout_s=_IMPORT_TAKES_S)
                    self._page = page(parts, vitals)
                return PlainReply(200, await self._page.text(), self._page.content_type)
            except Exception as error:  # noqa: BLE001  # whatever it is, the children are not to suffer
                from traceback import format_exc

                log.error("The metrics cannot be served", error=str(error), traceback=format_exc())
                return PlainReply(503, b'{"error":"the metrics cannot be served, the log says why"}')

        def metrics() -> Future[PlainReply]:
            """One text serves all who ask while it is made."""
            if self._making is None or self._making.done():
                self._making = loop.create_task(make())
            return self._making

        paths: PlainPaths = {
            b"/health": lambda: PlainReply(200, b"OK", "text/plain; charset=utf-8"),
            self._path.encode(): metrics,
        }
        self._server = HttpServer(loop, PlainHandler(paths, log), PROBE_LIMITS, log)
        self._server.serve(self._listeners)

    async def close(self) -> None:
        """Answer nothing more; a text that is being made is dropped."""
        self.release()
        if self._making is not None:
            from asyncio import gather

            self._making.cancel()
            await gather(self._making, return_exceptions=True)

    def release(self) -> None:
        """Let go of the sockets."""
        if self._server is not None:
            self._server.abort()
        for listener in self._listeners:
            listener.close()


def _import_page() -> type[Page]:
    from cbox_init.metrics.page import Page

    return Page
