"""The rows of the tables: replies of the daemon as cells with the colours of their roles. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from cbox_init.tui.grid import GridCell, GridColumn, GridRow
from cbox_init.tui.look import (
    clean,
    gauge,
    local_time,
    memory,
    percent,
    sparkline,
    state_look,
)
from cbox_init.words import took, uptime

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from cbox_init.client import (
        AutoscaleEntry,
        ChangeEntry,
        EventEntry,
        HealthEntry,
        InstanceEntry,
        OneshotEntry,
        ProcessEntry,
        RolloutEntry,
        RunEntry,
        StepEntry,
    )
    from cbox_init.tui.state import ScreenState

SPARK = 12

PROCESS_COLUMNS = (
    GridColumn("NAME", 14, grows=True),
    GridColumn("STATE", 11),
    GridColumn("SCALE", 5, right=True),
    GridColumn("HEALTH", 9, rank=3),
    GridColumn("CPU", 5, right=True),
    GridColumn("", 6, rank=4, grows=True, tail=True),
    GridColumn("MEM", 5, right=True),
    GridColumn("RESTARTS", 8, rank=1, right=True),
    GridColumn("UPTIME", 6, rank=2, right=True),
    GridColumn("WHY", 16, rank=5, grows=True),
)

INSTANCE_MARK = "/"
"""Between the process and the instance in the key of a row: neither may have it in its name."""


def process_rows(
    entries: Iterable[ProcessEntry],
    state: ScreenState,
    now: float,
    expanded: Container[str],
    marked: Container[str] = (),
) -> list[GridRow]:
    """A row for each process, and below those that are expanded one for each instance."""
    rows = []
    for entry in entries:
        unfolded = entry.name in expanded
        rows.append(_process_row(entry, state, now, unfolded, entry.name in marked))
        if unfolded:
            rows += [instance_row(entry, one, state, now) for one in entry.instances]
    return rows


def _process_row(
    entry: ProcessEntry, state: ScreenState, now: float, unfolded: bool, marked: bool
) -> GridRow:
    alive = any(one.pid for one in entry.instances)
    restarts = restarts_of(entry)
    fold = "▾ " if unfolded else "▸ " if entry.instances else "  "
    return GridRow(
        entry.name,
        (
            GridCell(f"{'✓ ' if marked else fold}{clean(entry.name)}", "key bold" if marked else "text bold"),
            state_cell(entry.state),
            GridCell(scale_of(entry), "text" if _as_wanted(entry) else "care"),
            _health_cell(_worst_health(entry)),
            GridCell(percent(entry.cpu_percent) if alive else "-", "text" if alive else "muted"),
            GridCell(sparkline(state.recent_cpu(entry.name), SPARK), "key"),
            GridCell(memory(entry.memory_rss_bytes) if alive else "-", "text" if alive else "muted"),
            GridCell(str(restarts), "care" if restarts else "muted"),
            GridCell(uptime(uptime_of(entry, now)), "text" if alive else "muted"),
            GridCell(*why(entry, now)),
        ),
    )


def instance_row(entry: ProcessEntry, one: InstanceEntry, state: ScreenState, now: float) -> GridRow:
    """An instance as a row of the list of processes."""
    alive = bool(one.pid)
    return GridRow(
        f"{entry.name}{INSTANCE_MARK}{one.id}",
        (
            GridCell(f"   {clean(one.id)}", "text"),
            state_cell(one.state),
            GridCell(str(one.pid) if one.pid else "-", "muted"),
            _health_cell(None if isinstance(one.health, UnsetType) else one.health),
            GridCell(percent(one.cpu_percent) if alive else "-", "text" if alive else "muted"),
            GridCell(sparkline(state.recent_cpu(one.id), SPARK), "muted"),
            GridCell(memory(one.memory_rss_bytes) if alive else "-", "text" if alive else "muted"),
            GridCell(str(one.restart_count), "care" if one.restart_count else "muted"),
            GridCell(uptime(now - one.started_at if alive and one.started_at else None), "muted"),
            GridCell(*instance_why(one, now)),
        ),
    )


def state_cell(state: str) -> GridCell:
    """A state with its sign, in its colour."""
    look = state_look(state)
    return GridCell(f"{look.sign} {clean(state)}", look.role)


def scale_of(entry: ProcessEntry) -> str:
    """Running instances / wanted instances."""
    if entry.type == "scheduled" or entry.state == "completed":
        return "-"
    running = sum(one.state == "running" for one in entry.instances)
    return f"{running if entry.desired_scale else entry.scale}/{entry.desired_scale}"


def restarts_of(entry: ProcessEntry) -> int:
    return sum(one.restart_count for one in entry.instances)


def uptime_of(entry: ProcessEntry, now: float) -> float | None:
    """Of the oldest instance that runs."""
    started = [one.started_at for one in entry.instances if one.pid and one.started_at]
    return now - min(started) if started else None


def why(entry: ProcessEntry, now: float) -> tuple[str, str]:
    """Why a process is not as it should be, or what it waits for, with the role of its colour."""
    if not isinstance(entry.rollout, UnsetType):
        return rollout_words(entry.rollout)
    if isinstance(entry.waiting_for, tuple) and entry.waiting_for:
        return f"waits for {clean(', '.join(entry.waiting_for))}", "care"
    for one in entry.instances:
        if one.state == "failed" or one.next_restart_at or _is_unhealthy(one):
            text, role = instance_why(one, now)
            if text:
                return (f"{one.id}: {text}" if len(entry.instances) > 1 else text), role
    if entry.reason:
        return clean(entry.reason), "bad" if entry.state == "failed" else "muted"
    if isinstance(entry.autoscale, UnsetType):
        return _schedule_words(entry, now), "muted"
    return (clean(entry.autoscale.error), "care") if entry.autoscale.error else ("", "")


def instance_why(one: InstanceEntry, now: float) -> tuple[str, str]:
    """Why an instance does not run or is not healthy, with the role of its colour."""
    parts = []
    if isinstance(one.next_restart_at, float):
        parts.append(f"restart in {uptime(max(0.0, one.next_restart_at - now))}")
    if one.reason:
        parts.append(clean(one.reason))
    elif not isinstance(one.health, UnsetType):
        parts.append(health_words(one.health))
    bad = one.state == "failed" or _is_unhealthy(one)
    return ", ".join(part for part in parts if part), "bad" if bad else "care" if len(parts) > 1 else "muted"


def health_words(health: HealthEntry) -> str:
    """What the last check has shown, in words; empty when there is nothing to say."""
    if health.not_checked:
        return f"not checked: {clean(health.not_checked)}"
    if health.status == "healthy" and not health.consecutive_failures:
        return f"says {clean(health.status_text)}" if health.status_text else ""
    failed = f"{health.consecutive_failures} checks failed" if health.consecutive_failures else ""
    return ": ".join(part for part in (failed, clean(health.reason or "")) if part)


def rollout_words(rollout: RolloutEntry) -> tuple[str, str]:
    """The progress of a rollout, with the role of its colour."""
    bar = gauge(rollout.updated, rollout.total, 6)
    words = f"{bar} rollout {rollout.state.replace('_', ' ')}, {rollout.updated}/{rollout.total} new"
    if isinstance(rollout.instance, str) and rollout.reason:
        words += f": {clean(rollout.instance)}: {clean(rollout.reason)}"
    return words, "care" if rollout.state == "progressing" else "bad"


def autoscale_words(entry: AutoscaleEntry) -> str:
    """What autoscaling measured and decided last."""
    value = "not measured yet" if isinstance(entry.value, UnsetType) else _amount(entry.metric, entry.value)
    words = (
        f"{entry.metric} {value}, target {_amount(entry.metric, entry.target)}, {entry.min} to {entry.max}"
    )
    if entry.error:
        return f"{words}: cannot be measured: {clean(entry.error)}"
    return f"{words}: {clean(entry.reason)}" if entry.reason else words


def _amount(metric: str, value: float) -> str:
    return memory(int(value)) if metric == "memory" else percent(value) if metric == "cpu" else f"{value:g}"


def _schedule_words(entry: ProcessEntry, now: float) -> str:
    if not isinstance(entry.schedule, str):
        return ""
    return f"next run in {uptime(entry.next_run - now)}" if entry.next_run else "paused"


def _as_wanted(entry: ProcessEntry) -> bool:
    running = sum(one.state == "running" for one in entry.instances)
    return running >= entry.desired_scale or not entry.wanted or entry.state == "completed"


def _is_unhealthy(one: InstanceEntry) -> bool:
    return not isinstance(one.health, UnsetType) and one.health.status == "unhealthy"


def _worst_health(entry: ProcessEntry) -> HealthEntry | None:
    order = {"unhealthy": 0, "starting": 1, "healthy": 2}
    found = [one.health for one in entry.instances if not isinstance(one.health, UnsetType)]
    return min(found, key=lambda health: order.get(health.status, 0), default=None)


def _health_cell(health: HealthEntry | None) -> GridCell:
    if health is None:
        return GridCell("-", "muted")
    roles = {"healthy": "good", "unhealthy": "bad", "starting": "care"}
    return GridCell(clean(health.status), roles.get(health.status, "care"))


# -- schedules -------------------------------------------------------------------------------------------

SCHEDULE_COLUMNS = (
    GridColumn("NAME", 12, grows=True),
    GridColumn("STATE", 11),
    GridColumn("SCHEDULE", 14, rank=1, grows=True),
    GridColumn("NEXT", 9, right=True),
    GridColumn("LAST", 9, rank=2, right=True),
    GridColumn("EXIT", 4, right=True),
    GridColumn("RUNS", 6, rank=3, right=True),
    GridColumn("OK", 6, rank=4, right=True),
)


def schedule_row(entry: ProcessEntry, now: float) -> GridRow:
    """A scheduled process as a row under SCHEDULE_COLUMNS."""
    code = entry.last_exit_code
    failed = isinstance(code, int) and code != 0
    return GridRow(
        entry.name,
        (
            GridCell(clean(entry.name), "text bold"),
            state_cell(entry.schedule_state if isinstance(entry.schedule_state, str) else entry.state),
            GridCell(clean(entry.schedule) if isinstance(entry.schedule, str) else "-"),
            GridCell(f"in {uptime(entry.next_run - now)}" if entry.next_run else "-"),
            GridCell(f"{uptime(now - entry.last_run)} ago" if entry.last_run else "never", "muted"),
            GridCell(str(code) if isinstance(code, int) else "-", "bad" if failed else "muted"),
            GridCell(str(entry.run_count) if isinstance(entry.run_count, int) else "-", "muted"),
            _rate_cell(entry),
        ),
    )


def _rate_cell(entry: ProcessEntry) -> GridCell:
    rate = entry.success_rate
    if not isinstance(rate, float | int) or not entry.run_count:
        return GridCell("-", "muted")
    return GridCell(f"{rate:.0f}%", "good" if rate >= 99.5 else "care" if rate >= 50 else "bad")


RUN_COLUMNS = (
    GridColumn("STARTED", 19),
    GridColumn("RUN", 12, rank=1, grows=True),
    GridColumn("BY", 8, rank=2),
    GridColumn("TOOK", 8, right=True),
    GridColumn("EXIT", 4, right=True),
    GridColumn("RESULT", 12, grows=True),
)


def run_row(run: RunEntry) -> GridRow:
    """A finished run of a schedule as a row under RUN_COLUMNS."""
    return _ended(run.id, run.start_time, run.end_time, run.id, run.triggered, run.exit_code, run.error)


def execution_row(run: OneshotEntry) -> GridRow:
    """An execution of a oneshot as a row under RUN_COLUMNS."""
    return _ended(
        str(run.id),
        run.started_at,
        run.finished_at,
        run.instance_id,
        run.trigger_type,
        run.exit_code,
        run.error,
    )


def _ended(
    key: str, started: str, ended: str | None, name: str, by: str, code: int | None, error: str
) -> GridRow:
    running = ended is None
    result = (
        GridCell("running", "care")
        if running
        else GridCell(clean(error) or "success", "bad" if error else "good")
    )
    return GridRow(
        key,
        (
            GridCell(local_time(started)),
            GridCell(clean(name), "text"),
            GridCell(clean(by), "muted"),
            GridCell("-" if ended is None else took(started, ended), "text"),
            GridCell("-" if code is None else str(code), "bad" if code else "muted"),
            result,
        ),
    )


# -- changes and events ----------------------------------------------------------------------------------

CHANGE_COLUMNS = (
    GridColumn("STARTED", 8, rank=1),
    GridColumn("WHAT", 8),
    GridColumn("PROCESS", 12, grows=True),
    GridColumn("STATUS", 12),
    GridColumn("PROGRESS", 10, rank=2),
    GridColumn("BY", 12, rank=3),
    GridColumn("WHY", 12, grows=True),
)


def change_row(entry: ChangeEntry) -> GridRow:
    """A change as a row under CHANGE_COLUMNS."""
    done, total = entry.progress.done, entry.progress.total
    reason = next((one for one in (entry.reason, entry.why) if isinstance(one, str)), "")
    progress = f"{gauge(done, total, 5)} {done}/{total}" if total else ""
    return GridRow(
        entry.id,
        (
            GridCell(local_time(entry.started_at, date=False), "muted"),
            GridCell(clean(entry.kind), "text bold"),
            GridCell(change_subject(entry), "text"),
            state_cell(entry.status),
            GridCell(progress, state_look(entry.status).role),
            GridCell(clean(entry.actor.id), "muted"),
            GridCell(clean(reason), "bad" if entry.status == "failed" else "muted"),
        ),
    )


def change_subject(entry: ChangeEntry) -> str:
    """What a change is about: a process, several, or the configuration."""
    if isinstance(entry.processes, tuple):
        return clean(", ".join(entry.processes))
    return "configuration" if entry.process == "*" else clean(entry.process)


STEP_COLUMNS = (
    GridColumn("INSTANCE", 12, grows=True),
    GridColumn("STEP", 10),
    GridColumn("STATE", 12),
    GridColumn("WHY", 12, grows=True),
)


def step_row(step: StepEntry) -> GridRow:
    """How far a change is with one instance, as a row under STEP_COLUMNS."""
    last = step.last_output[-1] if isinstance(step.last_output, tuple) and step.last_output else ""
    reason = step.reason if isinstance(step.reason, str) else ""
    return GridRow(
        step.id,
        (
            GridCell(clean(step.id), "text bold"),
            state_cell(step.status),
            state_cell(step.state),
            GridCell(clean(": ".join(part for part in (reason, last) if part)), "bad"),
        ),
    )


EVENT_COLUMNS = (
    GridColumn("TIME", 12),
    GridColumn("WHERE", 10, grows=True),
    GridColumn("EVENT", 20),
    GridColumn("WHAT", 20, grows=True),
)

_GOOD = {"instance.started", "instance.ready", "instance.continued", "rollout.complete", "daemon.ready"}
_BAD = {
    *(
        "instance.start_failed",
        "instance.given_up",
        "process.timeout",
        "rollout.failed",
        "rollout.rolled_back",
    ),
    *("schedule.overdue", "config.failed", "daemon.defect"),
}
_CARE = {
    *(
        "instance.restarting",
        "instance.not_ready",
        "instance.suspended",
        "instance.killed",
        "process.blocked",
    ),
    *("schedule.run_skipped", "log.dropped", "daemon.not_ready", "daemon.stopping", "autoscale.failed"),
    "notification.failed",
}


def event_row(event: EventEntry) -> GridRow:
    """An event as a row under EVENT_COLUMNS."""
    process = event.process if isinstance(event.process, str) else ""
    where = event.instance if isinstance(event.instance, str) else process or "daemon"
    return GridRow(
        str(event.number),
        (
            GridCell(local_time(event.timestamp, date=False, fraction=True), "muted"),
            GridCell(clean(where), f"process:{process}" if process else "text"),
            GridCell(clean(event.kind), event_role(event)),
            GridCell(event_words(event), "text"),
        ),
    )


def event_role(event: EventEntry) -> str:
    """The role of the colour of an event."""
    data = event.data if isinstance(event.data, dict) else {}
    if event.kind == "instance.exited":
        return "bad" if data.get("requested") is False and data.get("exit_code") != 0 else "muted"
    if event.kind == "schedule.run_ended":
        return "bad" if isinstance(event.reason, str) else "good"
    if event.kind in ("instance.health", "process.state"):
        return state_look(str(data.get("state"))).role or "text"
    return (
        "good"
        if event.kind in _GOOD
        else "bad"
        if event.kind in _BAD
        else "care"
        if event.kind in _CARE
        else "text"
    )


def event_words(event: EventEntry) -> str:
    """What changed and why, in one line, without the last output."""
    data = {k: v for k, v in event.data.items() if k != "last_output"} if isinstance(event.data, dict) else {}
    parts = []
    if isinstance(data.get("before"), str) and isinstance(data.get("state"), str):
        parts.append(f"{data.pop('before')} → {data.pop('state')}")
    if isinstance(event.reason, str):
        parts.append(event.reason)
    parts += [
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in data.items()
    ]
    return clean("  ".join(parts))
