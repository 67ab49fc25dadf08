"""What the routes work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cbox_init.api.streams import Streams
    from cbox_init.api.traffic import Traffic
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.telemetry.figures import Figures
    from cbox_init.telemetry.vitals import Vitals


class Context(NamedTuple):
    """One for each daemon: what is supervised, what is measured of it and of us, who asks and who follows."""

    supervisor: Supervisor
    figures: Figures
    streams: Streams
    vitals: Vitals
    traffic: Traffic
