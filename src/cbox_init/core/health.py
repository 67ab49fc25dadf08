"""The health of an instance, from the results of its checks, thresholds and time.

    STARTING ──success_threshold successes in a row──▶ HEALTHY ◀──┐
        │                                                 │       │ success_threshold successes
        └─────────failure_threshold failures in a row─────┴──▶ UNHEALTHY
          once the time to start is over

The mode says what follows. ``readiness``: only a healthy instance is ready, and none is ever ended.
``liveness``: an unhealthy instance is ended, and the restart policy decides as after a crash; it is ready
from its start. ``both`` is both.

An instance of ``type: notify`` reports itself when it is ready (`cbox_init.core.notify`), and one with
``ready_when`` by a line of its output. Where it has a check too, both must agree; where it has none, its
checks count as passed.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from cbox_init.config.rules import HealthRules
    from cbox_init.core.notify import NotifyMessage, NotifyStatus

#: The first checks of instances that start together are spread over this part of the period, and at most over
#: `_FIRST_SPREAD_S`, since others may be waiting for them.
_FIRST_SPREAD = 0.1
_FIRST_SPREAD_S = 1.0

#: How much of a pattern is shown, in characters.
_LONGEST_PATTERN: Final = 100

#: Seconds until a check that could not be run is tried again; less where the period is less.
CHECK_AGAIN_S = 1.0


class HealthState(StrEnum):
    """What one run has shown so far."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class CheckResult(Struct, frozen=True, kw_only=True):
    """How one check ended: ``reason`` says why it failed, and is None when it succeeded.

    ``ran`` is False when it could not be run, for the ``reason``: that is neither success nor failure.
    """

    unix: float
    latency_s: float
    reason: str | None = None
    ran: bool = True


class InstanceHealth(Struct, frozen=True, kw_only=True):
    """The checks of one run of an instance, and what it reports itself. Counts are of results in a row.

    ``healthy_by`` is the monotonic time by which it should have been healthy, None for no limit; ``overdue``
    says that it was not. ``checks`` is the state by the checks alone, ``notify`` what it reports, if
    anything. ``not_checked`` says why the latest check could not be run, None when it was.
    """

    rules: HealthRules
    healthy_by: float | None
    checks: HealthState = HealthState.STARTING
    notify: NotifyStatus | None = None
    was_healthy: bool = False
    overdue: bool = False
    successes: int = 0
    failures: int = 0
    last: CheckResult | None = None
    not_checked: str | None = None

    @property
    def state(self) -> HealthState:
        """The worse of what its checks show and of what it reports."""
        notify = self.notify
        if notify is not None and self.checks is not HealthState.UNHEALTHY:
            if notify.failure:
                return HealthState.UNHEALTHY
            if notify.starting:
                return HealthState.STARTING
        return self.checks

    @property
    def ready(self) -> bool:
        """Whether the instance may get work, by its checks and by what it reports."""
        if self.notify is not None and not self.notify.ready:
            return False
        return self.checks is HealthState.HEALTHY or not self.rules.readiness

    @property
    def may_become_healthy(self) -> bool:
        """Whether it was not healthy yet and its time to start is not over: failures do not end it."""
        return not self.was_healthy and not self.overdue

    @property
    def fatal(self) -> bool:
        """Whether the instance must be ended. A check in mode readiness never ends one."""
        overdue_is_fatal = self.overdue and self.rules.strict
        if self.notify is not None and (self.notify.failure or (overdue_is_fatal and self.notify.starting)):
            return True
        return self.rules.liveness and (self.checks is HealthState.UNHEALTHY or overdue_is_fatal)

    @property
    def failure(self) -> str | None:
        """Why its watchdog expired, else why its last check failed."""
        if self.notify is not None and self.notify.failure:
            return self.notify.failure
        return self.last.reason if self.last else None

    @property
    def reason(self) -> str | None:
        """Why it is not healthy; None while it is, or may still become healthy."""
        failed = self.last.reason if self.last else None
        why = f": {failed}" if failed else ""
        if self.checks is HealthState.UNHEALTHY:
            return f"unhealthy after {_failures(self.failures)}{why}" if self.failures else "unhealthy"
        if self.notify is not None and self.notify.failure:
            return f"unhealthy: {self.notify.failure}"
        if self.notify is not None and self.notify.starting:
            if self.rules.pattern is not None:
                return _not_matched(self.rules, self.rules.pattern, late=self.overdue)
            return _not_reported(self.rules, self.notify) if self.overdue else None
        if self.overdue:
            return f"not healthy {start_limit_s(self.rules):g} s after its first check{why}"
        return self.notify.reason if self.notify else None


def begin(rules: HealthRules, *, now: float) -> InstanceHealth:
    """The health of an instance that starts now."""
    notify = None
    if rules.announced:
        from cbox_init.core.notify import NotifyStatus

        notify = NotifyStatus()
    limit_s = rules.initial_delay_s + start_limit_s(rules)
    return InstanceHealth(
        rules=rules,
        healthy_by=now + limit_s if rules.start_timeout_s else None,
        checks=HealthState.STARTING if rules.checked else HealthState.HEALTHY,
        notify=notify,
    )


def begin_recheck(before: InstanceHealth | None, rules: HealthRules, *, now: float) -> InstanceHealth:
    """The health of a running instance whose check has changed: healthy, if it counted as healthy before.

    What it has reported itself is kept.
    """
    health = begin(rules, now=now)
    if before is not None:
        health = replace(health, notify=before.notify)
    if before is None or before.checks is HealthState.HEALTHY:
        health = replace(health, checks=HealthState.HEALTHY)
    return _with_healthy_noted(health)


