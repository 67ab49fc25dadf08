"""The daemon and its processes as the replies of the API. Pure, but for what identifies this process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import asdict, replace

from cbox_init import __version__
from cbox_init.api.schemas import (
    ApiVitals,
    AutoscaleEntry,
    CountsVitals,
    DaemonEntry,
    HealthEntry,
    InstanceEntry,
    ListedLogEntry,
    LogEntry,
    LogVitals,
    LoopVitals,
    OneshotEntry,
    ProcessEntry,
    RolloutEntry,
    RunEntry,
    ScheduleEntry,
    ScheduleStats,
)
from cbox_init.config.scalars import format_duration
from cbox_init.logs.encode.base import Timestamps
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.telemetry.figures import total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.api.context import Traffic
    from cbox_init.core.health import InstanceHealth
    from cbox_init.core.rollout import Rollout
    from cbox_init.logs.hub import LogFigures
    from cbox_init.logs.record import Record
    from cbox_init.supervisor.counts import Counts
    from cbox_init.supervisor.oneshot_history import Execution
    from cbox_init.supervisor.status import (
        AutoscaleStatus,
        InstanceStatus,
        ProcessStatus,
        RunStatus,
        ScheduleStatus,
    )
    from cbox_init.system.own_figures import OwnFigures
    from cbox_init.telemetry.figures import Figure, Figures
    from cbox_init.telemetry.loop_lag import LagFigures
    from cbox_init.telemetry.vitals import Vitals


def process_entry(status: ProcessStatus, figures: Figures) -> ProcessEntry:
    """One process of the list."""
    of_instances = [figures.of(instance.pid) for instance in status.instances]
    sum_ = total(of_instances)
    entry = ProcessEntry(
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
        depends_on=status.depends_on or UNSET,
        waiting_for=status.waiting_for or UNSET,
        reason=status.reason or UNSET,
        rollout=UNSET if status.rollout is None else _rollout_entry(status.name, status.rollout),
        autoscale=UNSET if status.autoscale is None else _autoscale_entry(status.autoscale),
        groups=status.groups or UNSET,
    )
    return entry if status.schedule is None else _with_schedule(entry, status.schedule)


def _rollout_entry(name: str, rollout: Rollout) -> RolloutEntry:
    return RolloutEntry(
        state=rollout.state,
        updated=rollout.updated,
        total=rollout.total,
        instance=UNSET if rollout.failed is None else instance_id(name, rollout.failed),
        reason=rollout.reason or UNSET,
    )


def _autoscale_entry(status: AutoscaleStatus) -> AutoscaleEntry:
    return AutoscaleEntry(
        metric=status.metric,
        target=status.target,
        min=status.least,
        max=status.most,
        value=UNSET if status.value is None else status.value,
        measured_at=UNSET if status.measured_at is None else int(status.measured_at),
        reason=status.reason or UNSET,
        error=status.error or UNSET,
        errors=status.errors,
    )


def _with_schedule(entry: ProcessEntry, schedule: ScheduleStatus) -> ProcessEntry:
    totals = schedule.totals
    return replace(
        entry,
        schedule=schedule.expression,
        schedule_state=schedule.state,
        next_run=UNSET if schedule.next_run is None else int(schedule.next_run),
        last_run=UNSET if schedule.last_run is None else int(schedule.last_run),
        run_count=schedule.started,
        success_rate=round(totals.success_rate, 2),
        last_exit_code=UNSET if totals.last_exit_code is None else totals.last_exit_code,
    )


def schedule_entry(name: str, schedule: ScheduleStatus) -> ScheduleEntry:
    """One schedule with its figures."""
    totals = schedule.totals
    return ScheduleEntry(
        name=name,
        schedule=schedule.expression,
        timezone=schedule.timezone,
        state=schedule.state,
        last_run=_rfc3339(schedule.last_run),
        next_run=_rfc3339(schedule.next_run),
        current_execution_id=schedule.current,
        stats=ScheduleStats(
            total_executions=schedule.started,
            success_count=totals.succeeded,
            failure_count=totals.failed,
            running_count=schedule.running,
            success_rate=round(totals.success_rate, 2),
            average_duration=int(totals.average_s * 1e9),
            last_execution_time=_rfc3339(schedule.last_run),
            last_success_time=_rfc3339(totals.last_success_unix),
            last_failure_time=_rfc3339(totals.last_failure_unix),
        ),
    )


def run_entries(runs: Iterable[RunStatus]) -> tuple[RunEntry, ...]:
    """Finished runs, in the given order."""
    at = Timestamps().nanoseconds
    return tuple(
        RunEntry(
            id=run.id,
            start_time=at(int(run.started_at * 1e9)),
            end_time=at(int(run.ended_at * 1e9)),
            exit_code=run.exit_code,
            success=run.error is None,
            error=run.error or "",
            triggered="manual" if run.manual else "schedule",
        )
        for run in runs
    )


def oneshot_entries(executions: Iterable[Execution]) -> tuple[OneshotEntry, ...]:
    """Executions of oneshots, in the given order."""
    at = Timestamps().nanoseconds
    return tuple(
        OneshotEntry(
            id=one.number,
            process_name=one.process,
            instance_id=one.instance,
            started_at=at(int(one.started_unix * 1e9)),
            finished_at=None if one.ended_unix is None else at(int(one.ended_unix * 1e9)),
            exit_code=one.exit_code,
            success=None if one.exit_code is None else not one.error,
            error=one.error,
            duration=None if one.duration_s is None else format_duration(round(one.duration_s, 3)),
            duration_ms=None if one.duration_s is None else int(one.duration_s * 1000),
            trigger_type=one.trigger,
        )
        for one in executions
    )


def _rfc3339(unix: float | None) -> str | None:
    return None if unix is None else Timestamps().nanoseconds(int(unix * 1e9))


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
        last_output=status.last_output or UNSET,
        restart_reasons={str(cause): count for cause, count in status.restart_causes.items()} or UNSET,
        health=UNSET if status.health is None else _health_entry(status.health),
    )


def _health_entry(health: InstanceHealth) -> HealthEntry:
    last, notice = health.last, health.notify
    entry = HealthEntry(
        status=health.state,
        ready=health.ready,
        consecutive_failures=health.failures,
        overdue=True if health.overdue else UNSET,
        not_checked=health.not_checked or UNSET,
        notified=UNSET if notice is None else notice.state,
        status_text=(notice and notice.status) or UNSET,
    )
    if last is None:
        return entry
    return replace(
        entry,
        last_check=round(last.unix, 3),
        last_result="success" if last.reason is None else "failure",
        latency_ms=round(last.latency_s * 1000, 3),
        reason=last.reason or UNSET,
    )


def listed_log_entries(records: Iterable[Record]) -> tuple[ListedLogEntry, ...]:
    """Lines of processes for a list, in the given order."""
    return tuple(
        ListedLogEntry(
            timestamp=entry.timestamp,
            process=entry.process,
            instance=entry.instance,
            stream=entry.stream,
            level=entry.level,
            message=entry.message,
            partial=entry.partial,
            fields=entry.fields,
            process_name=entry.process,
            instance_id=entry.instance,
            stream_=entry.stream,
            level_=entry.level,
            message_=entry.message,
            timestamp_=entry.timestamp,
        )
        for entry in log_entries(records)
    )


def log_entries(records: Iterable[Record]) -> tuple[LogEntry, ...]:
    """Lines of processes, in the given order."""
    timestamp = Timestamps().nanoseconds
    last_ns, written = -1, ""  # the lines of a block have one time
    entries = []
    for record in records:
        if record.time_ns != last_ns:
            last_ns = record.time_ns
            written = timestamp(last_ns)
        entries.append(
            LogEntry(
                timestamp=written,
                process=record.process,
                instance=record.instance,
                stream=record.stream,
                level=record.level.value,
                message=record.message,
                partial=True if record.partial else UNSET,
                fields=UNSET if record.fields is None else record.fields,
            )
        )
    return tuple(entries)


def daemon_entry(
    vitals: Vitals, own: OwnFigures, counts: Counts, log: LogFigures, traffic: Traffic
) -> DaemonEntry:
    """The daemon itself."""
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
