"""Short ways to write down the values that the tests of the core are about."""

from __future__ import annotations

import signal

from cbox_init.config.model import HealthCheckMode, RestartPolicyName, ShutdownMode
from cbox_init.config.rules import HealthRules, RestartRules, StopRules
from cbox_init.core.health import CheckResult, InstanceHealth, after, begin, notified, overdue
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.notify import NotifyMessage, NotifyState
from cbox_init.core.restart import Ending
from cbox_init.core.states import Desired, State

#: The moment at which the tables take place.
NOW = 100.0
#: When what waits in them falls due, unless a case says otherwise.
LATER = NOW + 7

CRASH = Ending(1, "exited with code 1")
SUCCESS = Ending(0, "exited with code 0")


def restart_rules(
    policy: RestartPolicyName = RestartPolicyName.ALWAYS,
    *,
    max_attempts: int = 3,
    initial_s: float = 1.0,
    max_s: float = 8.0,
    window_s: float = 60.0,
) -> RestartRules:
    return RestartRules(
        policy=policy,
        max_attempts=max_attempts,
        backoff_initial_s=initial_s,
        backoff_max_s=max_s,
        stability_window_s=window_s,
    )


def stop_rules(timeout_s: float = 10.0, *, pre_stop: bool = False, post_stop_s: float = 0.0) -> StopRules:
    return StopRules(
        signal=signal.SIGTERM,
        timeout_s=timeout_s,
        kill_signal=signal.SIGKILL,
        mode=ShutdownMode.GROUP,
        pre_stop=pre_stop,
        post_stop_s=post_stop_s,
    )


def health_rules(
    mode: HealthCheckMode = HealthCheckMode.BOTH,
    *,
    initial_delay_s: float = 1.0,
    period_s: float = 2.0,
    failure_threshold: int = 3,
    success_threshold: int = 1,
    start_timeout_s: float = 30.0,
    start_interval_s: float = 1.0,
    strict: bool = False,
    checked: bool = True,
    announced: bool = False,
) -> HealthRules:
    if not checked:
        initial_delay_s = period_s = 0.0
    return HealthRules(
        liveness=mode is not HealthCheckMode.READINESS,
        readiness=mode is not HealthCheckMode.LIVENESS,
        initial_delay_s=initial_delay_s,
        period_s=period_s,
        timeout_s=1.0 if checked else 0.0,
        failure_threshold=failure_threshold,
        success_threshold=success_threshold,
        start_timeout_s=start_timeout_s,
        start_interval_s=start_interval_s,
        strict=strict,
        checked=checked,
        announced=announced,
    )


def good(unix: float = 0.0) -> CheckResult:
    return CheckResult(unix=unix, latency_s=0.001)


def bad(unix: float = 0.0, reason: str = "refused") -> CheckResult:
    return CheckResult(unix=unix, latency_s=0.001, reason=reason)


def health(*results: CheckResult, rules: HealthRules | None = None, late: bool = False) -> InstanceHealth:
    """What these results, from the start on, add up to."""
    state = begin(rules or health_rules(), now=NOW - 5)
    for result in results:
        state = after(state, result)
    return overdue(state) if late else state


def told(rules: HealthRules, *words: str, begun: InstanceHealth | None = None) -> InstanceHealth:
    """What an instance that says these words adds up to."""
    state = begun or begin(rules, now=NOW)
    for word in words:
        state = notified(state, NotifyMessage(states=(NotifyState[word],)), now=NOW)
    return state


def want(scale: int, *, generation: int = 0, starts: int = 0) -> Desired:
    return Desired(run=True, scale=scale, generation=generation, starts=starts)


def want_stopped(scale: int = 1, *, generation: int = 0, starts: int = 0) -> Desired:
    return Desired(run=False, scale=scale, generation=generation, starts=starts)


def idle(index: int = 0, *, generation: int = 0) -> Instance:
    return Instance(index=index, generation=generation)


def running(
    index: int = 0,
    *,
    generation: int = 0,
    starts: int = 0,
    attempts: int = 0,
    health: InstanceHealth | None = None,
    surge: bool = False,
    ready_for_s: float = 4.0,
    renewed_at: float = NOW - 5,
    proven: bool | None = None,
) -> Instance:
    ready = health is None or health.ready
    return Instance(
        index=index,
        surge=surge,
        renewed_at=renewed_at,
        ready_at=NOW - ready_for_s if ready else None,
        proven=ready if proven is None else proven,
        phase=Phase.RUNNING,
        pid=1000 + index,
        up_at=NOW - 5,
        started_unix=1_700_000_000.0,
        spawned_before=True,
        generation=generation,
        starts=starts,
        attempts=attempts,
        health=health,
    )


def stopping(
    index: int = 0,
    *,
    kill_at: float = LATER,
    asked: bool = True,
    generation: int = 0,
    signal_at: float | None = None,
) -> Instance:
    """An instance that a command is ending or, not ``asked``, whose descendants are ending.

    With ``signal_at`` its pre-stop hook is not over, or is over since then.
    """
    return Instance(
        index=index,
        phase=Phase.STOPPING,
        pid=1000 + index if asked else 0,
        up_at=NOW - 5,
        spawned_before=True,
        asked=asked,
        signal_at=signal_at,
        kill_at=kill_at,
        generation=generation,
        ending=None if asked else CRASH,
        ended_at=0.0 if asked else NOW - 1,
    )


def waiting(index: int = 0, *, due_at: float = LATER, generation: int = 0, starts: int = 0) -> Instance:
    return Instance(
        index=index,
        phase=Phase.WAITING,
        due_at=due_at,
        spawned_before=True,
        generation=generation,
        starts=starts,
        attempts=1,
        ending=CRASH,
        reason=CRASH.reason,
    )


def ended(index: int = 0, outcome: State = State.FAILED, *, generation: int = 0, starts: int = 0) -> Instance:
    return Instance(
        index=index,
        phase=Phase.ENDED,
        outcome=outcome,
        spawned_before=True,
        generation=generation,
        starts=starts,
        attempts=3,
        ending=CRASH if outcome is State.FAILED else SUCCESS,
        reason="it ended",
    )
