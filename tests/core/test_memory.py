"""When memory is measured, and what follows from too much of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model import RestartPolicyName
from cbox_init.core.decide import Action, Stop, Terminate, decide
from cbox_init.core.instance import (
    Phase,
    gone,
    main_exited,
    memory_measured,
    spawned,
    stop_begun,
    terminated,
)
from cbox_init.core.memory import MIB, PERIOD_S, SLOT_S, excess, next_measurement_at
from cbox_init.core.restart import Cause, Ending
from cbox_init.core.schedule import decide_runs
from cbox_init.core.states import Desired, Revision, State
from tests.core.cases import NOW, bad, good, health, restart_rules, running, stop_rules, want, want_stopped

FIRST = Revision(0, 0)
FAT = memory_measured(running(), "its memory of 9 MB is above max_memory_mb: 8")
SICK = health(good(), bad(), bad(), bad())


@pytest.mark.parametrize(
    ("resident_bytes", "limit_mb", "reason"),
    [
        (10 * MIB, 0, None),
        (8 * MIB, 8, None),
        (8 * MIB + 1, 8, "its memory of 9 MB is above max_memory_mb: 8"),
        (0, 8, None),
    ],
)
def test_excess(resident_bytes: int, limit_mb: int, reason: str | None) -> None:
    assert excess(resident_bytes, limit_mb) == reason


@given(place=st.floats(0, 1, exclude_max=True), now=st.floats(0, 1e8))
def test_measurements_are_a_period_apart_and_share_slots(place: float, now: float) -> None:
    first = next_measurement_at(place, now)
    assert now < first <= now + PERIOD_S
    assert first % SLOT_S == 0
    assert next_measurement_at(place, first) == first + PERIOD_S


def test_the_slots_are_used_alike() -> None:
    offsets = {next_measurement_at(place / 100, 0.0) for place in range(100)}
    assert offsets == {SLOT_S * slot for slot in range(1, int(PERIOD_S / SLOT_S) + 1)}


def test_the_one_that_is_above_is_ended_and_no_other() -> None:
    instances = {0: FAT, 1: running(1)}
    assert decide(want(2), instances, may_spawn=True, now=NOW) == [Terminate(0)]
    assert decide(want_stopped(2), instances, may_spawn=True, now=NOW) == [Stop(0), Stop(1)]
    assert decide(want(2), {0: memory_measured(FAT, None), 1: running(1)}, may_spawn=True, now=NOW) == []


def test_it_comes_back_as_after_a_crash_with_the_reason_counted() -> None:
    ending = terminated(FAT, now=NOW, revision=FIRST, rules=stop_rules())
    assert (ending.phase, ending.kill_at, ending.reason) == (Phase.STOPPING, NOW + 10, FAT.excess)
    exited = main_exited(ending, Ending(0, "exit code 0"), now=NOW)
    waits = gone(exited, now=NOW, revision=FIRST, rules=restart_rules(), oneshot=False)
    assert (waits.phase, waits.reason, waits.excess) == (Phase.WAITING, FAT.excess, None)
    again = spawned(waits, pid=7, now=NOW, unix=0.0, revision=FIRST)
    assert again.restart_causes == {Cause.MEMORY_LIMIT: 1}


def test_its_end_is_a_failure_whatever_the_exit_code() -> None:
    exited = main_exited(
        terminated(FAT, now=NOW, revision=FIRST, rules=stop_rules()), Ending(0, "exit code 0"), now=NOW
    )
    rules = restart_rules(RestartPolicyName.NEVER)
    ended = gone(exited, now=NOW, revision=FIRST, rules=rules, oneshot=True)
    assert (ended.state, ended.ending and ended.ending.status) == (State.FAILED, 1)
    assert ended.reason == f"{FAT.excess}; restart is never"


def test_an_end_for_health_says_so_also_when_the_memory_is_above() -> None:
    both = terminated(
        memory_measured(running(health=SICK), "too much"), now=NOW, revision=FIRST, rules=stop_rules()
    )
    assert both.terminated_for is Cause.HEALTH_CHECK


def test_a_stop_beats_it() -> None:
    ending = stop_begun(
        terminated(FAT, now=NOW, revision=FIRST, rules=stop_rules()), now=NOW, rules=stop_rules()
    )
    exited = main_exited(ending, Ending(0, "exit code 0"), now=NOW)
    assert gone(exited, now=NOW, revision=FIRST, rules=restart_rules(), oneshot=False).phase is Phase.IDLE


def test_a_run_of_a_schedule_is_ended_too() -> None:
    def decided(generation: int) -> list[Action]:
        desired = Desired(run=True, scale=0, generation=generation)
        return decide_runs(desired, (FAT,), due=(), may_spawn=True, timeout_s=None, now=NOW)

    assert decided(FAT.generation) == [Terminate(0)]
    assert decided(FAT.generation + 1) == [Stop(0)]
