"""Format the daemon's replies for people. Pure: values in, styled text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from cbox_init.cli.console import BOLD, Span, table_lines
from cbox_init.cli.process_table import instance_uptime, one_line, restarts, rollout, scale, state
from cbox_init.words import percent, size, uptime

if TYPE_CHECKING:
    from cbox_init.client import (
        AutoscaleEntry,
        DaemonEntry,
        HealthEntry,
        InstanceEntry,
        ProcessEntry,
    )

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


def status_lines(entry: ProcessEntry, now: float) -> list[list[Span]]:
    """One process in detail: labelled lines, then one line for each instance."""
    lines = [
        _labelled("Name", Span(entry.name)),
        _labelled("Type", Span(entry.type)),
        _labelled("Status", state(entry.state)),
    ]
    if entry.reason:
        lines.append(_labelled("Reason", Span(entry.reason)))
    if entry.waiting_for:
        lines.append(_labelled("Waits for", Span(", ".join(entry.waiting_for))))
    if not isinstance(entry.rollout, UnsetType):
        lines.append(_labelled("Rollout", Span(rollout(entry.rollout))))
    if isinstance(entry.schedule, str):
        lines += _schedule_lines(entry, now)
    if not isinstance(entry.autoscale, UnsetType):
        lines.append(_labelled("Autoscale", Span(_autoscale(entry.autoscale))))
    lines.append(_labelled("Scale", Span(scale(entry))))
    lines.append(_labelled("Restarts", Span(str(restarts(entry)))))
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
        state(instance.state),
        Span(uptime(instance_uptime(instance, now))),
        Span(str(instance.restart_count)),
        Span(one_line(", ".join(notes))),
    ]


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
    cell = Span(one_line(cell.text), cell.style)
    return [Span(text.ljust(_LABEL_WIDTH) if cell.text else text, BOLD), cell]


def _ms(value: float) -> str:
    return f"{value:.1f} ms"
