from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.config.rules import RunLimit
from cbox_init.core import instance as transitions
from cbox_init.core.decide import (
    Action,
    CancelRestart,
    Expire,
    Forget,
    Kill,
    Signal,
    Spawn,
    Stop,
    Terminate,
    Wait,
    decide,
)
from cbox_init.core.states import Desired, State
from tests.core.cases import LATER, NOW, ended, idle, running, stopping, waiting, want, want_stopped

if TYPE_CHECKING:
    from cbox_init.core.instance import Instance

    Case = tuple[str, Desired, list[Instance], list[Action]]


def since(up_at: float, instance: Instance) -> Instance:
    return replace(instance, up_at=up_at)


def expired(instance: Instance, *, oneshot: bool = False) -> Instance:
    return transitions.expired(instance, LIMIT, want(1).revision, oneshot=oneshot)


def decided(desired: Desired, *instances: Instance, may_spawn: bool = True) -> list[Action]:
    by_index = {instance.index: instance for instance in instances}
    return decide(desired, by_index, may_spawn=may_spawn, now=NOW)


WANTED: list[Case] = [
    ("nothing is there yet", want(2), [], [Spawn(0), Spawn(1)]),
    ("it runs", want(1), [running()], []),
    ("one of two is missing", want(2), [running(1)], [Spawn(0)]),
    ("scaled up", want(3), [running(0)], [Spawn(1), Spawn(2)]),
    ("a restart is not due yet", want(1), [waiting()], [Wait(LATER)]),
    ("a restart is due to the moment", want(1), [waiting(due_at=NOW)], [Spawn(0)]),
    ("the earliest of two", want(2), [waiting(0, due_at=LATER + 1), waiting(1)], [Wait(LATER)]),
    ("one due, one not", want(2), [waiting(0), waiting(1, due_at=NOW)], [Spawn(1), Wait(LATER)]),
    (
        "who is due longer comes first, and who was never there before all",
        want(3),
        [waiting(0, due_at=NOW), waiting(1, due_at=NOW - 1)],
        [Spawn(2), Spawn(1), Spawn(0)],
    ),
    ("given up", want(1), [ended()], []),
    ("did its work", want(1), [ended(outcome=State.COMPLETED)], []),
    ("stopped, and wanted again", want(1), [idle()], [Spawn(0)]),
    ("a start of what was given up", want(1, starts=1), [ended()], [Spawn(0)]),
    (
        "a start of a oneshot that did its work",
        want(1, starts=1),
        [ended(outcome=State.COMPLETED)],
        [Spawn(0)],
    ),
    ("a start does not wait for the backoff", want(1, starts=1), [waiting()], [Spawn(0)]),
    ("a start of what runs", want(1, starts=1), [running()], []),
    ("a start during a stop waits for its end", want(1, starts=1), [stopping()], [Wait(LATER)]),
    ("a start while descendants end", want(1, starts=1), [stopping(asked=False)], [Wait(LATER)]),
    ("a stop's grace is over", want(1), [stopping(kill_at=NOW)], [Kill(0)]),
    ("descendants have not ended in time", want(1), [stopping(kill_at=NOW, asked=False)], [Kill(0)]),
]

