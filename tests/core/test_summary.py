from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.states import State
from cbox_init.core.summary import ended_for_good, has_settled, is_ready, process_state
from tests.core.cases import ended, idle, running, stopping, waiting, want, want_stopped

if TYPE_CHECKING:
    from cbox_init.core.states import Desired

completed = ended(outcome=State.COMPLETED)


@pytest.mark.parametrize(
    ("desired", "instances", "state"),
    [
        pytest.param(want(1), [], State.STARTING, id="about to start"),
        pytest.param(want(1), [running()], State.RUNNING, id="runs"),
        pytest.param(want(2), [running(0)], State.RUNNING, id="one of two runs"),
        pytest.param(want(2), [running(0), waiting(1)], State.RUNNING, id="one runs, one waits"),
        pytest.param(want(2), [running(0), ended(1)], State.RUNNING, id="one runs, one was given up"),
        pytest.param(want(2), [stopping(0), running(1)], State.RUNNING, id="one is being replaced"),
        pytest.param(want(1), [waiting()], State.STARTING, id="waits for a restart"),
        pytest.param(want(2), [waiting(0), ended(1)], State.STARTING, id="one waits, one was given up"),
        pytest.param(want(2), [ended(0)], State.STARTING, id="one was given up, one is about to start"),
        pytest.param(want(1), [stopping()], State.STOPPING, id="the only one is being replaced"),
        pytest.param(want(2), [stopping(0), ended(1)], State.STOPPING, id="one ends, one was given up"),
        pytest.param(want(1), [ended()], State.FAILED, id="given up"),
        pytest.param(
            want(2), [ended(0), ended(1, State.STOPPED)], State.FAILED, id="one of two was given up"
        ),
        pytest.param(want(1), [ended(outcome=State.STOPPED)], State.STOPPED, id="ended well"),
        pytest.param(want(1), [completed], State.COMPLETED, id="a oneshot did its work"),
        pytest.param(want(0), [], State.STOPPED, id="scaled to 0"),
        pytest.param(want(0), [stopping()], State.STOPPING, id="on the way to 0"),
        pytest.param(want(0), [running()], State.STOPPING, id="about to go to 0"),
        pytest.param(want_stopped(), [], State.STOPPED, id="never started"),
        pytest.param(want_stopped(), [idle()], State.STOPPED, id="stopped"),
        pytest.param(want_stopped(), [running()], State.STOPPING, id="about to stop"),
        pytest.param(want_stopped(2), [idle(0), stopping(1)], State.STOPPING, id="one has not stopped yet"),
        pytest.param(want_stopped(), [waiting()], State.STOPPED, id="stopped while it waited"),
        pytest.param(want_stopped(), [ended()], State.STOPPED, id="stopped after it was given up"),
    ],
)
def test_state_of_the_process(desired: Desired, instances: list[Instance], state: State) -> None:
    assert process_state(desired, instances, blocked=False, expired=False) is state


@pytest.mark.parametrize(
    ("desired", "instances", "expired", "state"),
    [
        pytest.param(want(1), [], False, State.STARTING, id="waits for dependencies"),
        pytest.param(want(1), [idle()], False, State.STARTING, id="started again, waits for dependencies"),
        pytest.param(want(1, starts=1), [ended()], False, State.STARTING, id="was given up, started again"),
        pytest.param(want(1), [], True, State.FAILED, id="waited too long"),
        pytest.param(want(1), [running()], True, State.RUNNING, id="runs all the same"),
        pytest.param(want_stopped(), [], True, State.STOPPED, id="stopped after that"),
        pytest.param(want(0), [], False, State.STOPPED, id="nothing to start"),
    ],
)
def test_state_while_dependencies_are_not_ready(
    desired: Desired, instances: list[Instance], expired: bool, state: State
) -> None:
    assert process_state(desired, instances, blocked=True, expired=expired) is state


@pytest.mark.parametrize(
    ("desired", "instances", "ready"),
    [
        (want(1), [], False),
        (want(1), [running()], True),
        (want(2), [running(0)], False),
        (want(2), [running(0), running(1)], True),
        (want(2), [running(0), waiting(1)], False),
        (want(2), [running(0), stopping(1)], False),
        (want(1), [running(0), stopping(1)], True),
        (want(2), [running(0), stopping(5)], False),
        (want(1), [ended(outcome=State.STOPPED)], False),
        (want(1), [ended()], False),
        (want(0), [], False),
        (want_stopped(), [running()], False),
    ],
)
def test_a_longrun_is_ready_when_all_of_it_runs(
    desired: Desired, instances: list[Instance], ready: bool
) -> None:
    assert is_ready(desired, instances, oneshot=False) is ready


@pytest.mark.parametrize(
    ("desired", "instances", "ready"),
    [
        (want(1), [], False),
        (want(1), [running()], False),
        (want(1), [waiting()], False),
        (want(1), [ended()], False),
        (want(1), [completed], True),
        (want_stopped(), [completed], True),
        (want_stopped(), [idle()], False),
        (want_stopped(), [], False),
        (want(0), [], False),
    ],
)
def test_a_oneshot_is_ready_when_it_has_completed(
    desired: Desired, instances: list[Instance], ready: bool
) -> None:
    assert is_ready(desired, instances, oneshot=True) is ready


