"""What the daemon knows of itself, in the words of the API. Pure, but for what names this process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from cbox_init import __version__
from cbox_init.api.schemas import ApiVitals, CountsVitals, DaemonEntry, LogVitals, LoopVitals

if TYPE_CHECKING:
    from cbox_init.api.traffic import Traffic
    from cbox_init.logs.hub import LogFigures
    from cbox_init.supervisor.counts import Counts
    from cbox_init.system.own_figures import OwnFigures
    from cbox_init.telemetry.loop_lag import LagFigures
    from cbox_init.telemetry.vitals import Vitals


def daemon_entry(
    vitals: Vitals, own: OwnFigures, counts: Counts, log: LogFigures, traffic: Traffic
) -> DaemonEntry:
    """All that there is to say of the daemon."""
    return DaemonEntry(
        version=__version__,
        python_version=sys.version.split()[0],
        pid=os.getpid(),
        config=vitals.config,
        started_at=int(vitals.started_unix),
        uptime_seconds=round(vitals.uptime_s, 3),
        cpu_seconds=round(own.cpu_s, 3),
        memory_rss_bytes=own.rss_bytes,
        memory_peak_bytes=own.peak_rss_bytes,
        threads=own.threads,
        file_descriptors=own.descriptors,
        max_file_descriptors=own.most_descriptors,
        loop=_loop_entry(vitals.loop()),
        counts=CountsVitals(**asdict(counts)),
        log=LogVitals(**asdict(log)),
        api=ApiVitals(requests=traffic.requests, connections=traffic.connections),
    )


def _loop_entry(lag: LagFigures) -> LoopVitals:
    return LoopVitals(
        lag_p50_ms=round(lag.p50_s * 1000, 3),
        lag_p99_ms=round(lag.p99_s * 1000, 3),
        lag_max_ms=round(lag.max_s * 1000, 3),
        turns=lag.turns,
    )
