"""Format events for people. Pure: values in, styled text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.cli.console import DIM, Span, TextStyle
from cbox_init.cli.log_lines import process_style
from cbox_init.words import to_milliseconds

if TYPE_CHECKING:
    from cbox_init.client import EventEntry

_GOOD = TextStyle("green")
_CARE = TextStyle("yellow")
_BAD = TextStyle("red")
_STYLES = {
    "instance.started": _GOOD,
    "instance.ready": _GOOD,
    "instance.continued": _GOOD,
    "rollout.complete": _GOOD,
    "daemon.ready": _GOOD,
    "instance.restarting": _CARE,
    "instance.not_ready": _CARE,
    "instance.suspended": _CARE,
    "instance.killed": _CARE,
    "process.blocked": _CARE,
    "schedule.run_skipped": _CARE,
    "log.dropped": _CARE,
    "daemon.not_ready": _CARE,
    "daemon.stopping": _CARE,
    "autoscale.failed": _CARE,
    "notification.failed": _CARE,
    "instance.start_failed": _BAD,
    "instance.given_up": _BAD,
    "process.timeout": _BAD,
    "rollout.failed": _BAD,
    "rollout.rolled_back": _BAD,
    "schedule.overdue": _BAD,
    "config.failed": _BAD,
    "daemon.defect": _BAD,
}
_LAST_OUTPUT = "last_output"
_INDENT = "    "


def event_lines(entry: EventEntry, *, output: bool = True) -> list[list[Span]]:
    """One event: time, instance or process, kind, what changed and why; then the last ``output`` of an
    instance, a line each."""
    data = entry.data if isinstance(entry.data, dict) else {}
    process = entry.process if isinstance(entry.process, str) else ""
    shown = entry.instance if isinstance(entry.instance, str) else process or "daemon"
    line = [
        Span(f"{to_milliseconds(entry.timestamp)} ", DIM),
        Span(shown, process_style(process) if process else None),
        Span(f" {entry.kind}", _style(entry)),
    ]
    rest = {key: value for key, value in data.items() if key != _LAST_OUTPUT}
    if isinstance(rest.get("before"), str) and isinstance(rest.get("state"), str):
        line.append(Span(f" {rest.pop('before')} -> {rest.pop('state')}"))
    if isinstance(entry.reason, str):
        line.append(Span(f": {_one_line(entry.reason)}"))
    if rest:
        line.append(Span("".join(f" {key}={_value(value)}" for key, value in rest.items()), DIM))
    if isinstance(entry.change, str):
        line.append(Span(f" change={entry.change}", DIM))
    last = data.get(_LAST_OUTPUT)
    if not output or not isinstance(last, str):
        return [line]
    return [line, *([Span(f"{_INDENT}{text}", DIM)] for text in last.splitlines())]


def _style(entry: EventEntry) -> TextStyle | None:
    data = entry.data if isinstance(entry.data, dict) else {}
    failed = data.get("requested") is False and data.get("exit_code") != 0
    if (entry.kind == "instance.exited" and failed) or (
        entry.kind == "schedule.run_ended" and isinstance(entry.reason, str)
    ):
        return _BAD
    if entry.kind in ("instance.health", "process.state"):
        return {"unhealthy": _BAD, "failed": _BAD, "healthy": _GOOD, "running": _GOOD}.get(
            str(data.get("state"))
        )
    return _STYLES.get(entry.kind)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _one_line(str(value))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
