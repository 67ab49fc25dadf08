"""Format the daemon's replies for people. Pure: values in, styled text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from cbox_init.cli.console import BOLD, DIM, Span, TextStyle, table_lines
from cbox_init.cli.words import percent, size, to_milliseconds, took, uptime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.client import (
        AutoscaleEntry,
        DaemonEntry,
        HealthEntry,
        InstanceEntry,
        OneshotEntry,
        ProcessEntry,
        RolloutEntry,
        RunEntry,
    )

LIST_HEADER = ("NAME", "STATUS", "SCALE", "RESTARTS", "UPTIME")

HISTORY_HEADER = ("STARTED", "INSTANCE", "TRIGGER", "TOOK", "EXIT", "RESULT")

_STATE_STYLES = {
    "running": TextStyle("green"),
    "completed": TextStyle("cyan"),
    "starting": TextStyle("yellow"),
    "stopping": TextStyle("yellow"),
    "failed": TextStyle("red", bold=True),
    "stopped": DIM,
    "scheduled": TextStyle("cyan"),
    "paused": DIM,
}
_LABEL_WIDTH = 11
_DAEMON_LABEL_WIDTH = 13

#: Reasons for restarts that are shown by name.
_RESTARTED_FOR = {
    "health_check": "by its health check",
    "memory_limit": "by its memory limit",
    "timeout": "after its timeout",
    "max_runtime": "after its max_runtime",
    "dependency": "with another process",
}


def list_row(entry: ProcessEntry, now: float) -> list[Span]:
    """One process as a row under LIST_HEADER; ``now`` in Unix seconds."""
    return [
        Span(entry.name),
        _state(entry.state),
        Span(_scale(entry)),
        Span(str(_restarts(entry))),
        Span(uptime(_process_uptime(entry, now))),
    ]


def status_lines(entry: ProcessEntry, now: float) -> list[list[Span]]:
    """One process in detail: labelled lines, then one line for each instance."""
    lines = [
        _labelled("Name", Span(entry.name)),
        _labelled("Type", Span(entry.type)),
        _labelled("Status", _state(entry.state)),
    ]
    if entry.reason:
        lines.append(_labelled("Reason", Span(entry.reason)))
    if entry.waiting_for:
        lines.append(_labelled("Waits for", Span(", ".join(entry.waiting_for))))
    if not isinstance(entry.rollout, UnsetType):
        lines.append(_labelled("Rollout", Span(_rollout(entry.rollout))))
    if isinstance(entry.schedule, str):
        lines += _schedule_lines(entry, now)
    if not isinstance(entry.autoscale, UnsetType):
        lines.append(_labelled("Autoscale", Span(_autoscale(entry.autoscale))))
    lines.append(_labelled("Scale", Span(_scale(entry))))
    lines.append(_labelled("Restarts", Span(str(_restarts(entry)))))
    lines.append(_labelled("Instances", Span("" if entry.instances else "none")))
    if entry.instances:
        header = ("  ID", "PID", "STATE", "UPTIME", "RESTARTS", "")
        rows = [_instance_row(instance, now) for instance in entry.instances]
        lines.extend(table_lines(header, rows))
    lines.append(_labelled("CPU", Span(percent(entry.cpu_percent))))
    lines.append(
        _labelled("Memory", Span(f"{size(entry.memory_rss_bytes)} ({percent(entry.memory_percent)})"))
    )
    return lines


def events_header() -> list[Span]:
    """The line above the last events of a process."""
    return _labelled("Events", Span(""))


def _schedule_lines(entry: ProcessEntry, now: float) -> list[list[Span]]:
    lines = [_labelled("Schedule", Span(f"{entry.schedule} ({entry.schedule_state})"))]
    next_run = f"in {uptime(entry.next_run - now)}" if entry.next_run else "-"
    lines.append(_labelled("Next Run", Span(next_run)))
    last_run = "-"
    if entry.last_run:
        last_run = f"{uptime(now - entry.last_run)} ago"
    if isinstance(entry.last_exit_code, int):
        last_run += f", last exit code {entry.last_exit_code}"
    lines.append(_labelled("Last Run", Span(last_run)))
    if isinstance(entry.run_count, int) and isinstance(entry.success_rate, float):
        text = f"{entry.run_count}, {percent(entry.success_rate)} succeeded"
        lines.append(_labelled("Runs", Span(text)))
    return lines


def daemon_lines(entry: DaemonEntry) -> list[list[Span]]:
    """The daemon itself, in labelled lines."""
    counts, loop, log, api = entry.counts, entry.loop, entry.log, entry.api
    limit = "" if entry.max_file_descriptors < 0 else f" of {entry.max_file_descriptors}"
    facts = {
        "Version": f"{entry.version} (Python {entry.python_version})",
        "PID": str(entry.pid),
        "Config": entry.config or "none, only the environment",
        "Uptime": uptime(entry.uptime_seconds),
        "Processes": f"{counts.processes}, {counts.scheduled} with a schedule",
        "Instances": f"{counts.instances}, {counts.running} running, {counts.failed} failed",
        "Restarts": str(counts.restarts),
        "CPU": f"{entry.cpu_seconds:.1f} s, {entry.threads} threads",
        "Memory": f"{size(entry.memory_rss_bytes)}, at most {size(entry.memory_peak_bytes)}",
        "Descriptors": f"{entry.file_descriptors}{limit}",
        "Loop lag": f"{_ms(loop.lag_p50_ms)} median, {_ms(loop.lag_p99_ms)} p99, {_ms(loop.lag_max_ms)} max",
        "Log": f"{log.written_records} records, {log.dropped_records} dropped, "
        + f"{size(log.queued_bytes)} queued{', backed up' if log.backed_up else ''}",
        "API": f"{api.requests} requests, {api.connections} connections, {log.subscribers} follow the log",
    }
    return [[Span(f"{label}:".ljust(_DAEMON_LABEL_WIDTH), BOLD), Span(text)] for label, text in facts.items()]


def execution_row(entry: OneshotEntry) -> list[Span]:
    """One execution of a oneshot as a row under HISTORY_HEADER."""
    start = [
        Span(to_milliseconds(entry.started_at)),
        Span(entry.instance_id),
        Span(entry.trigger_type),
    ]
    if entry.finished_at is None:
        return [*start, Span("-"), Span("-"), Span("running", TextStyle("yellow"))]
    return [*start, *_end(entry.started_at, entry.finished_at, entry.exit_code, entry.error)]


def run_row(entry: RunEntry) -> list[Span]:
    """One run of a schedule as a row under HISTORY_HEADER."""
    start = [Span(to_milliseconds(entry.start_time)), Span(entry.id), Span(entry.triggered)]
    return [*start, *_end(entry.start_time, entry.end_time, entry.exit_code, entry.error)]


def _end(started: str, ended: str, exit_code: int | None, error: str) -> list[Span]:
    result = Span(error, TextStyle("red")) if error else Span("success", TextStyle("green"))
    return [
        Span(took(started, ended)),
        Span("-" if exit_code is None else str(exit_code)),
        result,
    ]


def runs_as_it_should(entry: ProcessEntry) -> bool:
    """Whether a process runs, has completed, or does not have to run.

    No instance of it has failed for good, or waits for a restart.
    """
    if not entry.wanted:
        return True
    return entry.state in ("running", "completed", "scheduled") and all(
        one.state != "failed" and one.next_restart_at is UNSET for one in entry.instances
    )


def all_run(entries: Iterable[ProcessEntry]) -> bool:
    """Whether every process that should run does."""
    return all(runs_as_it_should(entry) for entry in entries)


def _instance_row(instance: InstanceEntry, now: float) -> list[Span]:
    notes = [instance.reason] if instance.reason else []
    if not notes and not isinstance(instance.health, UnsetType):
        notes.append(_health(instance.health))
    if not isinstance(instance.health, UnsetType) and instance.health.status_text:
        notes.append(f'says "{instance.health.status_text}"')
    if not isinstance(instance.restart_reasons, UnsetType):
        for reason, words in _RESTARTED_FOR.items():
            times = instance.restart_reasons.get(reason, 0)
            notes += [f"restarted {times}x {words}"] if times else []
    if isinstance(instance.next_restart_at, float):
        notes.append(f"restart in {uptime(instance.next_restart_at - now)}")
    return [
        Span(f"  {instance.id}"),
        Span(str(instance.pid) if instance.pid else "-"),
        _state(instance.state),
        Span(uptime(_instance_uptime(instance, now))),
        Span(str(instance.restart_count)),
        Span(", ".join(notes)),
    ]


def _rollout(rollout: RolloutEntry) -> str:
    """Its progress, such as "failed, 1/3 new: web-3: not ready 30 s after its start"."""
    words = f"{rollout.state.replace('_', ' ')}, {rollout.updated}/{rollout.total} new"
    if isinstance(rollout.instance, str) and rollout.reason:
        words += f": {rollout.instance}: {rollout.reason}"
    return words


def _autoscale(entry: AutoscaleEntry) -> str:
    """Its last value and decision, such as "cpu 35 %, target 70 %, 2 to 8: cpu is 143 % of a CPU ..."."""
    target = _amount(entry.metric, entry.target)
    value = "not measured yet" if isinstance(entry.value, UnsetType) else _amount(entry.metric, entry.value)
    words = f"{entry.metric} {value}, target {target}, {entry.min} to {entry.max}"
    if entry.error:
        return f"{words}: cannot be measured: {entry.error}"
    return f"{words}: {entry.reason}" if entry.reason else words


def _amount(metric: str, value: float) -> str:
    if metric == "memory":
        return size(int(value))
    return percent(value) if metric == "cpu" else f"{value:g}"


def _health(health: HealthEntry) -> str:
    """The state and the last check, such as "healthy, checked in 1.2 ms"."""
    words = health.status
    if health.not_checked:
        return f"{words}, not checked: {health.not_checked}"
    if isinstance(health.latency_ms, float | int) and health.last_result == "success":
        return f"{words}, checked in {health.latency_ms:.1f} ms"
    if health.consecutive_failures:
        words = f"{words}, {health.consecutive_failures} failed"
    return f"{words}: {health.reason}" if health.reason else words


def _labelled(label: str, cell: Span) -> list[Span]:
    text = f"{label}:"
    return [Span(text.ljust(_LABEL_WIDTH) if cell.text else text, BOLD), cell]


def _state(state: str) -> Span:
    return Span(state, _STATE_STYLES.get(state))


def _scale(entry: ProcessEntry) -> str:
    """Running instances / desired instances. One that waits for a restart does not run."""
    running = sum(one.state == "running" for one in entry.instances)
    return f"{running if entry.desired_scale else entry.scale}/{entry.desired_scale}"


def _restarts(entry: ProcessEntry) -> int:
    return sum(instance.restart_count for instance in entry.instances)


def _process_uptime(entry: ProcessEntry, now: float) -> float | None:
    """The uptime of the oldest running instance."""
    return max(
        (up for one in entry.instances if (up := _instance_uptime(one, now)) is not None), default=None
    )


def _instance_uptime(instance: InstanceEntry, now: float) -> float | None:
    if not instance.pid or not instance.started_at:
        return None
    return now - instance.started_at


def _ms(value: float) -> str:
    return f"{value:.1f} ms"
