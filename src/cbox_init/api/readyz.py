"""``/readyz`` and ``/livez`` for those who probe the container every few seconds.

A probe must not make the daemon 12 MB larger, so it is answered without the API's HTTP stack (`probe`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.listeners import bind_tcp, url

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop, Server

    from cbox_init.api.probe import Probe
    from cbox_init.config.model import ReadinessConfig
    from cbox_init.supervisor.lifecycle.readiness import Readiness


class ReadyzServer:
    """Owns its sockets, bound from the beginning; answers from ``serve`` on."""

    def __init__(self, listeners: tuple[socket.socket, ...]) -> None:
        self._listeners = listeners
        self._servers: list[Server] = []
        self._probes: set[Probe] = set()

    @classmethod
    def bind(cls, settings: ReadinessConfig | None) -> ReadyzServer | None:
        """Open what ``settings`` want, if anything. Raises ListenError."""
        if settings is None or not settings.enabled or not settings.http_port:
            return None
        setting = "global.readiness.http"
        return cls(bind_tcp(settings.http_host, settings.http_port, f"{setting}_host", f"{setting}_port"))

    def addresses(self) -> tuple[str, ...]:
        """Where it can be reached, for people."""
        return tuple(map(url, self._listeners))

    async def serve(self, loop: AbstractEventLoop, readiness: Readiness) -> None:
        """Answer from now on."""
        import msgspec

        from cbox_init.api.probe import Answer, Probe

        def readyz() -> Answer:
            report = readiness.report()
            return Answer(200 if report.ready else 503, msgspec.json.encode(report))

        paths = {b"/readyz": readyz, b"/livez": lambda: Answer(200, b'{"status":"alive"}')}
        for listener in self._listeners:
            self._servers.append(
                await loop.create_server(lambda: Probe(loop, paths, self._probes), sock=listener)
            )

    def close(self) -> None:
        """Answer nothing more."""
        for server in self._servers:
            server.close()
        for probe in tuple(self._probes):
            probe.abort()
        for listener in self._listeners:
            listener.close()
