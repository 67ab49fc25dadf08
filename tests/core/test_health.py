"""What results, thresholds and time add up to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.config.model import HealthCheckMode
from cbox_init.core.decide import Action, NoteOverdue, Spawn, Stop, Terminate, Wait, decide
from cbox_init.core.health import (
    CHECK_AGAIN_S,
    HealthState,
    InstanceHealth,
    after,
    after_none,
    begin,
    begin_recheck,
    first_check_at,
    in_start,
    next_check_at,
    notified,
    overdue,
    shows_change,
    spread,
    start_limit_s,
)
from cbox_init.core.instance import (
    Instance,
    Phase,
    checked,
    gone,
    main_exited,
    overdue_noted,
    spawned,
    stop_begun,
    terminated,
)
from cbox_init.core.notify import READY_MESSAGE
from cbox_init.core.restart import Cause, Ending
from cbox_init.core.states import Revision, State
from cbox_init.core.summary import has_settled, is_ready
from tests.core.cases import NOW, bad, good, health, health_rules, idle, restart_rules, stop_rules, want
from tests.core.cases import running as up

if TYPE_CHECKING:
    from cbox_init.config.rules import HealthRules

BOTH, LIVENESS, READINESS = HealthCheckMode.BOTH, HealthCheckMode.LIVENESS, HealthCheckMode.READINESS
STARTING, HEALTHY, UNHEALTHY = HealthState.STARTING, HealthState.HEALTHY, HealthState.UNHEALTHY
FIRST = Revision(0, 0)


def shown(results: str, rules: HealthRules) -> InstanceHealth:
    """What results add up to: a success, a failure, or (L) the end of the time to start."""
    now = begin(rules, now=NOW)
    for one in results:
        now = overdue(now) if one == "L" else after(now, good() if one == "+" else bad())
    return now


def test_a_check_that_could_not_be_run_changes_no_count() -> None:
    for results in ("", "+", "--", "L--", "+---"):
        before = shown(results, health_rules())
        now = after_none(before, "too many open files", now=NOW)
        assert (now.state, now.ready, now.fatal, now.successes, now.failures, now.last) == (
            *(before.state, before.ready, before.fatal, before.successes, before.failures, before.last),
        )
        assert now.not_checked == "too many open files"
        assert shows_change(before, now)
        assert after(now, good()).not_checked is None
        assert after(now, bad()).not_checked is None


def test_a_check_that_could_not_be_run_leaves_the_time_for_another() -> None:
    before = begin(health_rules(), now=NOW)
    assert before.healthy_by
    late = before.healthy_by - 0.001
    again_by = after_none(before, "out of memory", now=late).healthy_by
    assert again_by == late + CHECK_AGAIN_S + before.rules.timeout_s
    assert after_none(before, "out of memory", now=NOW).healthy_by == before.healthy_by
    for results in ("+", "L"):  # it was healthy, or its time is over: that stays
        done = shown(results, health_rules())
        assert after_none(done, "out of memory", now=late).healthy_by == done.healthy_by


@pytest.mark.parametrize(
    ("results", "successes", "failures", "state"),
    [
        ("", 1, 3, STARTING),
        ("+", 1, 3, HEALTHY),
        ("+", 2, 3, STARTING),
        ("++", 2, 3, HEALTHY),
        ("+-+", 2, 3, STARTING),
        ("--", 1, 3, STARTING),
        ("-----", 1, 3, STARTING),
        ("---+", 1, 3, HEALTHY),
        ("--L", 1, 3, STARTING),
        ("--L-", 1, 3, UNHEALTHY),
        ("---L", 1, 3, UNHEALTHY),
        ("---L+", 1, 3, HEALTHY),
        ("L---", 1, 3, UNHEALTHY),
        ("--+--", 1, 3, HEALTHY),
        ("+---", 1, 3, UNHEALTHY),
        ("+---+", 1, 3, HEALTHY),
        ("L---+", 2, 3, UNHEALTHY),
        ("L---+-+", 2, 3, UNHEALTHY),
        ("L---++", 2, 3, HEALTHY),
        ("+-", 1, 1, UNHEALTHY),
    ],
)
def test_thresholds(results: str, successes: int, failures: int, state: HealthState) -> None:
    rules = health_rules(success_threshold=successes, failure_threshold=failures)
    assert shown(results, rules).state is state


@pytest.mark.parametrize(
    ("mode", "results", "ready", "fatal"),
    [
        (BOTH, "", False, False),
        (BOTH, "+", True, False),
        (BOTH, "+--", True, False),
        (BOTH, "---", False, False),
        (BOTH, "---L", False, True),
        (BOTH, "+---", False, True),
        (READINESS, "", False, False),
        (READINESS, "+", True, False),
        (READINESS, "-------", False, False),
        (LIVENESS, "", True, False),
        (LIVENESS, "+", True, False),
        (LIVENESS, "---", True, False),
        (LIVENESS, "---L", True, True),
        (LIVENESS, "+---", True, True),
    ],
)
def test_modes(mode: HealthCheckMode, results: str, ready: bool, fatal: bool) -> None:
    now = shown(results, health_rules(mode))
    assert (now.ready, now.fatal) == (ready, fatal)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("mode", HealthCheckMode)
def test_late_is_fatal_only_when_strict_and_never_for_readiness(mode: HealthCheckMode, strict: bool) -> None:
    now = health(bad(), rules=health_rules(mode, strict=strict), late=True)
    assert now.fatal == (strict and mode is not READINESS)
    assert now.reason == "not healthy 30 s after its first check: refused"


def test_what_was_late_and_gets_healthy_is_well() -> None:
    now = after(health(bad(), late=True), good())
    assert (now.state, now.overdue, now.was_healthy, now.reason) == (HEALTHY, False, True, None)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (health(), None),
        (health(bad()), None),
        (health(good()), None),
        (health(bad(), bad(), bad()), None),
        (shown("+-", health_rules(failure_threshold=1)), "unhealthy after 1 failed check: refused"),
        (health(good(), bad(), bad(), bad(reason="late")), "unhealthy after 3 failed checks in a row: late"),
        (shown("L---+", health_rules(success_threshold=2)), "unhealthy"),
    ],
)
def test_reason(now: InstanceHealth, reason: str | None) -> None:
    assert now.reason == reason


def test_only_a_new_state_makes_anybody_look() -> None:
    assert not shows_change(health(good()), health(good(), bad()))
    assert not shows_change(health(bad(), bad()), health(bad(), bad(), bad()))
    assert shows_change(health(good(), bad(), bad()), health(good(), bad(), bad(), bad()))
    assert shows_change(health(), health(good()))
    assert shows_change(overdue(health()), after(overdue(health()), good()))


def test_no_limit_of_the_start() -> None:
    assert begin(health_rules(start_timeout_s=0.0), now=NOW).healthy_by is None
    assert begin(health_rules(), now=NOW).healthy_by == NOW + 31


def test_a_start_has_the_time_that_its_checks_take_at_least() -> None:
    rules = health_rules(initial_delay_s=5.0, period_s=10.0, success_threshold=3, start_timeout_s=1.0)
    # The timeout, the spread of first checks, and two more checks, each one and a half start intervals later.
    assert start_limit_s(rules) == pytest.approx(1 + 1 + 1.5 * 1 * 2)
    assert begin(rules, now=NOW).healthy_by == pytest.approx(NOW + 5 + 5)


def test_why_the_last_check_failed() -> None:
    assert (health().failure, health(good()).failure) == (None, None)
    assert (health(good(), bad()).failure, health(bad(), good()).failure) == ("refused", None)


def test_a_recheck_of_what_was_not_healthy_begins_again() -> None:
    assert begin_recheck(None, health_rules(), now=NOW).state is HEALTHY
    assert begin_recheck(health(good()), health_rules(), now=NOW).state is HEALTHY
    assert begin_recheck(health(), health_rules(), now=NOW).state is STARTING
    assert begin_recheck(health(bad(), bad(), bad()), health_rules(), now=NOW).state is STARTING


@given(st.lists(st.booleans(), max_size=40), st.sampled_from(HealthCheckMode), st.booleans())
@settings(deadline=None)
def test_whatever_comes(results: list[bool], mode: HealthCheckMode, strict: bool) -> None:
    rules = health_rules(mode, failure_threshold=3, success_threshold=2, strict=strict)
    now = begin(rules, now=NOW)
    for count, success in enumerate(results, 1):
        before, now = now, after(now, good() if success else bad())
        latest = results[max(0, count - 3) : count]
        if now.state is UNHEALTHY and before.state is not UNHEALTHY:
            assert latest == [False] * 3 and now.was_healthy
        if now.state is HEALTHY and before.state is not HEALTHY:
            assert latest[-2:] == [True] * 2
        assert not (now.successes and now.failures)
        assert now.last is not None and (now.last.reason is None) == success
        if mode is READINESS:
            assert not now.fatal
        if mode is LIVENESS:
            assert now.ready


# -- when --------------------------------------------------------------------------------------------------

RULES = health_rules(initial_delay_s=5.0, period_s=10.0)
places = st.floats(0, 1, exclude_max=True)


def test_the_first_check_comes_soon_after_the_initial_delay() -> None:
    assert first_check_at(RULES, 0.0, up_at=NOW) == NOW + 5
    assert NOW + 5 <= first_check_at(RULES, 0.99, up_at=NOW) <= NOW + 6


def test_the_place_of_an_instance_is_its_own_and_stays() -> None:
    found = [spread(f"web-{index}") for index in range(500)]
    assert found == [spread(f"web-{index}") for index in range(500)]
    tenths = [sum(1 for one in found if int(one * 10) == tenth) for tenth in range(10)]
    assert min(tenths) > 25, "500 instances are spread over the whole period"


@pytest.mark.parametrize(("place", "second"), [(0.0, 10.0), (0.25, 12.5), (0.75, 7.5)])
def test_the_second_check_takes_the_instance_to_its_place(place: float, second: float) -> None:
    origin = NOW + 5
    again = next_check_at(RULES, place, up_at=NOW, began_at=origin, now=origin + 0.1)
    assert again - origin == pytest.approx(second)


@given(place=places, took_s=st.floats(0, 60))
@settings(deadline=None)
def test_a_check_never_overlaps_itself_and_comes_as_often_as_it_can(place: float, took_s: float) -> None:
    began = first_check_at(RULES, place, up_at=NOW)
    again = next_check_at(RULES, place, up_at=NOW, began_at=began, now=began + took_s, aligned=False)
    assert again >= began + max(took_s, RULES.period_s)
    assert again <= began + max(took_s, RULES.period_s) + RULES.period_s + 1e-6
    soon = next_check_at(RULES, place, up_at=NOW, began_at=began, now=began + took_s, starting=True)
    assert soon == began + max(took_s, RULES.start_interval_s)


@pytest.mark.parametrize(
    ("rules", "after_s", "was_healthy", "expected"),
    [
        (health_rules(), 31.9, False, True),
        (health_rules(), 33.0, False, False),
        (health_rules(), 1.0, True, False),
        (health_rules(start_timeout_s=0.0), 1e6, False, True),
    ],
)
def test_checks_come_often_until_it_is_healthy(
    rules: HealthRules, after_s: float, was_healthy: bool, expected: bool
) -> None:
    assert in_start(rules, up_at=NOW, now=NOW + after_s - 1, was_healthy=was_healthy) is expected


@given(place=places, late_s=st.lists(st.floats(0, 0.5), min_size=3, max_size=30))
@settings(deadline=None)
def test_checks_keep_their_place_in_the_period(place: float, late_s: list[float]) -> None:
    """A loop that was busy delays one check, not all that follow."""
    at = first_check_at(RULES, place, up_at=NOW)
    times: list[float] = []
    for late in late_s:
        at = next_check_at(
            RULES, place, up_at=NOW, began_at=at + late, now=at + late + 0.01, aligned=bool(times)
        )
        times.append(at)
    assert [round(later - at, 6) for at, later in pairwise(times)] == [10.0] * (len(times) - 1)


# -- instances ---------------------------------------------------------------------------------------------

SICK = health(good(), bad(), bad(), bad())
READY = health(good())
NEW = 1
NOT_LATE = NOW - 5 + 31


def decided(*instances: Instance, generation: int = 0, may_spawn: bool = True) -> list[Action]:
    desired = want(len(instances), generation=generation)
    return decide(desired, {one.index: one for one in instances}, may_spawn=may_spawn, now=NOW)


def of(now: InstanceHealth | None, index: int = 0, generation: int = 0) -> Instance:
    return up(index, health=now, generation=generation)


LATE = health(late=True)
FOR_READINESS = health(good(), bad(), bad(), bad(), rules=health_rules(READINESS))
FAILING = health(bad(), bad(), bad())
ABOUT_TO_BE_LATE = begin(health_rules(start_timeout_s=4.0), now=NOW - 5)


@pytest.mark.parametrize(
    ("instances", "generation", "expected"),
    [
        pytest.param([of(READY)], 0, [], id="well"),
        pytest.param([of(health())], 0, [Wait(NOT_LATE)], id="starting"),
        pytest.param([of(ABOUT_TO_BE_LATE)], 0, [NoteOverdue(0)], id="late to the moment"),
        pytest.param([of(LATE)], 0, [], id="late, and noted"),
        pytest.param([of(health(rules=health_rules(start_timeout_s=0)))], 0, [], id="may take for ever"),
        pytest.param([of(SICK), of(READY, 1)], 0, [Terminate(0)], id="the unhealthy one alone"),
        pytest.param([of(health(good(), bad(), bad(), bad()))], 0, [Terminate(0)], id="not any more"),
        pytest.param([of(FOR_READINESS)], 0, [], id="unready is no reason to end"),
        pytest.param([of(FAILING)], 0, [Wait(NOT_LATE)], id="may still become healthy"),
        pytest.param([of(overdue(FAILING))], 0, [Terminate(0)], id="never healthy in its time"),
        pytest.param(
            [of(health(rules=health_rules(strict=True), late=True))], 0, [Terminate(0)], id="strict"
        ),
        pytest.param([of(READY), of(READY, 1)], NEW, [Stop(0)], id="restart"),
        pytest.param(
            [of(health(), 0, NEW), of(READY, 1)], NEW, [Wait(NOT_LATE)], id="until the new one is ready"
        ),
        pytest.param([of(READY, 0, NEW), of(READY, 1)], NEW, [Stop(1)], id="the next"),
        pytest.param([of(LATE, 0, NEW), of(READY, 1)], NEW, [], id="the new one does not get ready"),
        pytest.param(
            [of(SICK, 0, NEW), of(READY, 1)], NEW, [Terminate(0)], id="the new one is ended, no other"
        ),
        pytest.param(
            [of(READY, 0), of(FOR_READINESS, 1)],
            NEW,
            [Stop(1)],
            id="what serves nobody goes first",
        ),
        pytest.param(
            [of(LATE, 0, NEW), of(READY, 1)], 2, [Stop(0)], id="a restart mends what did not get ready"
        ),
        pytest.param(
            [of(health(rules=health_rules(LIVENESS)), 0, NEW), of(READY, 1)],
            NEW,
            [Stop(1), Wait(NOT_LATE)],
            id="liveness does not gate",
        ),
        pytest.param([of(READY, 0, NEW), idle(1)], NEW, [Spawn(1)], id="comes back"),
    ],
)
def test_what_is_due(instances: list[Instance], generation: int, expected: list[Action]) -> None:
    assert decided(*instances, generation=generation) == expected


def test_an_unhealthy_one_ends_also_while_nothing_may_start() -> None:
    assert decided(of(SICK), may_spawn=False) == [Terminate(0)]


@pytest.mark.parametrize(
    ("now", "ready"), [(None, True), (health(), False), (READY, True), (FOR_READINESS, False), (LATE, False)]
)
def test_a_process_is_ready_when_all_its_instances_are(now: InstanceHealth | None, ready: bool) -> None:
    assert is_ready(want(2), [of(READY), of(now, 1)], oneshot=False) is ready


@pytest.mark.parametrize(
    ("instances", "settled"),
    [
        ([of(health())], True),
        ([of(health(), 0, NEW)], True),
        ([of(health(), 0, NEW), of(READY, 1)], False),
        ([of(LATE, 0, NEW), of(READY, 1)], True),
        ([of(READY, 0, NEW), of(health(), 1)], False),
        ([of(health(good(), bad(), bad(), bad()), 0, NEW), of(READY, 1)], True),
    ],
)
def test_a_restart_has_had_its_effect_or_has_stopped(instances: list[Instance], settled: bool) -> None:
    assert (
        has_settled(want(len(instances), generation=NEW if len(instances) > 1 else 0), instances) is settled
    )


def end(instance: Instance, exit_code: int = 0, *, max_attempts: int = 3) -> Instance:
    exited = main_exited(instance, Ending(exit_code, f"exit code {exit_code}"), now=NOW)
    rules = restart_rules(max_attempts=max_attempts)
    return gone(exited, now=NOW, revision=FIRST, rules=rules, oneshot=False)


def terminate(instance: Instance) -> Instance:
    return terminated(instance, now=NOW, revision=FIRST, rules=stop_rules())


def test_an_unhealthy_instance_comes_back_as_after_a_crash_with_the_reason_counted() -> None:
    ending = terminate(of(SICK))
    assert (ending.phase, ending.asked, ending.kill_at) == (Phase.STOPPING, False, NOW + 10)
    waits = end(ending)
    assert (waits.phase, waits.attempts, waits.health) == (Phase.WAITING, 1, None)
    assert waits.reason == "unhealthy after 3 failed checks in a row: refused"
    again = spawned(waits, pid=7, now=NOW, unix=0.0, revision=FIRST, health=health_rules())
    assert (again.restart_count, again.restart_causes) == (1, {Cause.HEALTH_CHECK: 1})
    assert again.health == begin(health_rules(), now=NOW)
    assert again.terminated_for is None


def test_an_unhealthy_instance_can_be_given_up() -> None:
    given_up = end(terminate(up(health=SICK, attempts=1)), max_attempts=1)
    assert (given_up.phase, given_up.state) == (Phase.ENDED, State.FAILED)
    assert given_up.reason == "gave up after 1 restart: unhealthy after 3 failed checks in a row: refused"


def test_a_stop_beats_the_end_of_an_unhealthy_instance() -> None:
    stopped = end(stop_begun(terminate(of(SICK)), now=NOW, rules=stop_rules()))
    assert (stopped.phase, stopped.terminated_for, stopped.health) == (Phase.IDLE, None, None)


def test_results_reach_the_instance() -> None:
    instance = checked(of(health()), good(), now=NOW)
    assert instance.ready and instance.health == READY
    assert overdue_noted(of(health())).health == LATE


@pytest.mark.parametrize(
    ("before", "revision", "cause"),
    [
        (end(of(None), 1), FIRST, Cause.CRASH),
        (end(of(None), 0), FIRST, Cause.NORMAL_EXIT),
        (end(of(None), 1), Revision(1, 0), Cause.MANUAL),
    ],
)
def test_causes(before: Instance, revision: Revision, cause: Cause) -> None:
    again = spawned(before, pid=7, now=NOW, unix=0.0, revision=revision)
    assert again.restart_causes == {cause: 1}


def test_what_is_said_of_a_line_that_has_not_come() -> None:
    rules = replace(health_rules(checked=False, announced=True), pattern="x" * 1000)
    begun = begin(rules, now=NOW)
    assert begun.reason == f"waiting for log pattern '{'x' * 99}…'"
    assert (overdue(begun).reason or "").endswith("…' within 30 s")
    ready = notified(begun, READY_MESSAGE, now=NOW)
    assert (ready.state, ready.reason) == (HealthState.HEALTHY, None)
