"""What the routes work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cbox_init.api.streams import Streams
    from cbox_init.api.traffic import Traffic
    from cbox_init.build import DaemonParts
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.configuration.configuration import Configuration
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.telemetry.figures import Figures
    from cbox_init.telemetry.vitals import Vitals


class Context(NamedTuple):
    """One for each daemon: what is supervised, what is measured of it and of us, who asks and who follows."""

    parts: DaemonParts
    figures: Figures
    streams: Streams
    vitals: Vitals
    traffic: Traffic

    @property
    def supervisor(self) -> Supervisor:
        """The processes, and every command about them."""
        return self.parts.supervisor

    @property
    def logs(self) -> LogHub:
        """The lines of all processes."""
        return self.parts.logs

    @property
    def configuration(self) -> Configuration:
        """The configuration in force, and every way to change it."""
        return self.parts.configuration