NOT_WANTED: list[Case] = [
    ("nothing is there", want_stopped(), [], []),
    ("all are told at once", want_stopped(2), [running(0), running(1)], [Stop(0), Stop(1)]),
    ("it was told", want_stopped(), [stopping()], [Wait(LATER)]),
    ("its grace is over", want_stopped(), [stopping(kill_at=NOW)], [Kill(0)]),
    ("its pre-stop hook runs", want_stopped(), [stopping(signal_at=LATER - 1)], [Wait(LATER - 1)]),
    ("its pre-stop hook is over", want_stopped(), [stopping(signal_at=NOW)], [Signal(0)]),
    (
        "its hook used up the grace: the signal first, then the kill",
        want_stopped(),
        [stopping(kill_at=NOW, signal_at=NOW)],
        [Signal(0)],
    ),
    ("wanted again while its hook runs", want(1, starts=1), [stopping(signal_at=LATER)], [Wait(LATER)]),
    ("its descendants are ending", want_stopped(), [stopping(asked=False)], [Stop(0), Wait(LATER)]),
    ("it waits for a restart", want_stopped(), [waiting(due_at=NOW)], [CancelRestart(0)]),
    ("it has ended before", want_stopped(), [ended()], []),
    ("it has stopped", want_stopped(), [idle()], []),
    ("a start before does not count", want_stopped(starts=3), [ended()], []),
    ("a restart before does not count", want_stopped(generation=3), [idle()], []),
    ("scaled down", want(1), [running(0), running(1), running(2)], [Stop(1), Stop(2)]),
    ("scaled to 0", want(0), [running(0)], [Stop(0)]),
    ("scaled away and gone", want(1), [running(0), idle(1)], [Forget(1)]),
    ("scaled away while it waits", want(1), [running(0), waiting(1, due_at=NOW)], [Forget(1)]),
    ("scaled away after it failed", want(1), [running(0), ended(1)], [Forget(1)]),
    ("scaled away while it is told", want(1), [running(0), stopping(1)], [Wait(LATER)]),
    ("stopped and scaled away", want_stopped(1), [idle(0), ended(1), waiting(2)], [Forget(1), Forget(2)]),
    ("one is missing, one scaled away", want(2), [running(0), stopping(5)], [Spawn(1), Wait(LATER)]),
    ("missing below one that runs", want(2), [running(1), running(3)], [Stop(3), Spawn(0)]),
    ("scaled up again while it ends", want(3), [running(0), running(1), stopping(2)], [Wait(LATER)]),
]

NEW = 1
ROLLOUT: list[Case] = [
    ("the first goes first", want(3, generation=NEW), [running(0), running(1), running(2)], [Stop(0)]),
    ("it ends", want(2, generation=NEW), [stopping(0), running(1)], [Wait(LATER)]),
    ("it comes back", want(2, generation=NEW), [idle(0), running(1)], [Spawn(0)]),
    ("then the next", want(2, generation=NEW), [running(0, generation=NEW), running(1)], [Stop(1)]),
    ("done", want(2, generation=NEW), [running(0, generation=NEW), running(1, generation=NEW)], []),
    ("one waits under the old generation", want(2, generation=NEW), [waiting(0), running(1)], [Spawn(0)]),
    (
        "one was given up under the old generation",
        want(2, generation=NEW),
        [ended(0), running(1)],
        [Spawn(0)],
    ),
    (
        "the new one crashes: held up",
        want(2, generation=NEW),
        [waiting(0, generation=NEW), running(1)],
        [Wait(LATER)],
    ),
    ("the new one is given up: blocked", want(2, generation=NEW), [ended(0, generation=NEW), running(1)], []),
    (
        "a start releases it",
        want(2, generation=NEW, starts=1),
        [ended(0, generation=NEW), running(1)],
        [Spawn(0)],
    ),
    (
        "the new one did its work",
        want(2, generation=NEW),
        [ended(0, State.STOPPED, generation=NEW), running(1)],
        [Stop(1)],
    ),
    ("more are wanted as well: those first", want(2, generation=NEW), [running(0)], [Spawn(1)]),
    ("fewer are wanted as well", want(1, generation=NEW), [running(0), running(1)], [Stop(1), Stop(0)]),
    (
        "one that is scaled away does not hold it up",
        want(1, generation=NEW),
        [running(0), stopping(1)],
        [Stop(0), Wait(LATER)],
    ),
    ("a second restart", want(1, generation=2), [running(0, generation=1)], [Stop(0)]),
    ("a restart of what is being stopped", want(1, generation=NEW), [stopping()], [Wait(LATER)]),
    ("a restart of what was stopped", want(1, generation=NEW), [idle()], [Spawn(0)]),
    ("a restart of a oneshot that runs", want(1, generation=NEW), [running()], [Stop(0)]),
]


