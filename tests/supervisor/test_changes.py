"""Changes: what each command comes to, with real children."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.acting import acting_as
from cbox_init.core.changes import ChangeStatus
from cbox_init.core.states import State
from cbox_init.errors import ConfigError, Conflict, UnknownChange
from cbox_init.supervisor import changes as module
from tests.supervisor.house import WAITS

if TYPE_CHECKING:
    from cbox_init.supervisor.changes import Change
    from tests.supervisor.house import Build, House

SLEEP = ["sleep", "1000"]


def text(**processes: object) -> str:
    return json.dumps({"processes": processes})


async def ended(house: House, change: Change) -> tuple[ChangeStatus, str]:
    await house.until(lambda: change.over)
    return change.status, change.reason


async def test_start_stop_restart_and_scale_are_done_when_the_instances_are(build: Build) -> None:
    house = build(text(web={"command": SLEEP}))
    await house.until_state("web", State.RUNNING)
    supervisor = house.supervisor
    (before,) = house.pids("web")
    restart = supervisor.restart("web")
    assert restart.status is ChangeStatus.DOING
    assert await ended(house, restart) == (ChangeStatus.DONE, "")
    (after,) = house.pids("web")
    assert after != before
    with acting_as("autoscale"):
        scale = supervisor.scale("web", 3, why="cpu 91 %", kind="autoscale")
    assert await ended(house, scale) == (ChangeStatus.DONE, "")
    assert (scale.kind, scale.actor.id, scale.why, scale.figures) == (
        "autoscale",
        "autoscale",
        "cpu 91 %",
        (3, 3),
    )
    assert [step.id for step in scale.steps] == ["web-1", "web-2"]
    stop = supervisor.stop("web")
    assert await ended(house, stop) == (ChangeStatus.DONE, "")
    assert not house.pids("web")
    start = supervisor.start("web")
    assert await ended(house, start) == (ChangeStatus.DONE, "")
    assert supervisor.start("web").over
    kinds = [change.kind for change in supervisor.changes.latest()]
    assert kinds == ["start", "start", "stop", "autoscale", "restart"]


async def test_a_start_fails_with_the_reason_of_the_instance(build: Build) -> None:
    command = ["sh", "-c", "echo broken; exit 3"]
    house = build(text(web={"command": command, "type": "oneshot", "initial_state": "stopped"}))
    change = house.supervisor.start("web")
    assert await ended(house, change) == (ChangeStatus.FAILED, "web-0: exit code 3; restart is never")
    (step,) = change.steps
    assert (step.status, step.last_output) == (ChangeStatus.FAILED, ("broken",))


async def test_a_stop_supersedes_a_restart(build: Build) -> None:
    slow = {"type": "exec", "command": ["false"], "initial_delay": 0, "period": 1}
    house = build(text(web={"command": SLEEP, "health_check": slow}))
    await house.until_state("web", State.RUNNING)
    restart = house.supervisor.restart("web")
    stop = house.supervisor.stop("web")
    assert await ended(house, restart) == (ChangeStatus.SUPERSEDED, "a later command stopped it")
    assert restart.superseded_by == stop.id
    assert (await ended(house, stop))[0] is ChangeStatus.DONE


async def test_scales_by_a_difference_add_up_and_another_number_supersedes(build: Build) -> None:
    house = build(text(web={"command": SLEEP}, db={"command": SLEEP}))
    await house.until_state("web", State.RUNNING)
    first, second = house.supervisor.scale_by("web", 1), house.supervisor.scale_by("web", 1)
    other, last = house.supervisor.scale("db", 3), house.supervisor.scale("db", 2)
    assert await ended(house, first) == await ended(house, second) == (ChangeStatus.DONE, "")
    assert len(house.pids("web")) == 3
    assert await ended(house, other) == (ChangeStatus.SUPERSEDED, "a later command scaled it to 2")
    assert (await ended(house, last))[0] is ChangeStatus.DONE


async def test_a_triggered_run_gives_its_exit_code(build: Build) -> None:
    job = {"command": ["sh", "-c", f"{WAITS}; exit 3"], "schedule": "0 0 1 1 *"}
    house = build(text(job=job))
    await house.until_state("job", State.SCHEDULED)
    change = house.supervisor.trigger("job")
    await house.until_state("job", State.RUNNING)
    assert not change.over
    house.let_go()
    assert await ended(house, change) == (ChangeStatus.FAILED, "exit code 3")
    assert change.exit_code == 3
    assert house.supervisor.pause("job").status is ChangeStatus.DONE
    with pytest.raises(Conflict, match="paused"):
        house.supervisor.trigger("job")
    assert [one.kind for one in house.supervisor.changes.latest()] == ["pause", "trigger"]


async def test_what_waits_for_another_process_says_so(build: Build) -> None:
    db = {"command": SLEEP, "initial_state": "stopped"}
    house = build(text(db=db, web={"command": SLEEP, "depends_on": ["db"], "initial_state": "stopped"}))
    change = house.supervisor.start("web")
    await house.until(lambda: change.reason == "waiting for db")
    house.supervisor.start("db")
    assert await ended(house, change) == (ChangeStatus.DONE, "")


async def test_a_change_of_several_processes_ends_with_the_last(build: Build) -> None:
    bad = {"command": ["false"], "type": "oneshot", "initial_state": "stopped"}
    house = build(text(web={"command": SLEEP}, bad=bad))
    await house.until_state("web", State.RUNNING)
    change = house.supervisor.changes.open("restart", ("web", "bad"))
    house.supervisor.restart("web", change=change)
    house.supervisor.restart("bad", change=change)
    assert await ended(house, change) == (ChangeStatus.FAILED, "bad: bad-0: exit code 1; restart is never")
    assert [(step.process, step.status) for step in change.steps] == [
        ("bad", ChangeStatus.FAILED),
        ("web", ChangeStatus.DONE),
    ]


async def test_the_shutdown_aborts_what_it_prevents(build: Build) -> None:
    house = build(
        text(web={"command": SLEEP, "depends_on": ["db"]}, db={"command": SLEEP, "initial_state": "stopped"})
    )
    change = house.supervisor.start("web")
    house.supervisor.shutdown("test")
    assert await ended(house, change) == (ChangeStatus.ABORTED, "the daemon is shutting down")


async def test_few_are_kept_and_an_id_from_before_says_so(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    monkeypatch.setattr(module, "MOST_OF_A_KIND", 2)
    monkeypatch.setattr(module, "MOST_DOING", 3)
    db = {"command": SLEEP, "initial_state": "stopped"}
    house = build(text(db=db, web={"command": SLEEP, "depends_on": ["db"]}, other={"command": SLEEP}))
    await house.until_state("other", State.RUNNING)
    changes = house.supervisor.changes
    first = house.supervisor.stop("db")
    for _ in range(3):
        house.supervisor.stop("db")
    with pytest.raises(UnknownChange, match="no longer kept: the last 2 are"):
        changes[first.id]
    run, _, number = first.id.partition("-")
    with pytest.raises(UnknownChange, match="of another run of the daemon"):
        changes[f"{'f' * len(run)}-{number}"]
    with pytest.raises(UnknownChange, match="there is no change 'nothing'"):
        changes["nothing"]
    starts = [house.supervisor.start("web") for _ in range(4)]
    assert [one.status for one in starts] == [ChangeStatus.SUPERSEDED] * 2 + [ChangeStatus.DOING] * 2
    changes.open("reload", (module.ALL,))
    with pytest.raises(Conflict, match="3 changes are under way"):
        house.supervisor.stop("other")
    assert house.pids("other")


async def test_a_reload_is_done_when_what_it_has_changed_is(build: Build) -> None:
    house = build(text(web={"command": SLEEP}, old={"command": SLEEP}))
    await house.until_state("web", State.RUNNING)
    configuration = house.parts.configuration
    nothing = configuration.reload_change()
    await configuration.reload(nothing)
    assert await ended(house, nothing) == (ChangeStatus.DONE, "nothing changed")
    (before,) = house.pids("web")
    house.file.write_text(text(web={"command": ["sleep", "1001"]}, new={"command": SLEEP, "scale": 2}))
    change = configuration.reload_change()
    await configuration.reload(change)
    assert await ended(house, change) == (ChangeStatus.DONE, "")
    assert before not in house.pids("web")
    assert len(house.pids("new")) == 2
    assert {step.id for step in change.steps} == {"web-0", "new-0", "new-1", "old-0"}
    house.file.write_text("processes: {web: {}}")
    wrong = configuration.reload_change()
    with pytest.raises(ConfigError):
        await configuration.reload(wrong)
    status, reason = await ended(house, wrong)
    assert (status, "command" in reason) == (ChangeStatus.FAILED, True)
    removed = await configuration.remove("new")
    assert (removed.kind, (await ended(house, removed))[0]) == ("remove", ChangeStatus.DONE)


async def test_a_rollout_that_fails_is_taken_back_and_says_why(build: Build) -> None:
    web = {"command": SLEEP, "scale": 2, "restart": "never", "rollout": {"on_failure": "rollback"}}
    house = build(text(web=web))
    await house.until(lambda: len(house.pids("web")) == 2)
    check = {"type": "exec", "command": ["false"], "initial_delay": 0, "period": "50ms"}
    house.file.write_text(text(web={**web, "command": ["sh", "-c", "exit 4"], "health_check": check}))
    change = house.parts.configuration.reload_change()
    await house.parts.configuration.reload(change)
    status, reason = await ended(house, change)
    assert (status, reason.startswith("web-0: exit code 4")) == (ChangeStatus.FAILED, True)
    assert reason.endswith("; it was rolled back")


async def test_an_error_in_one_change_leaves_the_others_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(text(web={"command": SLEEP}))
    await house.until_state("web", State.RUNNING)
    house.expects_defects = True
    original = module.Changes._follow
    restart = house.supervisor.restart("web")
    second = house.supervisor.restart("web")

    def fails(self: module.Changes, process: object, change: Change) -> None:
        if change is restart:
            raise RuntimeError("injected")
        original(self, process, change)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Changes, "_follow", fails)
    assert await ended(house, second) == (ChangeStatus.DONE, "")
    assert house.runtime.defects.count
    assert not restart.over


async def test_few_instances_are_shown_those_that_have_failed_first(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    command = ["sh", "-c", "test $CBOX_INIT_INSTANCE_ID != web-2 || exit 3; exec sleep 1000"]
    check = {"type": "exec", "command": ["false"], "initial_delay": 0, "period": "1m"}
    web = {
        "command": command,
        "scale": 3,
        "restart": "never",
        "health_check": check,
        "initial_state": "stopped",
    }
    house = build(text(web=web))
    change = house.supervisor.start("web")
    assert (await ended(house, change))[0] is ChangeStatus.FAILED
    assert [step.id for step in change.steps] == ["web-2", "web-0"]
