"""The metrics port: bound at the start, at almost no cost until the first scrape.

The text of a scrape is made by `page`, which is imported with prometheus_client at the first scrape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.listeners import acl_problem, bind_tcp, enabled
from cbox_init.api.tcp_port import TcpPort
from cbox_init.logs.daemon import RepeatedError

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.api.http.plain import PlainPaths, PlainReply
    from cbox_init.build import DaemonParts
    from cbox_init.config.model import AclConfig, GlobalConfig, TlsConfig
    from cbox_init.metrics.page import Page
    from cbox_init.telemetry.vitals import Vitals

_IMPORT_TAKES_S: Final = 60.0

#: Media ranges that match the text format, from the most specific; and how many a header may have.
_TEXTS: Final = ("text/plain", "text/*", "*/*")
_MOST_RANGES: Final = 50

#: 0.0.1 is what 1.0.0 was called before: the text is the same.
_OPENMETRICS_VERSIONS: Final = frozenset(("1.0.0", "0.0.1"))


class MetricsServer(TcpPort):
    """The port; answers after ``serve``. ``missing`` is why there is none although it is enabled."""

    def __init__(
        self,
        settings: GlobalConfig,
        listeners: tuple[socket.socket, ...] = (),
        *,
        missing: str | None = None,
        acl: AclConfig | None = None,
        tls: TlsConfig | None = None,
    ) -> None:
        super().__init__(
            "metrics",
            listeners,
            tls=tls,
            key="global.metrics_tls",
            closed="The metrics are not served",
            path=settings.metrics_path,
        )
        self.missing = missing
        self._settings = settings
        self._acl = acl
        self._page: Page | None = None
        self._making: dict[bool, Task[PlainReply]] = {}

    @classmethod
    def bind(cls, settings: GlobalConfig) -> MetricsServer:
        """Open the port that ``settings`` ask for. Raises ListenError, with nothing left open."""
        acl, tls = settings.metrics_acl, enabled(settings.metrics_tls)
        if problem := acl_problem(acl, "global.metrics_acl"):
            return cls(settings, missing=f"The metrics are not served: {problem}")
        keys = "global.metrics_host", "global.metrics_port"
        listeners = bind_tcp(settings.metrics_host, settings.metrics_port, *keys, listen=tls is None)
        used = acl if acl is not None and acl.enabled else None
        return cls(settings, listeners, acl=used, tls=tls)

    async def serve(self, loop: AbstractEventLoop, parts: DaemonParts, vitals: Vitals) -> None:
        """Answer from now on."""
        from cbox_init.api.http.plain import PlainHandler, PlainReply

        log, audit = parts.logs.daemon, parts.runtime.audit
        failed = RepeatedError(log, "The metrics cannot be served")
        if self.missing is not None:
            log.error(self.missing)

        async def make(*, openmetrics: bool) -> PlainReply:
            from cbox_init.threads import in_thread

            try:
                if self._page is None:
                    page = await in_thread(_import_page, name="metrics-import", timeout_s=_IMPORT_TAKES_S)
                    self._page = page(parts, vitals)
                return PlainReply(200, *await self._page.text(openmetrics=openmetrics))
            except Exception as error:  # noqa: BLE001  # whatever it is, the children are not to suffer
                failed.report(error)
                return PlainReply(503, b'{"error":"the metrics cannot be served, the log says why"}')

        def metrics(accept: bytes) -> Future[PlainReply]:
            """Scrapes that come while a text is made share it."""
            openmetrics = wants_openmetrics(accept.decode("latin-1"))
            making = self._making.get(openmetrics)
            if making is None or making.done():
                making = self._making[openmetrics] = loop.create_task(make(openmetrics=openmetrics))
            return making

        paths: PlainPaths = {b"/health": lambda: PlainReply(200, b"OK", "text/plain; charset=utf-8")}
        handler: Callable[[Exchange], None] = PlainHandler(paths, log, {self._path.encode(): metrics})
        exempt = None
        if self._acl is not None:
            from cbox_init.api.http.access import Access

            denied = audit.denied_by_acl("metrics") if audit is not None else None
            handler = access = Access(handler, self._acl, denied)
            exempt = access.trusts
        self._serve(loop, handler, self._settings, log, vitals, audit, exempt)

    async def close(self) -> None:
        """Stop answering; a scrape in progress is cancelled."""
        await super().close()
        if self._making:
            from asyncio import gather

            for making in self._making.values():
                making.cancel()
            await gather(*self._making.values(), return_exceptions=True)


def wants_openmetrics(accept: str) -> bool:
    """Whether a client that sends this header Accept prefers OpenMetrics to the text format of Prometheus.

    It has to name OpenMetrics, and no text with a higher weight; of two with the same it gets OpenMetrics.
    """
    openmetrics = 0.0
    texts: dict[str, float] = {}
    for entry in accept.lower().split(",")[:_MOST_RANGES]:
        name, *parameters = (part.strip() for part in entry.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        weight = _weight(values.get("q", "1"))
        if name == "application/openmetrics-text":
            if values.get("version", "1.0.0").strip('"') in _OPENMETRICS_VERSIONS:
                openmetrics = max(openmetrics, weight)
        elif name in _TEXTS:
            texts[name] = max(texts.get(name, 0.0), weight)
    text = next((texts[name] for name in _TEXTS if name in texts), 0.0)
    return openmetrics > 0 and openmetrics >= text


def _weight(text: str) -> float:
    """A weight of RFC 9110; 0 for anything else."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _import_page() -> type[Page]:
    from cbox_init.metrics.page import Page

    return Page
