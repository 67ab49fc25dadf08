"""Requests and connections of the API, over both of its listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbox_init.api.http.server import HttpServer


class Traffic:
    """Sums what the servers that were entered have counted."""

    def __init__(self) -> None:
        self._servers: list[HttpServer] = []

    def enter(self, server: HttpServer) -> None:
        """Count this server too."""
        self._servers.append(server)

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return sum(server.requests for server in self._servers)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return sum(server.connections for server in self._servers)
