"""The state of the daemon at the time of a scrape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.system.own_figures import read_own_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cbox_init.api.waiting import Slices
    from cbox_init.audit.trail import AuditTrail
    from cbox_init.build import DaemonParts
    from cbox_init.logs.outputs.destinations import OutputStatus
    from cbox_init.supervisor.notifications.notifier import NotifierState
    from cbox_init.supervisor.resources import Latest, ResourceSampler
    from cbox_init.supervisor.status import InstanceStatus, ProcessStatus
    from cbox_init.system.own_figures import OwnFigures
    from cbox_init.telemetry.counters import Counters
    from cbox_init.telemetry.vitals import Vitals


class Process(Struct, frozen=True, gc=False):
    """One process, and the kind of its health check (tcp, http, exec), None when it has none."""

    status: ProcessStatus
    check: str | None

    @property
    def name(self) -> str:
        return self.status.name

    @property
    def instances(self) -> tuple[InstanceStatus, ...]:
        """Its instances; none when it has a schedule."""
        return () if self.status.schedule else self.status.instances


class Snapshot(Struct, frozen=True, kw_only=True):
    """``now`` is a monotonic time; ``shutdown_s`` how long the shutdown has been going on, if it is."""

    now: float
    started_unix: float
    shutdown_s: float | None
    processes: tuple[Process, ...]
    counters: Counters
    outputs: tuple[OutputStatus, ...]
    rate_limited: Mapping[str, int]
    audit: AuditTrail | None
    certificates: Mapping[str, float]
    notifications: tuple[NotifierState, ...]
    own: OwnFigures
    resources: ResourceSampler | None

    @property
    def memory_bytes(self) -> int:
        """The memory of the container."""
        return 1 if self.resources is None else self.resources.memory_bytes

    def latest(self) -> Iterator[tuple[str, Latest]]:
        """The latest sample of each instance that runs, with the name of its process."""
        if self.resources is not None:
            for process in self.steady:
                for instance in process.instances:
                    latest = self.resources.latest(instance.id, instance.pid)
                    if latest is not None:
                        yield process.name, latest

    @property
    def steady(self) -> tuple[Process, ...]:
        """The processes without a schedule."""
        return tuple(one for one in self.processes if one.status.schedule is None)

    @property
    def scheduled(self) -> tuple[Process, ...]:
        return tuple(one for one in self.processes if one.status.schedule is not None)


async def take(parts: DaemonParts, vitals: Vitals, slices: Slices) -> Snapshot:
    """Take a snapshot, in slices: each process as it is when its turn comes."""
    processes: list[Process] = []
    for process in parts.supervisor.each_managed():
        check = process.config.health_check
        kind = str(check.type) if check is not None and not process.config.schedule else None
        processes.append(Process(process.status(), kind))
        await slices.breathe()
    counters = parts.runtime.counters
    notifications = parts.supervisor.notifications
    assert counters is not None, "they are there where metrics are served"
    return Snapshot(
        now=time.monotonic(),
        started_unix=vitals.started_unix,
        shutdown_s=parts.supervisor.lifecycle.shutdown_s,
        processes=tuple(processes),
        counters=counters,
        outputs=tuple(parts.logs.outputs()),
        rate_limited=parts.logs.rate_limited(),
        audit=parts.runtime.audit,
        certificates=dict(vitals.certificates),
        notifications=notifications.states() if notifications is not None else (),
        own=read_own_figures(),
        resources=parts.supervisor.resources,
    )
