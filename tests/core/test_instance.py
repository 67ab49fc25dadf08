from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import RestartPolicyName
from cbox_init.core.instance import (
    KILL_AGAIN_S,
    LEAST_GRACE_S,
    SPAWN_AGAIN_S,
    Instance,
    Phase,
    gone,
    killed,
    left_behind,
    main_exited,
    post_stop_begun,
    pre_stop_ended,
    restart_cancelled,
    signalled,
    spawn_failed,
    spawned,
    stop_begun,
)
from cbox_init.core.restart import Ending
from cbox_init.core.states import Revision, State
from tests.core.cases import (
    CRASH,
    NOW,
    SUCCESS,
    ended,
    idle,
    restart_rules,
    running,
    stop_rules,
    stopping,
    waiting,
)

if TYPE_CHECKING:
    from cbox_init.config.rules import RestartRules

FIRST = Revision(0, 0)
RESTARTED = Revision(1, 0)
STARTED = Revision(0, 1)
RULES = restart_rules()
NEVER = restart_rules(RestartPolicyName.NEVER)


def spawn(instance: Instance, revision: Revision = FIRST, *, now: float = NOW) -> Instance:
    return spawned(instance, pid=42, now=now, unix=1_800_000_000.0, revision=revision)


def fail(instance: Instance, revision: Revision = FIRST, rules: RestartRules = RULES) -> Instance:
    return spawn_failed(
        instance, Ending(127, "no such file"), now=NOW, revision=revision, rules=rules, oneshot=False
    )


def leave(
    instance: Instance,
    ending: Ending = CRASH,
    *,
    now: float = NOW,
    revision: Revision = FIRST,
    rules: RestartRules = RULES,
    oneshot: bool = False,
) -> Instance:
    """The main process ends and leaves nothing behind."""
    exited = main_exited(instance, ending, now=now)
    return gone(exited, now=now, revision=revision, rules=rules, oneshot=oneshot)


# -- spawned -----------------------------------------------------------------------------------------------


def test_spawned() -> None:
    instance = spawn(idle(3), Revision(2, 5))
    assert instance == Instance(
        index=3,
        phase=Phase.RUNNING,
        pid=42,
        up_at=NOW,
        started_unix=1_800_000_000.0,
        generation=2,
        starts=5,
        spawned_before=True,
        renewed_at=NOW,
        proven=True,
        ready_at=NOW,
    )


@pytest.mark.parametrize(
    ("before", "revision", "restart_count"),
    [
        pytest.param(idle(), FIRST, 0, id="the first"),
        pytest.param(idle(), Revision(7, 7), 0, id="the first, after earlier restarts of the others"),
        pytest.param(waiting(), FIRST, 1, id="after a crash"),
        pytest.param(waiting(), STARTED, 1, id="after a crash, started by hand before it was due"),
        pytest.param(waiting(), RESTARTED, 1, id="after a crash, restarted by hand before it was due"),
        pytest.param(restart_cancelled(stopping()), FIRST, 0, id="after a stop"),
        pytest.param(restart_cancelled(stopping()), RESTARTED, 1, id="replaced by a restart"),
        pytest.param(restart_cancelled(waiting()), STARTED, 0, id="stopped while it waited, then started"),
        pytest.param(ended(), STARTED, 0, id="given up, then started"),
        pytest.param(ended(), RESTARTED, 1, id="given up, then restarted"),
    ],
)
def test_what_counts_as_a_restart(before: Instance, revision: Revision, restart_count: int) -> None:
    assert spawn(before, revision).restart_count == restart_count
    assert fail(before, revision).restart_count == restart_count


@pytest.mark.parametrize(
    ("before", "revision", "attempts"),
    [
        (waiting(), FIRST, 1),
        (waiting(), STARTED, 0),
        (waiting(), RESTARTED, 0),
        (ended(), STARTED, 0),
        (restart_cancelled(stopping()), FIRST, 0),
    ],
)
def test_a_command_makes_the_budget_new(before: Instance, revision: Revision, attempts: int) -> None:
    assert spawn(before, revision).attempts == attempts


def test_spawned_forgets_the_earlier_end() -> None:
    instance = spawn(waiting())
    assert instance.ending is None
    assert instance.reason is None


def test_the_last_exit_code_is_that_of_the_last_run_that_is_over() -> None:
    first = spawn(Instance(index=0))
    assert first.last_exit_code is None
    over = main_exited(first, Ending(3, "exit code 3"), now=NOW)
    assert over.last_exit_code == 3
    assert spawn(over).last_exit_code == 3
    assert fail(Instance(index=0)).last_exit_code == 127


# -- spawn_failed ------------------------------------------------------------------------------------------