@pytest.mark.parametrize(
    ("desired", "instances", "expected"),
    [pytest.param(*case, id=what) for what, *case in [*WANTED, *NOT_WANTED, *ROLLOUT]],
)
def test_what_is_due(desired: Desired, instances: list[Instance], expected: list[Action]) -> None:
    assert decided(desired, *instances) == expected


@pytest.mark.parametrize(
    ("desired", "instances", "expected"),
    [
        pytest.param(want(2), [], [], id="nothing is started"),
        pytest.param(want(1), [waiting(due_at=NOW)], [], id="a restart that is due stays so"),
        pytest.param(want(1), [waiting()], [Wait(LATER)], id="a restart is not due yet"),
        pytest.param(want(1, generation=NEW), [running()], [], id="nothing is ended that cannot come back"),
        pytest.param(want(1), [running(0), running(1)], [Stop(1)], id="what is not wanted ends"),
        pytest.param(want(1), [stopping(kill_at=NOW)], [Kill(0)], id="a stop ends"),
        pytest.param(want_stopped(), [running()], [Stop(0)], id="a stop begins"),
    ],
)
def test_while_dependencies_are_not_ready(
    desired: Desired, instances: list[Instance], expected: list[Action]
) -> None:
    assert decided(desired, *instances, may_spawn=False) == expected


LIMIT = RunLimit(60.0, replaces=True)
YOUNG, OLD = NOW - 10, NOW - 60
LIMITED: list[Case] = [
    ("it may go on", want(1), [since(YOUNG, running())], [Wait(YOUNG + 60)]),
    ("its time is over", want(1), [since(OLD, running())], [Expire(0)]),
    ("the earliest of two", want(2), [since(YOUNG, running(0)), since(NOW, running(1))], [Wait(YOUNG + 60)]),
    ("two at a time", want(2), [since(OLD, running(0)), since(OLD, running(1))], [Expire(0), Expire(1)]),
    (
        "both are to be replaced: one after another",
        want(2),
        [expired(since(OLD, running(0))), expired(since(OLD, running(1)))],
        [Stop(0)],
    ),
    (
        "the first is on its way",
        want(2),
        [idle(0, generation=-1), expired(since(OLD, running(1)))],
        [Spawn(0)],
    ),
    ("it takes too long, and fails", want(1), [expired(since(OLD, running()), oneshot=True)], [Terminate(0)]),
    ("a restart replaces it anyway", want(1, generation=1), [since(OLD, running())], [Stop(0)]),
    ("it is being stopped", want(1), [since(OLD, stopping())], [Wait(LATER)]),
    ("it waits to be restarted", want(1), [since(OLD, waiting())], [Wait(LATER)]),
    ("it has ended", want(1), [since(OLD, ended())], []),
    ("it is not wanted", want_stopped(), [since(OLD, running())], [Stop(0)]),
]


@pytest.mark.parametrize(
    ("desired", "instances", "expected"), [case[1:] for case in LIMITED], ids=[case[0] for case in LIMITED]
)
def test_how_long_an_instance_may_run(
    desired: Desired, instances: list[Instance], expected: list[Action]
) -> None:
    by_index = {instance.index: instance for instance in instances}
    assert decide(desired, by_index, may_spawn=True, now=NOW, limit=LIMIT) == expected


def test_many_instances_are_started_in_the_order_of_their_index() -> None:
    there = [running(3), idle(8), ended(5)]
    missing = [index for index in range(10) if index not in (3, 5)]
    assert decided(want(10), *there) == [Spawn(index) for index in missing]


def test_desired_state_names_its_lineage() -> None:
    revision = want(1, generation=4, starts=2).revision
    assert (revision.generation, revision.starts) == (4, 2)