def start_limit_s(rules: HealthRules) -> float:
    """How long after its first check an instance may take to become healthy.

    Never less than ``success_threshold`` checks take, so that one which is healthy at once is not late.
    """
    checks_s = 1.5 * rules.start_interval_s * (rules.success_threshold - 1)
    least_s = rules.timeout_s + _first_spread_s(rules) + checks_s
    return max(rules.start_timeout_s, least_s)


def after(health: InstanceHealth, result: CheckResult) -> InstanceHealth:
    """The health after another result."""
    rules = health.rules
    if result.reason is None:
        successes = health.successes + 1
        healthy = successes >= rules.success_threshold
        checks = HealthState.HEALTHY if healthy else health.checks
        return _with_healthy_noted(
            replace(health, checks=checks, successes=successes, failures=0, last=result, not_checked=None)
        )
    failures = health.failures + 1
    unhealthy = failures >= rules.failure_threshold and not health.may_become_healthy
    return replace(
        health,
        checks=HealthState.UNHEALTHY if unhealthy else health.checks,
        successes=0,
        failures=failures,
        last=result,
        not_checked=None,
    )


def after_none(health: InstanceHealth, reason: str, *, now: float) -> InstanceHealth:
    """The health after a check that could not be run: as before, with the time for another one."""
    healthy_by = health.healthy_by
    if healthy_by is not None and health.may_become_healthy:
        healthy_by = max(healthy_by, now + CHECK_AGAIN_S + health.rules.timeout_s)
    return replace(health, not_checked=reason, healthy_by=healthy_by)


def notified(health: InstanceHealth, message: NotifyMessage, *, now: float) -> InstanceHealth:
    """The health after another message of an instance that reports itself."""
    from cbox_init.core import notify

    assert health.notify is not None
    healthy_by = health.healthy_by
    if message.extend_s is not None and healthy_by is not None:
        healthy_by = max(healthy_by, now + message.extend_s)
    after_it = notify.after(health.notify, message)
    return _with_healthy_noted(replace(health, notify=after_it, healthy_by=healthy_by))


def overdue(health: InstanceHealth) -> InstanceHealth:
    """The health of an instance that has not become healthy by ``healthy_by``: its failures count from now
    on.
    """
    unhealthy = health.checks is HealthState.STARTING and health.failures >= health.rules.failure_threshold
    return replace(health, overdue=True, checks=HealthState.UNHEALTHY if unhealthy else health.checks)


def shows_change(before: InstanceHealth, now: InstanceHealth) -> bool:
    """Whether more has changed than counts and the last result, so that something may have to be done."""
    return _shown(before) != _shown(now)


def _shown(health: InstanceHealth) -> tuple[HealthState, bool, bool, str | None]:
    return health.state, health.overdue, health.ready, health.not_checked


def spread(instance_id: str) -> float:
    """The place of an instance in the period, from 0 to below 1; the same for the same name."""
    return crc32(instance_id.encode()) / 2**32


def first_check_at(rules: HealthRules, place: float, *, up_at: float) -> float:
    """When an instance that started at ``up_at`` is checked first: soon after its initial delay."""
    return up_at + rules.initial_delay_s + place * _first_spread_s(rules)


def in_start(rules: HealthRules, *, up_at: float, now: float, was_healthy: bool) -> bool:
    """Whether an instance is checked each ``start_interval``: until it is healthy, or its time to start is
    over.
    """
    if was_healthy:
        return False
    return not rules.start_timeout_s or now < up_at + rules.initial_delay_s + start_limit_s(rules)


def next_check_at(
    rules: HealthRules,
    place: float,
    *,
    up_at: float,
    began_at: float,
    now: float,
    starting: bool = False,
    aligned: bool = True,
) -> float:
    """When an instance is checked next, after a check that began at ``began_at`` and has ended ``now``.

    ``starting``: a start interval later (`in_start`). Else a period later. Checks keep the instance's place
    in the period, so that those of instances that started together are spread over all of it; after one that
    was not ``aligned`` to that place, the next comes between one and two periods later. Turns that a slow
    check has missed are left out.
    """
    if starting:
        return max(began_at + rules.start_interval_s, now)
    period = rules.period_s
    origin = up_at + rules.initial_delay_s + place * period
    earliest = max(began_at + (period / 2 if aligned else period), now)
    return max(earliest, origin + math.ceil((earliest - origin) / period) * period)


def _with_healthy_noted(health: InstanceHealth) -> InstanceHealth:
    """``health`` with the note that it was healthy, if it is."""
    if health.state is not HealthState.HEALTHY or (health.was_healthy and not health.overdue):
        return health
    return replace(health, was_healthy=True, overdue=False)


def _not_reported(rules: HealthRules, notify: NotifyStatus) -> str:
    said = f'; its status is "{notify.status}"' if notify.status else ""
    return f"no READY=1 in time (global.process_start_timeout: {rules.start_timeout_s:g} s){said}"


def _not_matched(rules: HealthRules, pattern: str, *, late: bool) -> str:
    if len(pattern) > _LONGEST_PATTERN:
        pattern = f"{pattern[: _LONGEST_PATTERN - 1]}…"
    if not late:
        return f"waiting for log pattern {pattern!r}"
    return f"no line matched log pattern {pattern!r} within {rules.start_timeout_s:g} s"


def _first_spread_s(rules: HealthRules) -> float:
    return min(_FIRST_SPREAD * rules.period_s, _FIRST_SPREAD_S)


def _failures(count: int) -> str:
    return "1 failed check" if count == 1 else f"{count} failed checks in a row"
