"""What an event means for a person: how bad it is, in words, and what it is about. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.supervisor.events import Event


class EventSeverity(StrEnum):
    """How bad it is. The words are those of PagerDuty, too."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


#: The kind of messages that are sent by hand, to try a notification.
TEST_KIND: Final = "notification.test"

_SEVERITIES: Final = {
    "instance.given_up": EventSeverity.CRITICAL,
    "instance.start_failed": EventSeverity.ERROR,
    "process.timeout": EventSeverity.ERROR,
    "rollout.failed": EventSeverity.ERROR,
    "rollout.rolled_back": EventSeverity.ERROR,
    "schedule.overdue": EventSeverity.ERROR,
    "config.failed": EventSeverity.ERROR,
    "log.dropped": EventSeverity.WARNING,
    "daemon.defect": EventSeverity.ERROR,
    "autoscale.failed": EventSeverity.WARNING,
    "notification.failed": EventSeverity.WARNING,
}

_WORDS: Final = {
    "instance.started": "was started",
    "instance.start_failed": "could not be started",
    "instance.exited": "has ended",
    "instance.restarting": "is restarted",
    "instance.given_up": "was given up",
    "instance.killed": "was killed",
    "instance.suspended": "was suspended",
    "instance.continued": "was continued",
    "instance.ready": "is ready",
    "instance.not_ready": "is not ready",
    "hook.started": "runs a hook",
    "hook.ended": "has ended a hook",
    "process.blocked": "waits for its dependencies",
    "process.timeout": "has waited too long for its dependencies",
    "rollout.started": "is being replaced",
    "rollout.step": "is being replaced",
    "rollout.complete": "was replaced",
    "rollout.failed": "could not be replaced",
    "rollout.rolled_back": "was rolled back",
    "schedule.run_started": "has begun a run",
    "schedule.run_ended": "has ended a run",
    "schedule.run_skipped": "has skipped a run",
    "schedule.overdue": "is overdue",
    "schedule.paused": "is paused",
    "schedule.resumed": "is resumed",
    "config.changed": "has another configuration",
    "config.failed": "could not change the configuration",
    "log.dropped": "has lost lines of its log",
    "daemon.started": "was started",
    "daemon.ready": "is ready",
    "daemon.not_ready": "is not ready",
    "daemon.stopping": "is shutting down",
    "daemon.defect": "has met a defect",
    "autoscale.decided": "is scaled",
    "autoscale.failed": "cannot find out its load",
    "notification.failed": "could not deliver a notification",
    "notification.test": "sends a test",
}

#: What a problem is about, as the last part of its key: a recovery ends all problems with the same key.
_ABOUT: Final = {
    "instance.given_up": "run",
    "instance.start_failed": "run",
    "instance.exited": "run",
    "instance.health": "health",
    "process.timeout": "dependencies",
    "rollout.failed": "rollout",
    "rollout.rolled_back": "rollout",
    "schedule.run_ended": "runs",
    "schedule.overdue": "runs",
    "config.failed": "config",
    "daemon.not_ready": "readiness",
    "autoscale.failed": "autoscale",
}

_RECOVERIES: Final = {
    "instance.ready": ("run", "health"),
    "instance.health": ("health",),
    "instance.started": ("run", "dependencies"),
    "instance.exited": ("run", "health"),
    "rollout.complete": ("rollout",),
    "schedule.run_ended": ("runs",),
    "config.changed": ("config",),
    "daemon.ready": ("readiness",),
    "autoscale.decided": ("autoscale",),
}

#: How many others that the same has happened to are named.
_MOST_NAMED: Final = 20

#: Problems of a process as a whole, although an instance is named.
_OF_PROCESSES: Final = frozenset(("dependencies", "rollout", "runs", "autoscale"))


def severity(event: Event) -> EventSeverity:
    """How bad an event is; `EventSeverity.INFO` where nothing is wrong."""
    data = event.data
    match event.kind:
        case "instance.exited":
            return EventSeverity.WARNING if data.get("failed") else EventSeverity.INFO
        case "daemon.not_ready":
            return EventSeverity.INFO if data.get("shutting_down") else EventSeverity.WARNING
        case "instance.health":
            return EventSeverity.WARNING if data.get("state") == "unhealthy" else EventSeverity.INFO
        case "schedule.run_ended":
            return EventSeverity.ERROR if _run_failed(event) else EventSeverity.INFO
        case "hook.ended":
            return EventSeverity.WARNING if event.reason not in ("", "cancelled") else EventSeverity.INFO
        case "change.ended":
            return EventSeverity.WARNING if data.get("status") == "failed" else EventSeverity.INFO
    return _SEVERITIES.get(event.kind, EventSeverity.INFO)


def is_problem(event: Event) -> bool:
    """Whether an event says that something is wrong."""
    return severity(event) is not EventSeverity.INFO


def problem_key(event: Event) -> str:
    """What a problem is about; equal for all events about the same."""
    about = _ABOUT.get(event.kind, event.kind)
    return f"{_subject_of(event, about)}/{about}"


def recovered_keys(event: Event) -> tuple[str, ...]:
    """The keys of the problems that are over with this event, unless they come again at once."""
    if is_problem(event) or (event.kind == "instance.health" and event.data.get("state") != "healthy"):
        return ()
    if event.kind == "instance.exited" and not event.data.get("requested"):
        return ()
    return tuple(f"{_subject_of(event, about)}/{about}" for about in _RECOVERIES.get(event.kind, ()))


def title(event: Event) -> str:
    """An event in a few words, with its subject."""
    subject = event.instance or event.process or "cbox-init"
    if event.kind in ("instance.health", "process.state") and (state := event.data.get("state")):
        return f"{subject} is {state}"
    if event.kind == "hook.ended" and is_problem(event):
        return f"{subject} has a hook that failed"
    if event.kind == "schedule.run_ended" and _run_failed(event):
        return f"{subject} has failed a run"
    words = _WORDS.get(event.kind) or event.kind.replace(".", ": ", 1).replace("_", " ")
    return f"{subject} {words}"


def title_with(event: Event, others: Sequence[str]) -> str:
    """The same, with the number of others that it has happened to."""
    return f"{title(event)}, and {len(others)} more" if others else title(event)


def text(event: Event, count: int, others: Sequence[str] = ()) -> str:
    """An event in a line: title, reason, to whom else it has happened, and how often it was there."""
    more = f": {', '.join(others[:_MOST_NAMED])}" if others else ""
    rest = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    times = f" ({count} times)" if count > 1 else ""
    why = f": {event.reason}" if event.reason else ""
    return f"{title(event)}{why}{times}{', also' if others else ''}{more}{rest}"


def _subject_of(event: Event, about: str) -> str:
    subject = event.process if about in _OF_PROCESSES else event.instance or event.process
    return subject or "daemon"


def _run_failed(event: Event) -> bool:
    return bool(event.reason)
