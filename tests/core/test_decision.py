"""A decision that is carried out in slices, and one that is made over many that want nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.core import decide as module
from cbox_init.core.decide import Action, Decision, Spawn, Stop, Wait, decide
from cbox_init.core.health import begin
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.rollout import ONE_BY_ONE
from cbox_init.core.states import Desired, State
from tests.core.cases import NOW, health_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.config.rules import RolloutRules


@pytest.mark.parametrize(
    ("actions", "done", "until"),
    [
        ((), [], None),
        ((Wait(7.0),), [], 7.0),
        ((Spawn(0), Stop(1)), [Spawn(0), Stop(1)], None),
        ((Spawn(0), Wait(7.0)), [Spawn(0)], 7.0),
    ],
)
def test_actions_and_what_to_wait_for(
    actions: Sequence[Action], done: list[Action], until: float | None
) -> None:
    decision = Decision(actions)
    assert decision.until == until
    assert list(decision) == done
    assert list(decision) == []


def test_it_holds_while_there_is_a_rest_and_nothing_else_is_due() -> None:
    decision = Decision((Spawn(0), Spawn(1), Wait(7.0)), may_spawn=True)
    assert next(iter(decision)) == Spawn(0)
    assert decision.holds(may_spawn=True, now=6.0)
    assert not decision.holds(may_spawn=True, now=7.0)
    assert not decision.holds(may_spawn=False, now=6.0)
    assert list(decision) == [Spawn(1)]
    assert not decision.holds(may_spawn=True, now=6.0)


def test_it_does_not_hold_when_something_has_happened() -> None:
    decision = Decision((Spawn(0), Spawn(1)), may_spawn=True)
    decision.drop()
    assert not decision.holds(may_spawn=True, now=0.0)


PAUSING = replace(ONE_BY_ONE, pause_s=2.0)

instances = st.fixed_dictionaries(
    {
        "phase": st.sampled_from(Phase),
        "generation": st.integers(0, 2),
        "due_at": st.sampled_from((NOW - 1, NOW + 1)),
        "kill_at": st.sampled_from((NOW - 1, NOW + 1)),
        "outcome": st.sampled_from((State.FAILED, State.COMPLETED)),
        "proven": st.booleans(),
        "ready_at": st.sampled_from((None, NOW - 5, NOW - 1, NOW)),
        "excess": st.sampled_from((None, None, None, "too much")),
        "surge": st.booleans(),
        "health": st.sampled_from((None, None, begin(health_rules(), now=NOW - 1))),
    }
)


@given(
    st.dictionaries(st.integers(0, 5), instances, max_size=6),
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 2)),
    st.booleans(),
    st.sampled_from((ONE_BY_ONE, PAUSING)),
)
def test_who_wants_nothing_is_passed_over_without_changing_the_decision(
    states: dict[int, dict[str, Any]], wanted: tuple[bool, int, int], may_spawn: bool, rules: RolloutRules
) -> None:
    found = {index: Instance(index=index, **state) for index, state in states.items()}
    desired = Desired(run=wanted[0], scale=wanted[1], generation=wanted[2])
    quick = decide(desired, found, may_spawn=may_spawn, now=NOW, rules=rules)
    with patch.object(module._Planner, "is_as_wanted", lambda self, instance: False):
        assert decide(desired, found, may_spawn=may_spawn, now=NOW, rules=rules) == quick