def test_spawn_failed_waits_as_after_a_crash() -> None:
    instance = fail(idle())
    assert (instance.phase, instance.due_at, instance.attempts) == (Phase.WAITING, NOW + 1.0, 1)
    assert instance.reason == "no such file"
    assert instance.ending == Ending(127, "no such file")


def test_spawn_failed_is_given_up_when_the_budget_is_used() -> None:
    instance = idle()
    for _ in range(4):
        instance = fail(instance)
    assert (instance.phase, instance.outcome) == (Phase.ENDED, State.FAILED)
    assert instance.reason == "gave up after 3 restarts: no such file"
    assert instance.restart_count == 3


def test_spawn_failed_by_policy() -> None:
    instance = fail(idle(), rules=NEVER)
    assert (instance.phase, instance.outcome) == (Phase.ENDED, State.FAILED)
    assert instance.reason == "no such file; restart is never"


def test_spawn_failed_is_never_tried_again_at_once() -> None:
    instance = fail(idle(), rules=restart_rules(initial_s=0.0, max_attempts=0))
    assert instance.due_at == NOW + SPAWN_AGAIN_S


def test_spawn_failed_answers_the_command_that_asked_for_it() -> None:
    """Otherwise it would be tried again and again under a restart that it never answers."""
    instance = fail(running(), Revision(2, 3))
    assert not instance.is_outdated(Revision(2, 3))


# -- stop_begun, killed ----------------------------------------------------------------------------------


def test_told_to_stop_has_its_grace() -> None:
    instance = stop_begun(running(), now=NOW, rules=stop_rules(10.0))
    assert (instance.phase, instance.asked, instance.kill_at) == (Phase.STOPPING, True, NOW + 10.0)
    assert instance.pid == running().pid


def test_told_to_stop_while_descendants_end_prolongs_nothing() -> None:
    before = stopping(kill_at=NOW + 2, asked=False)
    instance = stop_begun(before, now=NOW, rules=stop_rules(10.0))
    assert instance.asked
    assert instance.kill_at == NOW + 2


def test_a_pre_stop_hook_holds_back_the_signal_within_the_grace() -> None:
    rules = stop_rules(10.0, pre_stop=True)
    instance = stop_begun(running(), now=NOW, rules=rules)
    assert (instance.signal_at, instance.kill_at) == (NOW + 10.0, NOW + 10.0)
    done = pre_stop_ended(instance, now=NOW + 3)
    assert done.signal_at == NOW + 3
    told = signalled(done, now=NOW + 3, rules=rules)
    assert (told.signal_at, told.kill_at) == (None, NOW + 10.0)
    assert pre_stop_ended(told, now=NOW + 4) == told


def test_after_a_hook_that_used_up_the_grace_there_is_time_to_end() -> None:
    for timeout_s, least_s in ((10.0, LEAST_GRACE_S), (0.5, 0.5), (0.0, 0.0)):
        rules = stop_rules(timeout_s, pre_stop=True)
        instance = stop_begun(running(), now=NOW, rules=rules)
        told = signalled(instance, now=instance.kill_at, rules=rules)
        assert told.kill_at == NOW + timeout_s + least_s


def test_what_a_dead_main_process_left_gets_no_hook() -> None:
    before = stopping(asked=False)
    assert stop_begun(before, now=NOW, rules=stop_rules(pre_stop=True)).signal_at is None


def test_a_post_stop_hook_has_its_own_time_and_then_it_has_stopped() -> None:
    stopped = main_exited(stopping(kill_at=NOW + 1), SUCCESS, now=NOW)
    instance = post_stop_begun(stopped, now=NOW, rules=stop_rules(post_stop_s=30.0))
    assert (instance.phase, instance.kill_at) == (Phase.STOPPING, NOW + 30.0)
    assert leave(instance).phase is Phase.IDLE


def test_killed_is_killed_again_if_need_be() -> None:
    instance = killed(stopping(kill_at=NOW), now=NOW)
    assert instance.killed
    assert instance.kill_at == NOW + KILL_AGAIN_S
    assert instance.phase is Phase.STOPPING


# -- main_exited, left_behind, gone ------------------------------------------------------------------------


def test_main_exited_has_no_pid_and_keeps_its_phase_until_it_is_known_what_is_left() -> None:
    for before in (running(), stopping()):
        instance = main_exited(before, CRASH, now=NOW)
        assert (instance.phase, instance.pid) == (before.phase, 0)
        assert (instance.ending, instance.ended_at) == (CRASH, NOW)


