"""Commands, exits and time in any order; ``invariants`` says what holds throughout.

They are other histories in each run; where CI is set, hypothesis plays the same ones.
``HYPOTHESIS_PROFILE=thorough`` plays a hundred thousand, new ones in any case.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.config.model import HealthCheckMode, RestartPolicyName, RolloutStrategy
from cbox_init.config.rules import RolloutRules
from cbox_init.core.instance import KILL_AGAIN_S
from cbox_init.core.notify import NotifyMessage, NotifyState
from cbox_init.core.summary import is_ready
from tests.core.cases import health_rules, restart_rules, stop_rules
from tests.core.invariants import ROUNDING_S, CheckedWorld
from tests.core.world import Breed, Descendants, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.config.rules import HealthRules
    from cbox_init.core.decide import Action
    from cbox_init.core.instance import Instance

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
#: Those of CI are the same in each run, and by each Python.
SAME = settings().derandomize and not THOROUGH
many = settings(derandomize=SAME, max_examples=100_000 if THOROUGH else 600 if SAME else 1200)
pytestmark = pytest.mark.timeout(0 if THOROUGH else 300)

#: Longer than anything takes in these worlds.
LONG_S = 1000.0
MOST_INSTANCES = 4


class Step(NamedTuple):
    """A method of the world and what it is given."""

    do: str
    given: tuple[object, ...] = ()


#: What happens between two reconciliations, and everything that happens.
Burst = list[Step]
History = list[Burst]


def play(world: CheckedWorld, history: History) -> None:
    for burst in history:
        for step in burst:
            getattr(world, step.do)(*step.given)
        world.reconcile()


def step(do: str, *given: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(do), st.tuples(*given))


def histories_of(*steps: st.SearchStrategy[Step]) -> st.SearchStrategy[History]:
    return st.lists(st.lists(st.one_of(*steps), max_size=4), min_size=1, max_size=40)


breeds = st.builds(
    Breed,
    spawns=st.sampled_from([True, True, True, False]),
    lives_s=st.sampled_from([inf, inf, 0.3, 2.0, 15.0]),
    exit_code=st.sampled_from([0, 1]),
    stop_takes_s=st.sampled_from([0.0, 0.5, 5.0, inf]),
    descendants=st.sampled_from(Descendants),
    hook_takes_s=st.sampled_from([0.0, 0.5, 5.0, inf]),
    healthy_after_s=st.sampled_from([0.0, 0.0, 3.0, 40.0, inf]),
    sick_after_s=st.sampled_from([inf, inf, 8.0]),
    checked_after_s=st.sampled_from([0.0, 0.0, 7.0]),
    ready_after_s=st.sampled_from([0.0, 0.0, 3.0, 40.0, inf]),
)
rules_of_health = st.one_of(
    st.none(),
    st.builds(
        health_rules,
        st.sampled_from(HealthCheckMode),
        initial_delay_s=st.sampled_from([0.0, 1.0, 5.0]),
        period_s=st.sampled_from([4.0, 20.0]),
        failure_threshold=st.integers(1, 3),
        success_threshold=st.integers(1, 2),
        start_timeout_s=st.sampled_from([0.0, 4.0, 30.0]),
        strict=st.booleans(),
        checked=st.sampled_from([True, True, False]),
        announced=st.booleans(),
    ).filter(lambda rules: rules.checked or rules.announced),
)
messages = st.builds(
    NotifyMessage,
    states=st.lists(
        st.sampled_from([NotifyState.READY, NotifyState.RELOADING, NotifyState.STOPPING]), max_size=2
    ).map(tuple),
    failure=st.sampled_from([None, None, None, "silent"]),
    extend_s=st.sampled_from([None, None, 10.0, 60.0]),
)
rollouts = st.builds(
    RolloutRules,
    strategy=st.sampled_from([*[RolloutStrategy.ROLLING] * 4, *RolloutStrategy]),
    max_surge=st.integers(0, 2),
    max_unavailable=st.integers(0, 2),
    highest_index=st.sampled_from([None, None, 3, 4]),
    ready_timeout_s=st.sampled_from([None, 0.0, 2.0, 30.0]),
    start_timeout_s=st.sampled_from([0.0, 10.0]),
    pause_s=st.sampled_from([0.0, 0.0, 3.0]),
    rollback=st.booleans(),
)
configurations = st.builds(
    Rules,
    restart=st.builds(
        restart_rules,
        st.sampled_from(RestartPolicyName),
        max_attempts=st.integers(0, 3),
        initial_s=st.sampled_from([0.0, 0.1, 1.0, 5.0]),
        max_s=st.sampled_from([0.0, 1.0, 8.0, 60.0]),
        window_s=st.sampled_from([-1.0, 0.0, 1.0, 10.0]),
    ),
    stop=st.builds(
        stop_rules,
        st.sampled_from([0.0, 1.0, 10.0]),
        pre_stop=st.booleans(),
        post_stop_s=st.sampled_from([0.0, 0.0, 3.0]),
    ),
    health=rules_of_health,
    rollout=rollouts,
    launch=st.integers(0, 2),
)
histories = histories_of(
    step("sicken", st.integers(0, MOST_INSTANCES)),
    step("heal"),
    step("fatten", st.integers(0, MOST_INSTANCES)),
    step("outlive", st.integers(0, MOST_INSTANCES)),
    step("say", st.integers(0, MOST_INSTANCES), messages),
    step("start"),
    step("stop"),
    step("restart"),
    step("stop_one", st.integers(0, MOST_INSTANCES)),
    step("restart_one", st.integers(0, MOST_INSTANCES)),
    step("scale", st.integers(0, MOST_INSTANCES)),
    step("exit", st.integers(0, MOST_INSTANCES), st.sampled_from([0, 1, 139])),
    step("breeds", breeds),
    step("depends", st.sampled_from([(), ("db",), ("db", "cache")])),
    step("advance", st.sampled_from([0.1, 0.5, 1.0, 5.0, 12.0, 20.0])),
    step("reconcile_briefly", st.integers(1, 3)),
    step("reload", configurations),
)


@st.composite
def worlds(draw: st.DrawFn) -> CheckedWorld:
    oneshot = draw(st.sampled_from([False, False, False, True]))
    rules = draw(configurations)
    return CheckedWorld(rules, scale=draw(st.integers(0, 1 if oneshot else MOST_INSTANCES)), oneshot=oneshot)


@given(world=worlds(), history=histories)
@many
def test_whatever_happens(world: CheckedWorld, history: History) -> None:
    play(world, history)
    world.calm_down()
    world.advance(LONG_S)
    world.check_quiet()
    quiet = {index: _without_health(one) for index, one in world.instances.items()}
    world.advance(LONG_S)
    assert {index: _without_health(one) for index, one in world.instances.items()} == quiet, (
        "it does not stay as it was commanded"
    )

    world.stop()
    world.advance(world.longest_stop_s + 2 * KILL_AGAIN_S)
    world.check_quiet()


@given(world=worlds(), history=histories)
@many
def test_a_stop_always_ends(world: CheckedWorld, history: History) -> None:
    """Whatever was going on, and however the children and the hooks behave."""
    play(world, history)
    world.stop()
    world.advance(world.longest_stop_s + KILL_AGAIN_S + ROUNDING_S)
    assert not world.lives
    world.check_quiet()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("policy", RestartPolicyName)
def test_a_reload_that_allows_one_surge_instance_in_place_of_two(
    policy: RestartPolicyName, restarted: bool
) -> None:
    """Of the two one has ended well. The other, which is ready, stays and becomes available."""

    def rules(max_surge: int, launch: int) -> Rules:
        rollout = RolloutRules(max_surge=max_surge, max_unavailable=0, pause_s=3.0)
        return Rules(restart_rules(policy), stop_rules(), None, rollout, launch)

    world = CheckedWorld(rules(2, launch=0), scale=2)
    world.start()
    world.advance(LONG_S)
    world.restart()
    world.reconcile()
    world.exit(2, 0)
    world.reload(rules(1, launch=int(restarted)))
    world.reconcile()
    assert [one.index for one in world.instances.values() if one.ready] == [0, 1, 3]
    world.advance(LONG_S)
    world.check_quiet()


def test_a_rollback_starts_what_ends_meanwhile() -> None:
    """One of the old instances is being ended for its memory when the new ones turn out not to start."""

    def rules(launch: int) -> Rules:
        rollout = RolloutRules(max_surge=1, max_unavailable=0, rollback=True)
        return Rules(restart_rules(RestartPolicyName.NEVER), stop_rules(), None, rollout, launch)

    world = CheckedWorld(rules(launch=0), scale=2)
    world.start()
    world.reconcile()
    world.breeds(Breed(spawns=False))
    world.fatten(0)
    world.reload(rules(launch=1))
    world.reconcile()
    assert world.rules.launch == 0, "it went back"
    world.breeds(Breed())
    world.advance(LONG_S)
    world.check_quiet()
    assert all(one.ready for one in world.instances.values())


def _without_health(instance: Instance) -> Instance:
    """Results go on coming while nothing else changes."""
    return replace(instance, health=None)


class HealthyWorld(CheckedWorld):
    """Nothing in it fails; a rollout takes no more out of ready than its rules permit."""

    def carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            super().carry_out([action])
            rules = self.rules.rollout
            room = rules.highest_index is None or rules.highest_index >= self.wanted
            permitted = rules.max_unavailable if rules.max_surge and room else max(1, rules.max_unavailable)
            ready = sum(1 for one in self.instances.values() if one.ready)
            assert not self._began or ready >= self.wanted - permitted
            assert len(self.lives) <= self.wanted + rules.max_surge

    _began = False

    def begin(self) -> None:
        """From now on all of it stays up."""
        self.start()
        self.reconcile()
        self.advance(LONG_S)
        self._began = True


healthy_breeds = st.builds(
    Breed,
    spawns=st.just(True),
    lives_s=st.just(inf),
    stop_takes_s=st.sampled_from([0.0, 0.5, 5.0, inf]),
    descendants=st.sampled_from(Descendants),
    hook_takes_s=st.sampled_from([0.0, 0.5, 5.0, inf]),
    healthy_after_s=st.sampled_from([0.0, 0.0, 3.0, 12.0]),
    sick_after_s=st.just(inf),
    checked_after_s=st.sampled_from([0.0, 0.0, 4.0]),
    ready_after_s=st.sampled_from([0.0, 3.0, 25.0]),
)
slow_to_fail = st.one_of(
    st.none(),
    st.builds(
        health_rules,
        st.sampled_from(HealthCheckMode),
        initial_delay_s=st.sampled_from([0.0, 1.0]),
        period_s=st.just(10.0),
        failure_threshold=st.just(8),
        success_threshold=st.integers(1, 3),
        checked=st.sampled_from([True, True, False]),
        announced=st.booleans(),
    ).filter(lambda rules: rules.checked or rules.announced),
)
harmless_rollouts = st.builds(
    RolloutRules,
    max_surge=st.integers(0, 2),
    max_unavailable=st.integers(0, 2),
    highest_index=st.sampled_from([None, 2, 6]),
    pause_s=st.sampled_from([0.0, 3.0]),
    rollback=st.booleans(),
)
harmless_histories = histories_of(
    step("restart"),
    step("start"),
    step("depends", st.sampled_from([(), ("db",)])),
    step("breeds", healthy_breeds),
    step("advance", st.sampled_from([0.1, 1.0, 5.0, 12.0, 40.0])),
    step("reconcile_briefly", st.integers(1, 3)),
)


@given(
    scale=st.integers(1, 6),
    first=healthy_breeds,
    timeout_s=st.sampled_from([0.0, 1.0, 10.0]),
    checks=slow_to_fail,
    rollout=harmless_rollouts,
    history=harmless_histories,
)
@many
def test_a_rollout_leaves_as_many_ready_as_its_rules_say(
    scale: int,
    first: Breed,
    timeout_s: float,
    checks: HealthRules | None,
    rollout: RolloutRules,
    history: History,
) -> None:
    world = HealthyWorld(Rules(restart_rules(), stop_rules(timeout_s), checks, rollout), scale=scale)
    world.breeds(first)
    world.begin()
    play(world, history)
    world.advance(LONG_S)
    restarts = world.desired.generation
    assert all(one.ready for one in world.instances.values())
    assert all(one.generation == restarts for one in world.instances.values())
    assert all((one.restart_count > 0) == (restarts > 0) for one in world.instances.values())
    assert all(one.restart_count <= restarts for one in world.instances.values())


class Dependent(CheckedWorld):
    """Depends on another world being ready."""

    def __init__(self, dependency: CheckedWorld) -> None:
        super().__init__(Rules(restart_rules(), stop_rules()), scale=1)
        self._dependency = dependency

    @property
    def dependency_ready(self) -> bool:
        return is_ready(self._dependency.desired, self._dependency.instances.values(), oneshot=False)

    def update_gate(self) -> None:
        self.waiting_for = () if self.dependency_ready else ("db",)
        super().update_gate()

    def spawn(self, index: int, *, surge: bool = False) -> None:
        if index not in self.instances:
            assert self.dependency_ready, "started before what it depends on was ready"
        super().spawn(index, surge=surge)


@given(checks=rules_of_health, scale=st.integers(1, 3), history=histories)
@many
def test_a_dependent_starts_when_its_dependency_is_ready_and_not_before(
    checks: HealthRules | None, scale: int, history: History
) -> None:
    db = CheckedWorld(Rules(restart_rules(max_attempts=0), stop_rules(), checks), scale=scale)
    web = Dependent(db)
    web.waiting_for = ("db",)
    web.start()
    web.reconcile()
    assert not web.instances
    for burst in history:
        play(db, [burst])
        web.advance(max(0.0, db.now - web.now))
        web.reconcile()
    db.calm_down()
    db.start()
    db.scale(1)
    db.advance(LONG_S)
    web.reconcile()
    assert web.instances
