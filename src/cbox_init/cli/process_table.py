"""The table of processes: its columns, and why a process is not well. Pure: values in, styled text out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import UNSET, UnsetType

from cbox_init.cli.console import DIM, Span, TextStyle, table_lines
from cbox_init.words import percent, size, uptime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.client import InstanceEntry, ProcessEntry, RolloutEntry

_GOOD: Final = TextStyle("green")
_CARE: Final = TextStyle("yellow")
_BAD: Final = TextStyle("red")

_STATE_STYLES: Final = {
    "running": _GOOD,
    "completed": TextStyle("cyan"),
    "starting": _CARE,
    "stopping": _CARE,
    "failed": TextStyle("red", bold=True),
    "stopped": DIM,
    "scheduled": TextStyle("cyan"),
    "paused": DIM,
}

#: From the worst to the best; of several instances the worst is shown.
_HEALTH: Final = {"unhealthy": _BAD, "starting": _CARE, "healthy": _GOOD}


class Column(NamedTuple):
    """A column of the table: its title, its cell for a process at a time in Unix seconds, its order when the
    table is sorted by it."""

    title: str
    cell: Callable[[ProcessEntry, float], Span]
    key: Callable[[ProcessEntry, float], float] | None = None


def rows(
    columns: Sequence[str], entries: Iterable[ProcessEntry], now: float
) -> tuple[list[str], list[list[Span]]]:
    """The header and the rows of these columns; ``now`` in Unix seconds."""
    shown = [COLUMNS[name] for name in columns]
    return [one.title for one in shown], [[one.cell(entry, now) for one in shown] for entry in entries]


def table(
    columns: Sequence[str],
    entries: Sequence[ProcessEntry],
    now: float,
    width: int | None = None,
    *,
    fits: bool = False,
) -> list[list[Span]]:
    """The table in lines; with ``width`` the last column is cut to what the terminal has room for.

    ``fits``: where that is too little, columns are left out, the least important first.
    """
    kept = list(columns)
    header, cells = rows(kept, entries, now)
    for name in _LESS_IMPORTANT if fits and width is not None else ():
        if _least_width(header, cells) <= (width or 0):
            break
        at = kept.index(name)
        del kept[at], header[at]
        for row in cells:
            del row[at]
    return table_lines(header, cells, width)


def _least_width(header: Sequence[str], cells: Sequence[Sequence[Span]]) -> int:
    """The width of the table when the last column is cut as far as it stays of use."""
    lines = [[len(title) for title in header], *([len(cell.text) for cell in row] for row in cells)]
    *widths, last = [max(column) for column in zip(*lines, strict=True)]
    return int(sum(widths) + 2 * len(widths) + min(last, _LEAST_OF_USE))


def ordered(entries: Sequence[ProcessEntry], by: str | None, now: float) -> Sequence[ProcessEntry]:
    """The processes in the order of a column, the largest first; by name alphabetically, by None as given."""
    if by is None:
        return entries
    key = COLUMNS[by].key
    if key is None:
        return sorted(entries, key=lambda entry: COLUMNS[by].cell(entry, now).text)
    return sorted(entries, key=lambda entry: -key(entry, now))


def runs_as_it_should(entry: ProcessEntry) -> bool:
    """Whether a process runs, has completed, or does not have to run.

    No instance of it has failed for good, or waits for a restart.
    """
    if not entry.wanted:
        return True
    return entry.state in ("running", "completed", "scheduled") and all(
        one.state != "failed" and one.next_restart_at is UNSET for one in entry.instances
    )


def is_well(entry: ProcessEntry) -> bool:
    """Whether it also is healthy, as far as it has a health check, and no rollout of it has failed."""
    return runs_as_it_should(entry) and not (
        entry.wanted and (_health(entry) == "unhealthy" or _rollout_failed(entry))
    )


def all_run(entries: Iterable[ProcessEntry]) -> bool:
    """Whether every process that should run does."""
    return all(runs_as_it_should(entry) for entry in entries)


def why(entry: ProcessEntry, now: float) -> str:
    """Why a process is not well, such as "web-1: exit code 3, restart in 4s"; empty when there is nothing."""
    parts: list[str] = []
    if isinstance(entry.waiting_for, tuple) and entry.waiting_for:
        parts.append(f"waits for {', '.join(entry.waiting_for)}")
    if entry.wanted:
        instances = _instances(entry, now)
        if instances:
            parts.append(instances)
        elif isinstance(entry.reason, str) and not parts:
            parts.append(entry.reason)
    elif isinstance(entry.reason, str) and entry.state == "failed":
        parts.append(entry.reason)
    if _rollout_failed(entry):
        assert not isinstance(entry.rollout, UnsetType)
        parts.append(f"rollout {rollout(entry.rollout)}")
    if not isinstance(entry.autoscale, UnsetType) and isinstance(entry.autoscale.error, str):
        parts.append(f"autoscale: {entry.autoscale.error}")
    if isinstance(entry.last_exit_code, int) and entry.last_exit_code:
        parts.append(f"last run: exit code {entry.last_exit_code}")
    return one_line("; ".join(parts))


def one_line(text: str) -> str:
    """The text for a cell of a table: without line ends and tabs."""
    return " ".join(text.split()) if not text.isprintable() else text


def rollout(entry: RolloutEntry) -> str:
    """Its progress, such as "failed, 1/3 new: web-3: not ready 30 s after its start"."""
    words = f"{entry.state.replace('_', ' ')}, {entry.updated}/{entry.total} new"
    if isinstance(entry.instance, str) and isinstance(entry.reason, str) and entry.reason:
        words += f": {entry.instance}: {entry.reason}"
    return words


def state(name: str) -> Span:
    """The state of a process or an instance, in its colour."""
    return Span(name, _STATE_STYLES.get(name))


def scale(entry: ProcessEntry) -> str:
    """Running instances / desired instances. One that waits for a restart does not run."""
    running = sum(one.state == "running" for one in entry.instances)
    return f"{running if entry.desired_scale else entry.scale}/{entry.desired_scale}"


def restarts(entry: ProcessEntry) -> int:
    """Restarts of all instances."""
    return sum(instance.restart_count for instance in entry.instances)


def instance_uptime(instance: InstanceEntry, now: float) -> float | None:
    """Seconds since its start; None when it is not alive."""
    if not instance.pid or not instance.started_at:
        return None
    return now - instance.started_at


def _process_uptime(entry: ProcessEntry, now: float) -> float | None:
    """The uptime of the oldest running instance."""
    return max((up for one in entry.instances if (up := instance_uptime(one, now)) is not None), default=None)


def _instances(entry: ProcessEntry, now: float) -> str:
    """Why the first instance that is not well is not, and of how many others that is so."""
    bad = [one for one in entry.instances if _trouble(one)]
    if not bad:
        return ""
    first = bad[0]
    words = first.reason if isinstance(first.reason, str) else ""
    if not words and not isinstance(first.health, UnsetType):
        health = first.health
        words = f"{health.status}: {health.reason}" if isinstance(health.reason, str) else health.status
    words = words or first.state
    if isinstance(first.next_restart_at, float | int):
        words += f", restart in {uptime(first.next_restart_at - now)}"
    if len(entry.instances) > 1:
        words = f"{first.id}: {words}"
    return f"{words}, and {len(bad) - 1} more" if len(bad) > 1 else words


def _trouble(one: InstanceEntry) -> bool:
    unhealthy = not isinstance(one.health, UnsetType) and one.health.status == "unhealthy"
    return unhealthy or one.state == "failed" or one.next_restart_at is not UNSET or one.reason is not UNSET


def _rollout_failed(entry: ProcessEntry) -> bool:
    return not isinstance(entry.rollout, UnsetType) and entry.rollout.state in ("failed", "rolled_back")


def _health(entry: ProcessEntry) -> str:
    """The worst health of its instances; ``-`` without a health check."""
    found = {one.health.status for one in entry.instances if not isinstance(one.health, UnsetType)}
    return next((status for status in _HEALTH if status in found), "-")


def _health_cell(entry: ProcessEntry, now: float) -> Span:
    text = _health(entry)
    return Span(text, _HEALTH.get(text))


def _ready(entry: ProcessEntry) -> str:
    """Ready instances / wanted instances."""
    ready = sum(
        one.state == "running" and (isinstance(one.health, UnsetType) or one.health.ready)
        for one in entry.instances
    )
    return f"{ready}/{entry.desired_scale}"


def _pid_or_ready(entry: ProcessEntry, now: float) -> Span:
    if entry.desired_scale > 1 or len(entry.instances) > 1:
        return Span(_ready(entry))
    return Span(_pids(entry))


def _pids(entry: ProcessEntry) -> str:
    return ",".join(str(one.pid) for one in entry.instances if one.pid) or "-"


def _used(entry: ProcessEntry, text: str) -> Span:
    return Span(text if any(one.pid for one in entry.instances) else "-")


def _next_run(entry: ProcessEntry, now: float) -> str:
    return uptime(entry.next_run - now) if isinstance(entry.next_run, int) else "-"


COLUMNS: Final = {
    "name": Column("NAME", lambda entry, now: Span(one_line(entry.name))),
    "status": Column("STATUS", lambda entry, now: state(entry.state)),
    "scale": Column("SCALE", lambda entry, now: Span(scale(entry)), lambda entry, now: entry.desired_scale),
    "restarts": Column(
        "RESTARTS", lambda entry, now: Span(str(restarts(entry))), lambda entry, now: restarts(entry)
    ),
    "uptime": Column(
        "UPTIME",
        lambda entry, now: Span(uptime(_process_uptime(entry, now))),
        lambda entry, now: _process_uptime(entry, now) or 0.0,
    ),
    "pid": Column("PID/READY", _pid_or_ready),
    "cpu": Column(
        "CPU",
        lambda entry, now: _used(entry, percent(entry.cpu_percent)),
        lambda entry, now: entry.cpu_percent,
    ),
    "memory": Column(
        "MEMORY",
        lambda entry, now: _used(entry, size(entry.memory_rss_bytes).replace(" ", "")),
        lambda entry, now: entry.memory_rss_bytes,
    ),
    "health": Column("HEALTH", _health_cell),
    "type": Column("TYPE", lambda entry, now: Span(entry.type)),
    "ready": Column("READY", lambda entry, now: Span(_ready(entry))),
    "pids": Column("PIDS", lambda entry, now: Span(_pids(entry))),
    "schedule": Column(
        "SCHEDULE",
        lambda entry, now: Span(entry.schedule if isinstance(entry.schedule, str) else "-"),
    ),
    "next": Column("NEXT", lambda entry, now: Span(_next_run(entry, now))),
    "why": Column("WHY", lambda entry, now: Span(why(entry, now), _BAD if not is_well(entry) else DIM)),
}
"""The columns by the names that ``--columns`` takes, in the order of ``-o wide``."""

_LESS_IMPORTANT: Final = ("scale", "restarts", "memory", "cpu", "uptime")
"""Of the usual columns those that a narrow terminal leaves out, the first of them first."""

_LEAST_OF_USE: Final = 24

USUAL: Final = ("name", "status", "scale", "restarts", "uptime", "pid", "cpu", "memory", "health", "why")
"""The columns that are shown by default. Scripts read the first five by their number."""

SORTABLE: Final = ("name", *(name for name, column in COLUMNS.items() if column.key is not None))
