"""When a command is done, as a table: what it wants, what is wanted now, and the instances."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cbox_init.core.changes import Aim, ChangeStatus, Held, runs_standing, standing
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.rollout import Rollout, RolloutState
from cbox_init.core.states import Desired, State

DOING, DONE, FAILED = ChangeStatus.DOING, ChangeStatus.DONE, ChangeStatus.FAILED
SUPERSEDED = ChangeStatus.SUPERSEDED
START, STOP, RESTART = Aim(run=True), Aim(run=False), Aim(run=True, generation=1)
ONE, TWO, NONE = Desired(run=True, scale=1), Desired(run=True, scale=2), Desired(run=True, scale=0)
OFF = Desired(run=False, scale=1)
NEW, NEW_TWO = replace(ONE, generation=1), replace(TWO, generation=1)
BACK = replace(ONE, generation=2)


def up(index: int = 0, generation: int = 1, **members: Any) -> Instance:
    return Instance(index=index, phase=Phase.RUNNING, generation=generation, proven=True, **members)


def ended(outcome: State, index: int = 0, **members: Any) -> Instance:
    return Instance(index=index, phase=Phase.ENDED, generation=1, outcome=outcome, **members)


STOPPING = Instance(index=0, phase=Phase.STOPPING)
SURPLUS = Instance(index=1, phase=Phase.STOPPING, generation=1)
SURGE = up(1, 0, surge=True)
IDLE = Instance(index=0)
WAITING = Instance(index=0, phase=Phase.WAITING, generation=1, reason="exit code 3")
GIVEN_UP = ended(State.FAILED, reason="exit code 3")
STOPPED_ROLLOUT = Rollout(state=RolloutState.FAILED, updated=0, total=2, failed=0, reason="not ready")
WENT_BACK = Held(went_back=(2, STOPPED_ROLLOUT))


@pytest.mark.parametrize(
    ("aim", "desired", "instances", "held", "status", "reason"),
    [
        (START, ONE, [], Held(), DOING, ""),
        (START, ONE, [up()], Held(), DONE, ""),
        (START, TWO, [up()], Held(), DOING, ""),
        (START, ONE, [WAITING], Held(), DOING, "exit code 3"),
        (START, ONE, [GIVEN_UP], Held(), FAILED, "exit code 3"),
        (START, replace(ONE, starts=1), [GIVEN_UP], Held(), DOING, "exit code 3"),
        (START, ONE, [ended(State.COMPLETED)], Held(), DONE, ""),
        (START, ONE, [ended(State.STOPPED)], Held(), DONE, ""),
        (START, NONE, [], Held(), FAILED, "its scale is 0; scale it to have instances"),
        (START, OFF, [up()], Held(), SUPERSEDED, "a later command stopped it"),
        (START, ONE, [], Held(waiting="db"), DOING, "waiting for db"),
        (START, ONE, [], Held(waiting="db is not ready", expired=True), FAILED, "db is not ready"),
        (STOP, OFF, [STOPPING], Held(), DOING, ""),
        (STOP, OFF, [IDLE, GIVEN_UP], Held(), DONE, ""),
        (STOP, OFF, [WAITING], Held(), DOING, ""),
        (STOP, ONE, [up()], Held(), SUPERSEDED, "a later command started it"),
        (RESTART, NEW, [up(generation=0)], Held(), DOING, ""),
        (RESTART, NEW, [STOPPING], Held(), DOING, ""),
        (RESTART, NEW, [up()], Held(), DONE, ""),
        (RESTART, replace(NEW, generation=3), [up()], Held(), DONE, ""),
        (RESTART, NEW_TWO, [up(), up(1, 0)], Held(), DOING, ""),
        (RESTART, NEW, [up(), SURGE], Held(), DOING, ""),
        (RESTART, NEW, [GIVEN_UP], Held(), FAILED, "exit code 3"),
        (RESTART, NEW, [GIVEN_UP], Held(rolls_back=True), DOING, "exit code 3"),
        (RESTART, NEW_TWO, [up(1, 0)], Held(rollout=STOPPED_ROLLOUT), FAILED, "not ready"),
        (
            RESTART,
            replace(NEW, generation=2),
            [up(generation=2)],
            WENT_BACK,
            FAILED,
            "not ready; it was rolled back",
        ),
        (Aim(scale=2, first=1), TWO, [up()], Held(), DOING, ""),
        (Aim(scale=2, first=1), TWO, [up(), up(1)], Held(), DONE, ""),
        (Aim(scale=2, first=1), TWO, [up(generation=0), up(1)], Held(), DONE, ""),
        (Aim(scale=2, first=1), TWO, [GIVEN_UP, up(1)], Held(), DONE, ""),
        (Aim(scale=1, first=1), ONE, [up(), SURPLUS], Held(), DOING, ""),
        (Aim(scale=1, first=1), ONE, [GIVEN_UP], Held(), DONE, ""),
        (Aim(scale=2, first=1), ONE, [up()], Held(), SUPERSEDED, "a later command scaled it to 1"),
        (Aim(scale=0), NONE, [], Held(), DONE, ""),
        (Aim(scale=1), OFF, [], Held(), DONE, ""),
    ],
)
def test_standing(
    aim: Aim, desired: Desired, instances: list[Instance], held: Held, status: ChangeStatus, reason: str
) -> None:
    found = standing(aim, desired, instances, held, oneshot=False)
    assert (found.status, found.reason) == (status, reason)


def test_a_oneshot_is_done_when_it_has_completed() -> None:
    assert standing(START, ONE, [up()], Held(), oneshot=True).status is DOING
    assert standing(START, ONE, [ended(State.COMPLETED)], Held(), oneshot=True).status is DONE


def test_one_instance_of_a_oneshot_is_done_when_it_has_completed() -> None:
    one = Aim(run=True, index=0)
    assert standing(one, ONE, [up()], Held(), oneshot=False).status is DONE
    assert standing(one, ONE, [up()], Held(), oneshot=True).status is DOING
    assert standing(one, ONE, [ended(State.COMPLETED)], Held(), oneshot=True).status is DONE


def test_the_stop_of_one_instance_is_done_when_its_restart_is_cancelled() -> None:
    one = Aim(run=False, index=0)
    assert standing(one, OFF, [WAITING], Held(), oneshot=False).status is DOING
    assert standing(one, OFF, [IDLE], Held(), oneshot=False).status is DONE


def test_every_step_of_an_instance_has_another_mark() -> None:
    instances = (IDLE, up(generation=0), replace(STOPPING, generation=1))
    assert len({standing(RESTART, NEW, [one], Held(), oneshot=False).mark for one in instances}) == 3


def test_runs() -> None:
    ends_runs = Aim(run=False, generation=1)
    paused = Desired(run=False, scale=0, generation=1)
    assert runs_standing(ends_runs, paused, [up(1, 0)]).status is DOING
    assert runs_standing(ends_runs, paused, []).status is DONE
    assert runs_standing(ends_runs, replace(paused, run=True), []).status is SUPERSEDED
    assert runs_standing(RESTART, replace(paused, run=True), [up(2, 1)]).status is DONE
    assert runs_standing(START, replace(paused, run=True), [up(1, 0)]).status is DONE
