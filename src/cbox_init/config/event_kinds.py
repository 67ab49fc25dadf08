"""The kinds of events, by which a notification chooses (docs/events.md says what each means)."""

from __future__ import annotations

from typing import Final

#: Stands for the events that say that something is wrong, in ``notifications.events``.
PROBLEMS: Final = "problems"

EVENT_KINDS: Final = (
    *("instance.started", "instance.start_failed", "instance.exited", "instance.restarting"),
    *("instance.given_up", "instance.killed", "instance.suspended", "instance.continued"),
    *("instance.health", "instance.ready", "instance.not_ready"),
    *("hook.started", "hook.ended"),
    *("process.state", "process.blocked", "process.timeout"),
    *("rollout.started", "rollout.step", "rollout.complete", "rollout.failed", "rollout.rolled_back"),
    *("schedule.run_started", "schedule.run_ended", "schedule.run_skipped", "schedule.overdue"),
    *("schedule.paused", "schedule.resumed"),
    *("config.changed", "config.failed"),
    *("change.started", "change.progress", "change.ended"),
    "log.dropped",
    *("daemon.started", "daemon.ready", "daemon.not_ready", "daemon.stopping", "daemon.defect"),
    *("autoscale.decided", "autoscale.failed"),
    "notification.failed",
)