NEW = 1


@pytest.mark.parametrize(
    ("desired", "instances", "settled"),
    [
        pytest.param(want(1), [], False, id="about to start"),
        pytest.param(want(1), [running()], True, id="runs"),
        pytest.param(want(1), [idle()], False, id="about to start again"),
        pytest.param(want(1), [stopping()], False, id="start during a stop"),
        pytest.param(want(1), [waiting()], True, id="cannot be had now"),
        pytest.param(want(1), [ended()], True, id="cannot be had"),
        pytest.param(want(1), [completed], True, id="did its work"),
        pytest.param(want(1, starts=1), [running()], True, id="start of what runs"),
        pytest.param(want(1, starts=1), [ended()], False, id="start not taken up yet"),
        pytest.param(want(1, starts=1), [waiting()], False, id="start while it waits, not taken up yet"),
        pytest.param(want(1, generation=NEW), [ended()], False, id="restart not taken up yet"),
        pytest.param(want(1, generation=NEW), [running()], False, id="to be replaced"),
        pytest.param(want(1, generation=NEW), [running(generation=NEW)], True, id="replaced"),
        pytest.param(
            want(2, generation=NEW), [running(0, generation=NEW), running(1)], False, id="rollout under way"
        ),
        pytest.param(
            want(2, generation=NEW), [ended(0, generation=NEW), running(1)], True, id="rollout blocked"
        ),
        pytest.param(
            want(2, generation=NEW), [waiting(0, generation=NEW), running(1)], True, id="rollout held up"
        ),
        pytest.param(
            want(2, generation=NEW),
            [ended(0, State.STOPPED, generation=NEW), running(1)],
            False,
            id="rollout goes on after one that ended well",
        ),
        pytest.param(want(1), [running(0), stopping(1)], False, id="on the way down"),
        pytest.param(want(2), [running(0)], False, id="on the way up"),
        pytest.param(want(2), [running(0), waiting(5)], False, id="one missing, one too many"),
        pytest.param(want(0), [], True, id="at 0"),
        pytest.param(want_stopped(), [], True, id="stopped before it was started"),
        pytest.param(want_stopped(), [idle()], True, id="stopped"),
        pytest.param(want_stopped(), [ended()], True, id="stopped after it was given up"),
        pytest.param(want_stopped(), [running()], False, id="stop not taken up yet"),
        pytest.param(want_stopped(), [stopping()], False, id="stopping"),
    ],
)
def test_a_command_has_had_its_effect(desired: Desired, instances: list[Instance], settled: bool) -> None:
    assert has_settled(desired, instances) is settled


@pytest.mark.parametrize(
    ("desired", "instances", "ended_all"),
    [
        pytest.param(want(1), [completed], True, id="did its work"),
        pytest.param(want(1), [ended()], True, id="was given up"),
        pytest.param(want(2), [ended(0), ended(1, State.STOPPED)], True, id="both"),
        pytest.param(want(2), [ended(0), running(1)], False, id="one runs"),
        pytest.param(want(2), [ended(0)], False, id="one is about to start"),
        pytest.param(want(1), [waiting()], False, id="waits for its restart"),
        pytest.param(want(1), [stopping(asked=False)], False, id="descendants are left"),
        pytest.param(want(1), [], False, id="about to start"),
        pytest.param(want(1, starts=1), [ended()], False, id="a start is not taken up yet"),
        pytest.param(want(1, generation=1), [ended()], False, id="a restart is not taken up yet"),
        pytest.param(want_stopped(), [ended()], False, id="stopped by hand"),
        pytest.param(want(0), [], False, id="scaled to 0"),
    ],
)
def test_ended_for_good(desired: Desired, instances: list[Instance], ended_all: bool) -> None:
    assert ended_for_good(desired, instances) is ended_all


@pytest.mark.parametrize(
    ("instance", "state", "alive", "blocks_rollout"),
    [
        (idle(), State.STOPPED, False, False),
        (running(), State.RUNNING, True, False),
        (stopping(), State.STOPPING, True, True),
        (stopping(asked=False), State.STOPPING, True, True),
        (waiting(), State.STARTING, False, True),
        (ended(), State.FAILED, False, True),
        (ended(outcome=State.STOPPED), State.STOPPED, False, False),
        (completed, State.COMPLETED, False, False),
    ],
)
def test_state_of_an_instance(instance: Instance, state: State, alive: bool, blocks_rollout: bool) -> None:
    assert instance.state is state
    assert instance.alive is alive
    assert instance.blocks_rollout is blocks_rollout


def test_every_phase_is_covered() -> None:
    assert {one.phase for one in (idle(), running(), stopping(), waiting(), ended())} == set(Phase)
