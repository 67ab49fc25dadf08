"""Which old instance may go when, what stands in for it, and how far a rollout is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.config.model import RolloutStrategy
from cbox_init.config.rules import RolloutRules
from cbox_init.core.decide import Action, Forget, Spawn, Stop, Terminate, Wait, decide
from cbox_init.core.rollout import Back, Rolling, Rollout, RolloutState, progress
from cbox_init.core.states import Desired, State
from tests.core.cases import (
    LATER,
    NOW,
    bad,
    ended,
    good,
    health,
    health_rules,
    idle,
    running,
    stopping,
    waiting,
    want,
    want_stopped,
)

if TYPE_CHECKING:
    from cbox_init.core.instance import Instance

SURGE = RolloutRules(max_surge=1, max_unavailable=0)
NEW = 1
ALL = [Stop(index) for index in range(4)]


def decided(rules: RolloutRules, desired: Desired, *instances: Instance) -> list[Action]:
    by_index = {instance.index: instance for instance in instances}
    return decide(desired, by_index, may_spawn=True, now=NOW, rules=rules)


def new(index: int, *, surge: bool = False, **given: object) -> Instance:
    return running(index, generation=NEW, surge=surge, **given)  # type: ignore[arg-type]


def unready(index: int, *, surge: bool = False, renewed_at: float = NOW - 5, limit_s: float = 0) -> Instance:
    checks = health(bad(), rules=health_rules(start_timeout_s=limit_s))
    checks = replace(checks, healthy_by=renewed_at + 1 + limit_s if limit_s else None)
    return running(index, generation=NEW, surge=surge, health=checks, renewed_at=renewed_at)


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param([running(0), running(1)], [Spawn(2, surge=True)], id="first one that stands in"),
        pytest.param([running(0), running(1), unready(2, surge=True)], [], id="it is not ready"),
        pytest.param([running(0), running(1), new(2, surge=True)], [Stop(0)], id="it is: an old one may go"),
        pytest.param([stopping(0), running(1), new(2, surge=True)], [Wait(LATER)], id="not two at one time"),
        pytest.param([idle(0), running(1), new(2, surge=True)], [Spawn(0)], id="the successor"),
        pytest.param([unready(0), running(1), new(2, surge=True)], [], id="the successor is not ready"),
        pytest.param([new(0), running(1), new(2, surge=True)], [Stop(1)], id="the next"),
        pytest.param([new(0), new(1), new(2, surge=True)], [Stop(2)], id="nobody needs it any more"),
        pytest.param(
            [running(0), running(1), replace(new(2, surge=True), excess="too much")],
            [Terminate(2)],
            id="it is about to be ended itself",
        ),
        pytest.param([new(0), new(1), replace(idle(2), surge=True)], [Forget(2)], id="it has gone"),
        pytest.param([new(0), new(1)], [], id="done"),
        pytest.param(
            [running(0), running(1), replace(waiting(2, generation=NEW), surge=True)],
            [Wait(LATER)],
            id="it crashes: the old ones stay",
        ),
        pytest.param(
            [running(0), running(1), replace(ended(2, generation=NEW), surge=True)],
            [],
            id="it was given up: the old ones stay",
        ),
        pytest.param(
            [replace(unready(0), generation=0), running(1)],
            [Spawn(2, surge=True)],
            id="with one that is not ready",
        ),
        pytest.param(
            [replace(unready(0), generation=0), running(1), new(2, surge=True)],
            [Stop(0)],
            id="who is not ready goes first",
        ),
        pytest.param(
            [unready(0), running(1), replace(new(2, surge=True), generation=0)],
            [],
            id="of an older rollout: it goes on standing in",
        ),
    ],
)
def test_with_one_that_stands_in(instances: list[Instance], expected: list[Action]) -> None:
    assert decided(SURGE, want(2, generation=NEW), *instances) == expected


def test_a_pause_between_two_steps() -> None:
    rules = RolloutRules(pause_s=10.0)
    instances = [new(0, ready_for_s=3.0), running(1)]
    assert decided(rules, want(2, generation=NEW), *instances) == [Wait(LATER)]
    instances = [new(0, ready_for_s=10.0), running(1)]
    assert decided(rules, want(2, generation=NEW), *instances) == [Stop(1)]
    assert decided(rules, want(2, generation=NEW), new(0), new(1, ready_for_s=0.0)) == []


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        pytest.param(RolloutRules(max_unavailable=2), [Stop(0), Stop(1)], id="two at a time"),
        pytest.param(RolloutRules(max_unavailable=9), [Stop(i) for i in range(4)], id="all at a time"),
        pytest.param(
            RolloutRules(strategy=RolloutStrategy.PARALLEL), [Stop(i) for i in range(4)], id="parallel"
        ),
        pytest.param(
            RolloutRules(strategy=RolloutStrategy.RECREATE), [Stop(i) for i in range(4)], id="recreate"
        ),
        pytest.param(
            RolloutRules(max_surge=2, max_unavailable=0),
            [Spawn(4, surge=True), Spawn(5, surge=True)],
            id="two that stand in",
        ),
        pytest.param(
            RolloutRules(max_surge=2, max_unavailable=0, highest_index=4),
            [Spawn(4, surge=True)],
            id="room for one of them",
        ),
        pytest.param(
            RolloutRules(max_surge=2, max_unavailable=0, highest_index=3),
            [Stop(0)],
            id="no room: one goes",
        ),
    ],
)
def test_how_many_at_a_time(rules: RolloutRules, stops: list[Action]) -> None:
    assert decided(rules, want(4, generation=NEW), *map(running, range(4))) == stops


def test_recreate_starts_nothing_before_all_old_ones_are_gone() -> None:
    rules = RolloutRules(strategy=RolloutStrategy.RECREATE)
    assert decided(rules, want(2, generation=NEW), idle(0), stopping(1)) == [Wait(LATER)]
    assert decided(rules, want(2, generation=NEW), idle(0), idle(1)) == [Spawn(0), Spawn(1)]


def test_a_stop_ends_the_one_that_stands_in_too() -> None:
    there = [running(0), new(1, surge=True)]
    assert decided(SURGE, want_stopped(1, generation=NEW), *there) == [Stop(0), Stop(1)]


def test_a_larger_scale_takes_it_over() -> None:
    there = [running(0), running(1), new(2, surge=True)]
    assert decided(SURGE, want(3, generation=NEW), *there) == [Spawn(3, surge=True)]


def test_of_several_that_stand_in_those_stay_that_serve() -> None:
    left_over = replace(idle(1, generation=NEW), surge=True)
    assert decided(SURGE, want(1, generation=NEW), idle(0), left_over, new(2, surge=True)) == [
        Forget(1),
        Spawn(0),
    ]


def test_of_several_that_stand_in_the_ready_one_stays_when_there_may_be_fewer() -> None:
    """After a reload that allows one in place of two: here the other has ended well, and is to be spawned
    again since a further restart was requested.
    """
    rules = replace(SURGE, pause_s=10.0)
    there = [running(0), running(1), replace(ended(2, State.COMPLETED, generation=NEW), surge=True)]
    ready = new(3, surge=True, ready_for_s=3.0)
    assert decided(rules, want(2, generation=NEW + 1), *there, ready) == [Forget(2), Wait(LATER)]
    assert decided(rules, want(2, generation=NEW), *there, ready) == [Forget(2), Wait(LATER)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(unready(2, surge=True), id="it is not ready yet"),
        pytest.param(replace(new(2, surge=True), ready_at=NOW - 3.0), id="it has been ready for less long"),
        pytest.param(replace(new(2, surge=True), excess="too much"), id="it is about to be ended itself"),
    ],
)
def test_of_several_that_stand_in_this_one_goes_first(other: Instance) -> None:
    rules = replace(SURGE, pause_s=4.0)
    there = [running(0), running(1), other, new(3, surge=True)]
    assert decided(rules, want(2, generation=NEW), *there)[0] == Stop(2)
    assert Stop(3) not in decided(rules, want(2, generation=NEW), *there)


def test_one_that_is_to_be_spawned_again_does_not_stand_in() -> None:
    """It has ended well under an older restart, and the machine has no process left to start it with."""
    deferred = replace(ended(2, State.COMPLETED), surge=True, deferred_until=LATER)
    assert decided(SURGE, want(2, generation=NEW), running(0), running(1), deferred) == [Wait(LATER)]
    done = replace(ended(2, State.COMPLETED, generation=NEW), surge=True)
    assert decided(SURGE, want(2, generation=NEW), running(0), running(1), done) == [Stop(0)]


def test_one_that_may_soon_serve_stays_as_well() -> None:
    left_over = replace(idle(1, generation=NEW), surge=True)
    coming = unready(2, surge=True)
    assert decided(SURGE, want(1, generation=2), running(0), left_over, coming) == [Forget(1), Stop(2)]
    assert decided(SURGE, want(1, generation=NEW), running(0), left_over, coming) == [Forget(1)]


def test_what_is_scaled_away_does_not_stand_in() -> None:
    assert decided(SURGE, want(1, generation=NEW), unready(0), new(1), new(2)) == [Stop(1), Stop(2)]


# -- how far it is -----------------------------------------------------------------------------------------

RULES = RolloutRules(start_timeout_s=30.0)


def seen(*instances: Instance, rules: RolloutRules = RULES, scale: int = 2) -> Rollout:
    return progress(want(scale, generation=NEW), instances, rules, now=NOW)


def test_it_progresses() -> None:
    assert seen(new(0), running(1)) == Rollout(state=RolloutState.PROGRESSING, updated=1, total=2)


def test_it_waits_for_the_new_one_until_a_moment() -> None:
    rollout = seen(unready(0), running(1), rules=RolloutRules(ready_timeout_s=7.0))
    assert (rollout.state, rollout.updated, rollout.deadline) == (RolloutState.PROGRESSING, 0, NOW + 2)
    # The initial delay of its check comes first, as in a start.
    assert seen(unready(0, limit_s=30), running(1)).deadline == NOW - 5 + 1 + 30
    assert seen(unready(0), rules=RolloutRules(ready_timeout_s=0.0, start_timeout_s=1.0)).deadline is None


def test_it_is_complete_when_nobody_stands_in_any_more() -> None:
    assert seen(new(0), new(1), new(2, surge=True)).state is RolloutState.PROGRESSING
    assert seen(new(0), new(1)).state is RolloutState.COMPLETE
    assert seen(new(0), ended(1, State.COMPLETED, generation=NEW)).state is RolloutState.COMPLETE


def test_it_fails_when_the_new_one_is_not_ready_in_time() -> None:
    rollout = seen(unready(0, renewed_at=NOW - 31, limit_s=30), running(1))
    assert (rollout.state, rollout.failed) == (RolloutState.FAILED, 0)
    assert rollout.reason == "not ready within 31 s: refused"


def test_it_fails_when_the_new_one_is_given_up() -> None:
    rollout = seen(running(0), running(1), replace(ended(2, generation=NEW), surge=True))
    assert (rollout.state, rollout.failed, rollout.reason) == (RolloutState.FAILED, 2, "it ended")


def test_one_that_has_been_ready_is_not_late() -> None:
    once = running(0, generation=NEW, health=health(good(), bad()), proven=True, renewed_at=NOW - 500)
    assert seen(once, running(1)).state is RolloutState.PROGRESSING


# -- the way back ------------------------------------------------------------------------------------------

BACK = RolloutRules(start_timeout_s=30.0, rollback=True)
FAILED = [ended(0, generation=NEW), running(1)]


def test_there_is_no_rollout_before_the_first() -> None:
    rolling = Rolling("a")
    assert rolling.follow(want(1), [unready(0)], BACK, now=NOW) is None
    assert rolling.shown is None


def shown(rolling: Rolling[str]) -> tuple[RolloutState, str | None] | None:
    return None if rolling.shown is None else (rolling.shown.state, rolling.shown.reason)


def test_a_failed_one_goes_back_to_what_was_before() -> None:
    rolling = Rolling("a")
    rolling.adopted("b", replaces=True)
    assert rolling.follow(want(2, generation=NEW), FAILED, BACK, now=NOW) == Back(2, 0, "a")
    assert shown(rolling) == (RolloutState.ROLLED_BACK, "it ended")

    back = want(2, generation=2)
    assert rolling.follow(back, [running(0, generation=2), running(1, generation=2)], BACK, now=NOW) is None
    assert shown(rolling) == (RolloutState.ROLLED_BACK, "it ended"), "it stays to be read"

    rolling.adopted("c", replaces=True)
    assert shown(rolling) is None
    failed = [ended(0, generation=3), running(1, generation=2)]
    assert rolling.follow(want(2, generation=3), failed, BACK, now=NOW) == Back(4, 2, "a")


def test_a_return_that_fails_is_left_as_it_is() -> None:
    rolling = Rolling("a")
    rolling.adopted("b", replaces=True)
    assert rolling.follow(want(2, generation=NEW), FAILED, BACK, now=NOW)
    again = [ended(0, generation=2), running(1, generation=2)]
    assert rolling.follow(want(2, generation=2), again, BACK, now=NOW) is None


def test_without_rollback_it_stays_where_it_is() -> None:
    rolling = Rolling("a")
    rolling.adopted("b", replaces=True)
    assert rolling.follow(want(2, generation=NEW), FAILED, RULES, now=NOW) is None
    assert rolling.shown
    assert rolling.shown.state is RolloutState.FAILED


def test_settings_that_need_no_new_instances_stay_after_a_return() -> None:
    rolling = Rolling("a")
    rolling.adopted("a, and more", replaces=False)
    assert rolling.follow(want(2, generation=NEW), FAILED, BACK, now=NOW) == Back(2, 0, "a, and more")


def test_nothing_to_go_back_to() -> None:
    """A restart of the same configuration, and none of the old instances is left."""
    assert Rolling("a").follow(want(1, generation=NEW), [ended(0, generation=NEW)], BACK, now=NOW) is None


def test_a_stop_ends_it() -> None:
    rolling = Rolling("a")
    rolling.adopted("b", replaces=True)
    assert rolling.follow(want_stopped(2, generation=NEW), FAILED, BACK, now=NOW) is None
    assert rolling.shown is None
    assert rolling.follow(want(2, generation=NEW), FAILED, BACK, now=NOW) is None
