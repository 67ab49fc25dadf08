"""What the supervisor knows, in the words of the API. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from cbox_init.api.schemas import InstanceEntry, LogEntry, ProcessEntry
from cbox_init.logs.timestamps import Timestamps
from cbox_init.telemetry.figures import total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.logs.record import Record
    from cbox_init.supervisor.status import InstanceStatus, ProcessStatus
    from cbox_init.telemetry.figures import Figure, Figures


def process_entry(status: ProcessStatus, figures: Figures) -> ProcessEntry:
    """One process of the list."""
    of_instances = [figures.of(instance.pid) for instance in status.instances]
    sum_ = total(of_instances)
    return ProcessEntry(
        name=status.name,
        type=status.type,
        state=status.state,
        scale=status.scale,
        desired_scale=status.desired_scale,
        max_scale=status.max_scale,
        cpu_percent=sum_.cpu_percent,
        memory_rss_bytes=sum_.memory_rss_bytes,
        memory_percent=sum_.memory_percent,
        instances=tuple(map(_instance_entry, status.instances, of_instances)),
        wanted=status.wanted,
        waiting_for=status.waiting_for or UNSET,
        reason=status.reason or UNSET,
    )


def _instance_entry(status: InstanceStatus, figure: Figure) -> InstanceEntry:
    due = status.next_restart_at
    return InstanceEntry(
        id=status.id,
        state=status.state,
        pid=status.pid or 0,
        started_at=int(status.started_at or 0),
        restart_count=status.restart_count,
        cpu_percent=figure.cpu_percent,
        memory_rss_bytes=figure.memory_rss_bytes,
        memory_percent=figure.memory_percent,
        next_restart_at=UNSET if due is None else round(due, 3),
        exit_code=UNSET if status.exit_code is None else status.exit_code,
        reason=status.reason or UNSET,
    )


def log_entries(records: Iterable[Record]) -> tuple[LogEntry, ...]:
    """Lines of processes, in the order given."""
    timestamp = Timestamps().nanoseconds
    return tuple(
        LogEntry(
            timestamp=timestamp(record.time_ns),
            process=record.process,
            instance=record.instance,
            stream=record.stream,
            level=record.level.name.lower(),
            message=record.message,
            partial=True if record.partial else UNSET,
        )
        for record in records
    )
