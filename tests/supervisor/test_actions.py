"""Commands to single instances, signals, and commands to several processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.changes import ChangeStatus
from cbox_init.core.states import State
from cbox_init.errors import Conflict, UnknownInstance, UnknownProcess

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.supervisor.actions import Actions
    from cbox_init.supervisor.changes import Change
    from tests.supervisor.house import Build, House

WEB = "web: {command: [sleep, '1000'], scale: 3, shutdown: {timeout: 5s}}"
#: Says which signal it got.
TELLS = "trap 'echo main' USR1; echo ready; while :; do sleep 0.05; done"


def processes(*entries: str) -> str:
    return f"processes: {{{', '.join(entries)}}}"


def program(house: House) -> Path:
    """A program that runs until it is stopped, in the folder of the test."""
    file = house.file.parent / "program"
    file.write_text("#!/bin/sh\nexec sleep 1000\n")
    file.chmod(0o755)
    return file


def actions(house: House) -> Actions:
    return house.supervisor.actions


async def ended(house: House, change: Change) -> Change:
    await house.until(lambda: change.over)
    return change


async def test_one_instance_is_stopped_and_stays_down(build: Build) -> None:
    house = build(processes(WEB))
    await house.until(lambda: len(house.pids("web")) == 3)
    change = await ended(house, actions(house).stop_instance("web-1"))
    assert change.status is ChangeStatus.DONE
    assert house.instance("web", 1).state is State.STOPPED
    assert house.instance("web", 1).reason == "stopped by a command"
    assert len(house.pids("web")) == 2
    status = house.status("web")
    assert (status.state, status.desired_scale) == (State.RUNNING, 3)
    assert house.supervisor.table["web"].ready  # those that were stopped alone do not count
    assert not house.supervisor.table["web"].ended_for_good


@pytest.mark.parametrize("command", ["start", "restart", "instance"])
async def test_what_brings_it_back(build: Build, command: str) -> None:
    house = build(processes(WEB))
    await house.until(lambda: len(house.pids("web")) == 3)
    await ended(house, actions(house).stop_instance("web-1"))
    if command == "instance":
        change = actions(house).restart_instance("web-1")
    else:
        change = getattr(house.supervisor, command)("web")
    await ended(house, change)
    assert change.status is ChangeStatus.DONE
    assert len(house.pids("web")) == 3


async def test_the_last_one_stops_the_process(build: Build) -> None:
    house = build(processes(WEB))
    await house.until(lambda: len(house.pids("web")) == 3)
    for index in (0, 2, 1):
        await ended(house, actions(house).stop_instance(f"web-{index}"))
    assert house.state("web") is State.STOPPED
    assert not house.status("web").wanted
    with pytest.raises(Conflict, match="web is stopped; start web"):
        actions(house).restart_instance("web-0")
    await ended(house, house.supervisor.start("web"))
    assert len(house.pids("web")) == 3


async def test_a_start_that_follows_at_once_undoes_the_stop(build: Build) -> None:
    house = build(processes(WEB))
    await house.until(lambda: len(house.pids("web")) == 3)
    pids = house.pids("web")
    change = actions(house).stop_instance("web-1")
    await ended(house, house.supervisor.start("web"))
    await ended(house, change)
    assert change.status is ChangeStatus.SUPERSEDED
    assert house.pids("web") == pids


async def test_one_instance_is_restarted_whatever_becomes_of_the_others(build: Build) -> None:
    script = "[ $CBOX_INIT_INSTANCE_INDEX = 1 ] && exit 1; exec sleep 1000"
    house = build(processes(f"web: {{command: [sh, -c, '{script}'], scale: 2, restart_delay: 1000s}}"))
    await house.until(lambda: house.instance("web", 1).next_restart_at)
    before = house.instance("web", 0).pid
    change = await ended(house, actions(house).restart_instance("web-0"))
    assert change.status is ChangeStatus.DONE
    assert house.instance("web", 0).pid != before
    assert house.instance("web", 0).restart_count == 1
    assert house.instance("web", 1).next_restart_at


async def test_a_restart_that_fails_says_why(build: Build) -> None:
    house = build(processes("web: {command: ['${DIR}/program'], scale: 2, restart: never}"), start=False)
    program(house)
    house.supervisor.start_all()
    await house.until(lambda: len(house.pids("web")) == 2)
    program(house).unlink()
    change = await ended(house, actions(house).restart_instance("web-1"))
    assert change.status is ChangeStatus.FAILED
    assert "command not found" in change.reason
    assert len(house.pids("web")) == 1


async def test_instances_that_are_none(build: Build) -> None:
    house = build(processes(WEB, "job: {command: [sleep, '1000'], schedule: '@yearly'}"))
    for identity in ("web-3", "web", "web-", "none-0", "web-01", "web-" + "9" * 5000, ""):
        with pytest.raises(UnknownInstance):
            actions(house).restart_instance(identity)
    house.supervisor.trigger("job")
    await house.until(lambda: house.status("job").instances)
    run = house.status("job").instances[0].id
    with pytest.raises(Conflict, match="it is a run of a schedule"):
        actions(house).stop_instance(run)
    actions(house).signal_instance(run, signal.SIGKILL, group=False)
    await house.until(lambda: not house.status("job").instances)


async def test_a_signal_reaches_the_main_processes(build: Build) -> None:
    house = build(processes(f'web: {{command: [sh, -c, "{TELLS}"], scale: 2}}'))
    await house.until_said("web", "ready", 2)
    change = actions(house).signal("web", signal.SIGUSR1, group=False)
    assert (change.status, change.kind, change.why) == (ChangeStatus.DONE, "signal", "SIGUSR1")
    await house.until_said("web", "main", 2)
    actions(house).signal_instance("web-1", signal.SIGUSR1, group=False)
    await house.until_said("web", "main", 3)


async def test_a_signal_to_the_group_reaches_children_too(build: Build) -> None:
    child = "sh -c 'trap \\\"echo child; exit\\\" USR1; echo ready; while :; do sleep 0.05; done'"
    script = f"trap 'echo main' USR1; {child} & while :; do sleep 0.05; done"
    house = build(
        processes(
            f'web: {{command: [sh, -c, "{script}"]}}'.replace(
                '\'trap \\"echo child; exit\\" USR1', '\'trap \\"echo child; exit\\" USR1'
            )
        )
    )
    await house.until_said("web", "ready")
    actions(house).signal("web", signal.SIGUSR1, group=True)
    await house.until_said("web", "main")
    await house.until_said("web", "child")


async def test_what_does_not_run_gets_no_signal(build: Build) -> None:
    house = build(processes("web: {command: [sleep, '1000'], initial_state: stopped}"))
    with pytest.raises(Conflict, match="cannot signal web: it does not run"):
        actions(house).signal("web", signal.SIGHUP, group=False)
    with pytest.raises(UnknownProcess):
        actions(house).signal("none", signal.SIGHUP, group=False)


async def test_a_kill_by_signal_is_a_crash(build: Build) -> None:
    house = build(processes("web: {command: [sleep, '1000'], restart_delay: 0s}"))
    await house.until(lambda: house.pids("web"))
    actions(house).signal("web", signal.SIGKILL, group=False)
    await house.until_restarted("web", 1)


#: Each says when it begins and when it ends.
CHAIN = processes(
    *(
        f"{name}: {{command: [sh, -c, "
        f"\"trap 'echo {name} down >> $DIR/order; exit 0' TERM; echo {name} up >> $DIR/order; "
        f'while :; do sleep 0.02; done"], depends_on: [{needs}]}}'
        for name, needs in (("web", "api"), ("api", "db"), ("db", ""), ("other", ""))
    )
)


def order(house: House) -> list[str]:
    file = house.file.parent / "order"
    return file.read_text().splitlines() if file.exists() else []


async def test_a_stop_goes_from_dependents_to_dependencies(build: Build) -> None:
    house = build(CHAIN)
    await house.until(lambda: len(order(house)) == 4)
    names = ("web", "api", "db")
    change = actions(house).begin("stop", names, lambda name, one: house.supervisor.stop(name, change=one))
    await ended(house, change)
    assert change.status is ChangeStatus.DONE
    assert order(house)[4:] == ["web down", "api down", "db down"]
    assert house.state("other") is State.RUNNING


async def test_a_restart_goes_from_dependencies_to_dependents(build: Build) -> None:
    house = build(CHAIN)
    await house.until(lambda: len(order(house)) == 4)
    before = house.runtime.events.last
    change = actions(house).begin(
        "restart", ("web", "db"), lambda name, one: house.supervisor.restart(name, change=one)
    )
    await ended(house, change)
    assert change.status is ChangeStatus.DONE
    # Not by what the programs write: an instance runs before it has said so.
    happened = [
        (event.process, event.kind)
        for event in house.runtime.events.kept_after(before)
        if event.kind in ("instance.exited", "instance.started")
    ]
    assert happened == [
        *(("db", "instance.exited"), ("db", "instance.started")),
        *(("web", "instance.exited"), ("web", "instance.started")),
    ]


async def test_what_fails_leaves_those_that_follow_as_they_were(build: Build) -> None:
    house = build(
        processes(
            "db: {command: ['${DIR}/program'], restart: never}",
            "web: {command: [sleep, '1000'], depends_on: [db]}",
        ),
        start=False,
    )
    program(house)
    house.supervisor.start_all()
    await house.until(lambda: house.pids("web"))
    pids = house.pids("web")
    program(house).unlink()
    change = actions(house).begin(
        "restart", ("web", "db"), lambda name, one: house.supervisor.restart(name, change=one)
    )
    await ended(house, change)
    assert change.status is ChangeStatus.FAILED
    assert change.reason.startswith("db: ")
    assert change.reason.endswith("1 that come after it are left as they were")
    assert house.pids("web") == pids


async def test_nothing_is_done_when_one_cannot_take_it(build: Build) -> None:
    house = build(processes(WEB, "fixed: {command: [sleep, '1000'], scale_locked: true}"))
    await house.until(lambda: len(house.pids("web")) == 3)
    with pytest.raises(UnknownProcess):
        actions(house).begin(
            "stop", ("web", "none"), lambda name, one: house.supervisor.stop(name, change=one)
        )
    assert len(house.pids("web")) == 3


async def test_a_defect_ends_the_change(build: Build) -> None:
    house = build(CHAIN)
    house.expects_defects = True
    await house.until(lambda: len(order(house)) == 4)

    def command(name: str, change: Change) -> None:
        if name == "api":
            raise RuntimeError("oh")
        house.supervisor.stop(name, change=change)

    change = await ended(house, actions(house).begin("stop", ("web", "api"), command))
    assert change.status is ChangeStatus.FAILED
    assert "oh" in change.reason
    assert house.state("api") is State.RUNNING
