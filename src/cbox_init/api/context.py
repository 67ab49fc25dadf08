"""What the routes work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cbox_init.api.authentication import Credentials
    from cbox_init.api.http.server import HttpServer
    from cbox_init.api.waiting import Streams
    from cbox_init.build import DaemonParts
    from cbox_init.logs.hub import LogHub
    from cbox_init.sensitive import KnownSecrets
    from cbox_init.supervisor.configuration.configuration import Configuration
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.telemetry.figures import Figures
    from cbox_init.telemetry.vitals import Vitals


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


class Context(NamedTuple):
    """The parts of the daemon, and what the API adds: figures, open streams, its own traffic, and how callers
    are recognised, which is None where the resources are only described."""

    parts: DaemonParts
    figures: Figures
    streams: Streams
    vitals: Vitals
    traffic: Traffic
    credentials: Credentials | None = None

    @property
    def supervisor(self) -> Supervisor:
        """The processes, and every command about them."""
        return self.parts.supervisor

    @property
    def secrets(self) -> KnownSecrets:
        """The values that no reply may show."""
        return self.parts.runtime.secrets

    @property
    def logs(self) -> LogHub:
        """The lines of all processes."""
        return self.parts.logs

    @property
    def configuration(self) -> Configuration:
        """The configuration in force, and every way to change it."""
        return self.parts.configuration