def test_left_behind_are_told_to_stop() -> None:
    exited = main_exited(running(), CRASH, now=NOW - 1)
    instance = left_behind(exited, now=NOW, rules=stop_rules(10.0))
    assert (instance.phase, instance.asked, instance.kill_at) == (Phase.STOPPING, False, NOW + 10.0)
    assert left_behind(instance, now=NOW + 5, rules=stop_rules(10.0)) == instance


def test_left_behind_in_a_stop_have_what_is_left_of_its_grace() -> None:
    exited = main_exited(stopping(kill_at=NOW + 3), CRASH, now=NOW)
    assert left_behind(exited, now=NOW, rules=stop_rules(10.0)) == exited


def test_a_crash_waits() -> None:
    instance = leave(running(attempts=1))
    assert (instance.phase, instance.due_at, instance.attempts) == (Phase.WAITING, NOW + 2.0, 2)
    assert instance.reason == CRASH.reason
    assert instance.pid == 0


def test_a_crash_after_long_uptime_comes_back_at_once_with_a_new_budget() -> None:
    instance = leave(running(attempts=3), now=NOW + 55)  # up since NOW - 5
    assert (instance.phase, instance.due_at, instance.attempts) == (Phase.WAITING, NOW + 55, 0)


def test_the_time_that_descendants_take_counts_as_backoff_but_not_as_uptime() -> None:
    exited = main_exited(running(), CRASH, now=NOW)
    late = gone(
        left_behind(exited, now=NOW, rules=stop_rules()),
        now=NOW + 100,
        revision=FIRST,
        rules=RULES,
        oneshot=False,
    )
    assert (late.phase, late.due_at, late.attempts) == (Phase.WAITING, NOW + 100, 1)


@pytest.mark.parametrize(
    ("ending", "oneshot", "outcome"),
    [(CRASH, False, State.FAILED), (SUCCESS, False, State.STOPPED), (SUCCESS, True, State.COMPLETED)],
)
def test_an_end_for_good(ending: Ending, oneshot: bool, outcome: State) -> None:
    instance = leave(running(), ending, rules=NEVER, oneshot=oneshot)
    assert (instance.phase, instance.outcome) == (Phase.ENDED, outcome)
    assert instance.reason == f"{ending.reason}; restart is never"
    assert instance.ending == ending


@pytest.mark.parametrize("ending", [CRASH, SUCCESS])
@pytest.mark.parametrize("rules", [RULES, NEVER])
def test_the_end_of_a_stop_is_no_crash_however_it_exits(ending: Ending, rules: RestartRules) -> None:
    instance = leave(stopping(), ending, rules=rules)
    assert (instance.phase, instance.state) == (Phase.IDLE, State.STOPPED)
    assert (instance.attempts, instance.asked, instance.killed, instance.reason) == (0, False, False, None)
    assert instance.ending == ending


def test_a_stop_that_comes_while_descendants_end_counts() -> None:
    left = left_behind(main_exited(running(), CRASH, now=NOW), now=NOW, rules=stop_rules())
    asked = stop_begun(left, now=NOW, rules=stop_rules())
    assert gone(asked, now=NOW, revision=FIRST, rules=RULES, oneshot=False).phase is Phase.IDLE


def test_a_start_while_it_runs_is_answered_by_its_having_run() -> None:
    assert not leave(running(), revision=STARTED).is_outdated(STARTED)


def test_a_start_while_descendants_end_is_not_lost() -> None:
    left = left_behind(main_exited(running(), SUCCESS, now=NOW), now=NOW, rules=stop_rules())
    instance = gone(left, now=NOW + 1, revision=STARTED, rules=NEVER, oneshot=True)
    assert (instance.phase, instance.outcome) == (Phase.ENDED, State.COMPLETED)
    assert instance.is_outdated(STARTED)


def test_a_restart_while_it_runs_is_not_answered_by_its_crash() -> None:
    assert leave(running(), revision=RESTARTED).is_outdated(RESTARTED)


# -- restart cancelled -----------------------------------------------------------------------------


def test_rested_has_nothing_to_wait_for() -> None:
    instance = restart_cancelled(waiting())
    assert (instance.phase, instance.due_at, instance.attempts, instance.reason) == (Phase.IDLE, 0.0, 0, None)


def test_the_count_of_restarts_outlives_a_stop() -> None:
    instance = spawn(waiting())
    instance = leave(stop_begun(instance, now=NOW, rules=stop_rules()))
    assert spawn(instance).restart_count == 1


@pytest.mark.parametrize(
    ("revision", "behind"),
    [(Revision(1, 1), False), (Revision(2, 1), True), (Revision(1, 2), True), (Revision(0, 0), False)],
)
def test_behind(revision: Revision, behind: bool) -> None:
    assert running(generation=1, starts=1).is_outdated(revision) is behind
