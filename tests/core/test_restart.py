from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.config.model import RestartPolicyName
from cbox_init.core.restart import Cause, Ending, NoRestart, RestartAfter, after_exit, backoff_s
from cbox_init.core.states import State
from tests.core.cases import CRASH, SUCCESS, restart_rules

ALWAYS, ON_FAILURE, NEVER = RestartPolicyName.ALWAYS, RestartPolicyName.ON_FAILURE, RestartPolicyName.NEVER
SIGNALLED = Ending(137, "killed by SIGKILL")


@pytest.mark.parametrize(
    ("ending", "success", "status", "cause"),
    [
        (SUCCESS, True, 0, Cause.NORMAL_EXIT),
        (CRASH, False, 1, Cause.CRASH),
        (SIGNALLED, False, 137, Cause.CRASH),
        (Ending(0, "unhealthy", Cause.HEALTH_CHECK), False, 1, Cause.HEALTH_CHECK),
        (Ending(143, "too large", Cause.MEMORY_LIMIT), False, 143, Cause.MEMORY_LIMIT),
        (Ending(2, "exit code 2", success_code=True), True, 0, Cause.NORMAL_EXIT),
        (Ending(143, "killed by SIGTERM", success_code=True), True, 0, Cause.NORMAL_EXIT),
        (Ending(0, "exit code 0", success_code=False), False, 1, Cause.CRASH),
        (Ending(127, "no such file", success_code=False), False, 127, Cause.CRASH),
        (Ending(2, "timed out", Cause.TIMEOUT, success_code=True), False, 2, Cause.TIMEOUT),
    ],
)
def test_what_an_ending_counts_as(ending: Ending, success: bool, status: int, cause: Cause) -> None:
    assert (ending.success, ending.status, ending.cause) == (success, status, cause)


@pytest.mark.parametrize(
    ("policy", "ending", "oneshot", "state"),
    [
        (ALWAYS, CRASH, False, None),
        (ALWAYS, SIGNALLED, False, None),
        (ON_FAILURE, SUCCESS, False, State.STOPPED),
        (ON_FAILURE, SUCCESS, True, State.COMPLETED),
        (ON_FAILURE, CRASH, False, None),
        (ON_FAILURE, CRASH, True, None),
        (ON_FAILURE, SIGNALLED, False, None),
        (NEVER, SUCCESS, False, State.STOPPED),
        (NEVER, SUCCESS, True, State.COMPLETED),
        (NEVER, CRASH, False, State.FAILED),
        (NEVER, CRASH, True, State.FAILED),
        (NEVER, SIGNALLED, True, State.FAILED),
    ],
)
def test_policy(policy: RestartPolicyName, ending: Ending, oneshot: bool, state: State | None) -> None:
    verdict = after_exit(restart_rules(policy), oneshot=oneshot, attempts=0, uptime_s=0.0, ending=ending)
    if state is None:
        assert verdict == RestartAfter(delay_s=1.0, attempts=1)
    else:
        assert verdict == NoRestart(state, f"{ending.reason}; restart is {policy.value}")


@pytest.mark.parametrize(
    ("max_attempts", "attempts", "expected"),
    [
        (3, 0, RestartAfter(1.0, 1)),
        (3, 1, RestartAfter(2.0, 2)),
        (3, 2, RestartAfter(4.0, 3)),
        (3, 3, NoRestart(State.FAILED, "gave up after 3 restarts: exited with code 1")),
        (3, 4, NoRestart(State.FAILED, "gave up after 4 restarts: exited with code 1")),
        (1, 1, NoRestart(State.FAILED, "gave up after 1 restart: exited with code 1")),
        (0, 1_000_000, RestartAfter(8.0, 1_000_001)),
    ],
)
def test_budget(max_attempts: int, attempts: int, expected: RestartAfter | NoRestart) -> None:
    rules = restart_rules(max_attempts=max_attempts)
    assert after_exit(rules, oneshot=False, attempts=attempts, uptime_s=0.0, ending=CRASH) == expected


