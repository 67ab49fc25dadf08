"""What the daemon's replies look like to a person. Pure: values in, cells out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from cbox_init.cli.table import Cell, table_lines
from cbox_init.cli.words import percent, size, to_milliseconds, took, uptime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.client import (
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
    "running": "green",
    "completed": "cyan",
    "starting": "yellow",
    "stopping": "yellow",
    "failed": "bold red",
    "stopped": "dim",
    "scheduled": "cyan",
    "paused": "dim",
}
_LABEL_WIDTH = 11

#: Reasons for restarts that are worth a word of their own.
_RESTARTED_FOR = {"health_check": "by its health check", "memory_limit": "by its memory limit"}


def list_row(entry: ProcessEntry, now: float) -> list[Cell]:
    """One process as a row under LIST_HEADER; ``now`` in Unix seconds."""
    return [
        Cell(entry.name),
        _state(entry.state),
        Cell(_scale(entry)),
        Cell(str(_restarts(entry))),
        Cell(uptime(_process_uptime(entry, now))),
    ]


def status_lines(entry: ProcessEntry, now: float) -> list[list[Cell]]:
    """One process in full, a labelled line a fact, and a line an instance."""
    lines = [
        _labelled("Name", Cell(entry.name)),
        _labelled("Type", Cell(entry.type)),
        _labelled("Status", _state(entry.state)),
    ]
    if entry.reason:
        lines.append(_labelled("Reason", Cell(entry.reason)))
    if entry.waiting_for:
        lines.append(_labelled("Waits for", Cell(", ".join(entry.waiting_for))))
    if not isinstance(entry.rollout, UnsetType):
        lines.append(_labelled("Rollout", Cell(_rollout(entry.rollout))))
    if isinstance(entry.schedule, str):
        lines += _schedule_lines(entry, now)
    lines.append(_labelled("Scale", Cell(_scale(entry))))
    lines.append(_labelled("Restarts", Cell(str(_restarts(entry)))))
    lines.append(_labelled("Instances", Cell("" if entry.instances else "none")))
    if entry.instances:
        header = ("  ID", "PID", "STATE", "UPTIME", "RESTARTS", "")
        rows = [_instance_row(instance, now) for instance in entry.instances]
        lines.extend(table_lines(header, rows))
    lines.append(_labelled("CPU", Cell(percent(entry.cpu_percent))))
    lines.append(
        _labelled("Memory", Cell(f"{size(entry.memory_rss_bytes)} ({percent(entry.memory_percent)})"))
    )
    return lines


def _schedule_lines(entry: ProcessEntry, now: float) -> list[list[Cell]]:
    lines = [_labelled("Schedule", Cell(f"{entry.schedule} ({entry.schedule_state})"))]
    next_run = f"in {uptime(entry.next_run - now)}" if entry.next_run else "-"
    lines.append(_labelled("Next Run", Cell(next_run)))
    last_run = "-"
    if entry.last_run:
        last_run = f"{uptime(now - entry.last_run)} ago"
    if isinstance(entry.last_exit_code, int):
        last_run += f", last exit code {entry.last_exit_code}"
    lines.append(_labelled("Last Run", Cell(last_run)))
    if isinstance(entry.run_count, int) and isinstance(entry.success_rate, float):
        text = f"{entry.run_count}, {percent(entry.success_rate)} succeeded"
        lines.append(_labelled("Runs", Cell(text)))
    return lines


def execution_row(entry: OneshotEntry) -> list[Cell]:
    """One execution of a oneshot as a row under HISTORY_HEADER."""
    start = [Cell(to_milliseconds(entry.started_at)), Cell(entry.instance_id), Cell(entry.trigger_type)]
    if entry.finished_at is None:
        return [*start, Cell("-"), Cell("-"), Cell("running", "yellow")]
    return [*start, *_end(entry.started_at, entry.finished_at, entry.exit_code, entry.error)]


def run_row(entry: RunEntry) -> list[Cell]:
    """One run of a schedule as a row under HISTORY_HEADER."""
    start = [Cell(to_milliseconds(entry.start_time)), Cell(entry.id), Cell(entry.triggered)]
    return [*start, *_end(entry.start_time, entry.end_time, entry.exit_code, entry.error)]


def _end(started: str, ended: str, exit_code: int | None, error: str) -> list[Cell]:
    result = Cell(error, "red") if error else Cell("success", "green")
    return [Cell(took(started, ended)), Cell("-" if exit_code is None else str(exit_code)), result]


def runs_as_it_should(entry: ProcessEntry) -> bool:
    """Whether a process is up, has done its work, or need not run.

    No instance of it was given up, or waits to be started again.
    """
    if not entry.wanted:
        return True
    return entry.state in ("running", "completed", "scheduled") and all(
        one.state != "failed" and one.next_restart_at is UNSET for one in entry.instances
    )


def all_run(entries: Iterable[ProcessEntry]) -> bool:
    """Whether every process that should run does."""
    return all(runs_as_it_should(entry) for entry in entries)


def _instance_row(instance: InstanceEntry, now: float) -> list[Cell]:
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
        Cell(f"  {instance.id}"),
        Cell(str(instance.pid) if instance.pid else "-"),
        _state(instance.state),
        Cell(uptime(_instance_uptime(instance, now))),
        Cell(str(instance.restart_count)),
        Cell(", ".join(notes)),
    ]


def _rollout(rollout: RolloutEntry) -> str:
    """How far it is, such as "failed, 1/3 new: web-3: not ready 30 s after its start"."""
    words = f"{rollout.state.replace('_', ' ')}, {rollout.updated}/{rollout.total} new"
    if isinstance(rollout.instance, str) and rollout.reason:
        words += f": {rollout.instance}: {rollout.reason}"
    return words


def _health(health: HealthEntry) -> str:
    """The state and the last check, such as "healthy, checked in 1.2 ms"."""
    words = health.status
    if isinstance(health.latency_ms, float | int) and health.last_result == "success":
        return f"{words}, checked in {health.latency_ms:.1f} ms"
    if health.consecutive_failures:
        words = f"{words}, {health.consecutive_failures} failed"
    return f"{words}: {health.reason}" if health.reason else words


def _labelled(label: str, cell: Cell) -> list[Cell]:
    text = f"{label}:"
    return [Cell(text.ljust(_LABEL_WIDTH) if cell.text else text, "bold"), cell]


def _state(state: str) -> Cell:
    return Cell(state, _STATE_STYLES.get(state, ""))


def _scale(entry: ProcessEntry) -> str:
    """What runs of what should: an instance that waits to be started again does not run."""
    running = sum(one.state == "running" for one in entry.instances)
    return f"{running if entry.desired_scale else entry.scale}/{entry.desired_scale}"


def _restarts(entry: ProcessEntry) -> int:
    return sum(instance.restart_count for instance in entry.instances)


def _process_uptime(entry: ProcessEntry, now: float) -> float | None:
    """Since when anything of it runs: the uptime of the oldest instance that does."""
    return max(
        (up for one in entry.instances if (up := _instance_uptime(one, now)) is not None), default=None
    )


def _instance_uptime(instance: InstanceEntry, now: float) -> float | None:
    if not instance.pid or not instance.started_at:
        return None
    return now - instance.started_at
