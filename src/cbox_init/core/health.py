"""What an instance's health checks add up to: results, thresholds and time in; ready, unready, unhealthy out.

    STARTING ──success_threshold successes in a row──▶ HEALTHY ◀──┐
        │                                                 │       │ success_threshold successes
        └────────failure_threshold failures in a row──────┴──▶ UNHEALTHY

The mode says what follows. For readiness only a healthy instance is ready, and nothing ever ends one. For
liveness an unhealthy one is ended, and the restart policy decides as after a crash; ready it is from its
start. ``both`` is both.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from cbox_init.config.rules import HealthRules

#: The first checks of instances that start together are spread over this part of the period, and no longer
#: than so many seconds: somebody may be waiting for them.
_FIRST_SPREAD = 0.1
_FIRST_SPREAD_S = 1.0


class HealthState(StrEnum):
    """What the checks of one run have shown so far."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class CheckResult(Struct, frozen=True, kw_only=True):
    """How one check ended: ``reason`` says why it failed, and is None when it succeeded."""

    unix: float
    latency_s: float
    reason: str | None = None


class Health(Struct, frozen=True, kw_only=True):
    """The checks of one run of an instance. Counts are of results in a row.

    ``healthy_by`` is the monotonic time by which it should have been healthy, None for no limit; ``late``
    says that it was not.
    """

    rules: HealthRules
    healthy_by: float | None
    state: HealthState = HealthState.STARTING
    was_healthy: bool = False
    late: bool = False
    successes: int = 0
    failures: int = 0
    last: CheckResult | None = None

    @property
    def ready(self) -> bool:
        """Whether the instance may get work, as far as its checks tell."""
        return self.state is HealthState.HEALTHY or not self.rules.readiness

    @property
    def settling(self) -> bool:
        """Whether it may still get healthy within the time that a start has."""
        return not self.was_healthy and not self.late

    @property
    def fatal(self) -> bool:
        """Whether the instance is to be ended. Never in mode readiness."""
        if not self.rules.liveness:
            return False
        return self.state is HealthState.UNHEALTHY or (self.late and self.rules.strict)

    @property
    def reason(self) -> str | None:
        """Why it is not healthy; None while it is, or may still get so."""
        failed = self.last.reason if self.last else None
        why = f": {failed}" if failed else ""
        if self.state is HealthState.UNHEALTHY:
            return f"unhealthy after {_failures(self.failures)}{why}" if self.failures else "unhealthy"
        if self.late:
            return f"not healthy {start_limit_s(self.rules):g} s after its first check{why}"
        return None


def begin(rules: HealthRules, *, now: float) -> Health:
    """The health of an instance that starts now."""
    if not rules.start_timeout_s:
        return Health(rules=rules, healthy_by=None)
    return Health(rules=rules, healthy_by=now + rules.initial_delay_s + start_limit_s(rules))


def begin_anew(before: Health | None, rules: HealthRules, *, now: float) -> Health:
    """The health of an instance that runs already and gets another check: well, if it counted as well."""
    health = begin(rules, now=now)
    if before is None or before.state is HealthState.HEALTHY:
        return replace(health, state=HealthState.HEALTHY, was_healthy=True)
    return health


def start_limit_s(rules: HealthRules) -> float:
    """How long after its first check an instance may take to get healthy.

    Never less than ``success_threshold`` checks take: what is well from the first moment is not late.
    """
    least_s = rules.timeout_s + _first_spread_s(rules) + 1.5 * rules.period_s * (rules.success_threshold - 1)
    return max(rules.start_timeout_s, least_s)


def after(health: Health, result: CheckResult) -> Health:
    """The health after another result."""
    rules = health.rules
    if result.reason is None:
        successes = health.successes + 1
        healthy = successes >= rules.success_threshold
        return replace(
            health,
            state=HealthState.HEALTHY if healthy else health.state,
            was_healthy=health.was_healthy or healthy,
            late=health.late and not healthy,
            successes=successes,
            failures=0,
            last=result,
        )
    failures = health.failures + 1
    return replace(
        health,
        state=HealthState.UNHEALTHY if failures >= rules.failure_threshold else health.state,
        successes=0,
        failures=failures,
        last=result,
    )


def overdue(health: Health) -> Health:
    """The health of an instance that has not become healthy by ``healthy_by``."""
    return replace(health, late=True)


def shows_change(before: Health, now: Health) -> bool:
    """Whether more has changed than the counts and the last result: somebody may have to act."""
    return before.state is not now.state or before.late is not now.late


def spread(instance_id: str) -> float:
    """The place of an instance in the period, from 0 to below 1: always the same one for the same name."""
    return crc32(instance_id.encode()) / 2**32


def first_check_at(rules: HealthRules, place: float, *, up_at: float) -> float:
    """When an instance that started at ``up_at`` is checked first: soon after its initial delay."""
    return up_at + rules.initial_delay_s + place * _first_spread_s(rules)


def next_check_at(rules: HealthRules, place: float, *, up_at: float, began_at: float, now: float) -> float:
    """When it is checked next, after a check that began at ``began_at`` and has ended ``now``.

    A period later, but for the second check, which comes between half a period and one and a half after the
    first: it takes the instance to its place in the period, so that checks of instances that started
    together are spread over all of it. Turns that a slow check has missed are left out.
    """
    period = rules.period_s
    origin = up_at + rules.initial_delay_s + place * period
    earliest = max(began_at + period / 2, now)
    return max(earliest, origin + math.ceil((earliest - origin) / period) * period)


def _first_spread_s(rules: HealthRules) -> float:
    return min(_FIRST_SPREAD * rules.period_s, _FIRST_SPREAD_S)


def _failures(count: int) -> str:
    return "1 failed check" if count == 1 else f"{count} failed checks in a row"