@pytest.mark.parametrize(
    ("uptime_s", "attempts", "delay_s"),
    [(0.0, 0, 1.0), (0.9, 1, 2.0), (1.0, 1, 0.0), (5.0, 7, 0.0)],
)
def test_a_success_uses_no_budget(uptime_s: float, attempts: int, delay_s: float) -> None:
    rules = restart_rules(max_attempts=1)
    verdict = after_exit(rules, oneshot=False, attempts=attempts, uptime_s=uptime_s, ending=SUCCESS)
    assert verdict == RestartAfter(delay_s, attempts)


def test_quick_successes_do_not_keep_the_daemon_busy() -> None:
    rules = restart_rules(initial_s=0.0)
    verdict = after_exit(rules, oneshot=False, attempts=0, uptime_s=0.25, ending=SUCCESS)
    assert verdict == RestartAfter(0.75, 0)


def test_an_end_for_its_health_is_no_success() -> None:
    ending = Ending(0, "unhealthy", Cause.HEALTH_CHECK)
    verdict = after_exit(restart_rules(max_attempts=1), oneshot=False, attempts=1, uptime_s=5, ending=ending)
    assert verdict == NoRestart(State.FAILED, "gave up after 1 restart: unhealthy")
    assert ending.status == 1


AT_ONCE = RestartAfter(delay_s=0.0, attempts=0)
GAVE_UP = NoRestart(State.FAILED, "gave up after 3 restarts: exited with code 1")


@pytest.mark.parametrize(
    ("window_s", "uptime_s", "attempts", "expected"),
    [
        (60.0, 59.9, 3, GAVE_UP),
        (60.0, 60.0, 3, AT_ONCE),
        (60.0, 1e9, 0, AT_ONCE),
        (60.0, 59.9, 1, RestartAfter(2.0, 2)),
        (0.0, 0.0, 3, GAVE_UP),
        (0.0, 1e9, 3, GAVE_UP),
        (-1.0, 1e9, 3, GAVE_UP),
        (-1.0, 1e9, 0, RestartAfter(1.0, 1)),
        (1e-9, 0.0, 3, GAVE_UP),
    ],
)
def test_stability_window(
    window_s: float, uptime_s: float, attempts: int, expected: RestartAfter | NoRestart
) -> None:
    rules = restart_rules(window_s=window_s)
    assert after_exit(rules, oneshot=False, attempts=attempts, uptime_s=uptime_s, ending=CRASH) == expected


def test_stability_does_not_overrule_the_policy() -> None:
    verdict = after_exit(restart_rules(NEVER), oneshot=False, attempts=0, uptime_s=1e9, ending=CRASH)
    assert verdict == NoRestart(State.FAILED, "exited with code 1; restart is never")


@pytest.mark.parametrize(
    ("initial_s", "max_s", "waits"),
    [
        (1.0, 8.0, [1, 2, 4, 8, 8]),
        (0.5, 3.0, [0.5, 1, 2, 3, 3]),
        (5.0, 2.0, [2, 2]),
        (0.0, 60.0, [0, 0]),
        (1.0, 0.0, [0, 0]),
        (-1.0, 60.0, [0, 0]),
    ],
)
def test_backoff(initial_s: float, max_s: float, waits: list[float]) -> None:
    rules = restart_rules(initial_s=initial_s, max_s=max_s)
    assert [backoff_s(rules, attempts) for attempts in range(len(waits))] == waits


@given(initial_s=st.floats(1e-9, 1e6), max_s=st.floats(1e-9, 1e6), attempts=st.integers(0, 10**12))
@settings(deadline=None)
def test_backoff_rises_to_its_cap_and_never_above(initial_s: float, max_s: float, attempts: int) -> None:
    rules = restart_rules(initial_s=initial_s, max_s=max_s)
    this, following = backoff_s(rules, attempts), backoff_s(rules, attempts + 1)
    assert 0 < this <= following <= max_s
    assert following == min(2 * this, max_s) or attempts >= 62
