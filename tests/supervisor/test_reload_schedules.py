"""A new configuration under processes with schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core.states import State
from cbox_init.supervisor.schedule.scheduled import ScheduledProcess
from tests.supervisor.house import WAITS
from tests.supervisor.test_reload import born, reload, up

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

JOB = (
    "processes: {{keep: {{command: [sleep, '1000']}}, job: {{command: [sh, -c, '{0}'], schedule: '{1}'{2}}}}}"
)
NEVER = "0 0 29 2 *"
LONG = "echo begun; sleep 0.5; echo done"


def job(command: str = LONG, schedule: str = NEVER, more: str = "") -> str:
    return JOB.format(command, schedule, more)


async def started(build: Build, text: str) -> House:
    house = build(text)
    await up(house, keep=1)
    return house


async def test_a_run_under_way_goes_on_and_the_next_is_of_the_new_configuration(build: Build) -> None:
    house = await started(build, job())
    house.supervisor.trigger("job")
    await house.until_said("job", "begun")
    assert await reload(house, job("echo other")) == {"changed": ("job",), "kept": ("keep",)}
    await house.until_said("job", "done")
    house.supervisor.trigger("job")
    await house.until_said("job", "other")
    await house.until(lambda: len(house.supervisor.schedule("job").history(9)) == 2)
    assert [run.exit_code for run in house.supervisor.schedule("job").history(9)] == [0, 0]


async def test_other_times(build: Build) -> None:
    house = await started(build, job())
    schedule = house.supervisor.table["job"]
    assert isinstance(schedule, ScheduledProcess)
    await house.until(lambda: house.status("job").schedule is not None)
    before = schedule.next_due(house.runtime.unix()) or 0
    assert await reload(house, job(schedule="* * * * *")) == {"adjusted": ("job",), "kept": ("keep",)}
    due = schedule.next_due(house.runtime.unix()) or 0
    assert due <= house.runtime.unix() + 60 < before


async def test_what_was_paused_stays_so_unless_the_file_says_otherwise(build: Build) -> None:
    house = await started(build, job())
    house.supervisor.pause("job")
    await reload(house, job(schedule="* * * * *"))
    assert house.state("job") is State.PAUSED
    await reload(house, job(more=", initial_state: stopped"))
    await reload(house, job())
    await house.until_state("job", State.SCHEDULED)


async def test_added_and_removed(build: Build) -> None:
    alone = "processes: {keep: {command: [sleep, '1000']}}"
    house = await started(build, alone)
    before = born(house)
    assert await reload(house, job("echo done")) == {"added": ("job",), "kept": ("keep",)}
    await house.until_state("job", State.SCHEDULED)
    house.supervisor.trigger("job")
    await house.until_said("job", "done")
    assert await reload(house, alone) == {"removed": ("job",), "kept": ("keep",)}
    await house.until(lambda: len(house.supervisor.statuses()) == 1)
    assert born(house) == before


async def test_a_removed_one_ends_its_runs_also_when_it_was_paused(build: Build) -> None:
    house = await started(build, job("echo begun; exec sleep 1000"))
    house.supervisor.trigger("job")
    await house.until_said("job", "begun")
    house.supervisor.pause("job")
    await reload(house, "processes: {keep: {command: [sleep, '1000']}}")
    await house.until(lambda: len(house.supervisor.statuses()) == 1)


async def test_from_a_longrun_to_a_schedule_and_back(build: Build) -> None:
    longrun = (
        "processes: {keep: {command: [sleep, '1000']}, "
        "job: {command: [sh, -c, 'echo up; exec sleep 1000'], scale: 2}}"
    )
    house = await started(build, longrun)
    await up(house, job=2)
    names = ["keep", "job"]
    assert await reload(house, job("echo run")) == {"changed": ("job",), "kept": ("keep",)}
    await house.until_state("job", State.SCHEDULED)
    house.supervisor.trigger("job")
    await house.until_said("job", "run")
    assert await reload(house, longrun) == {"changed": ("job",), "kept": ("keep",)}
    await up(house, job=2)
    assert [status.name for status in house.supervisor.statuses()] == names


async def test_kind_and_mind_changed_at_once(build: Build) -> None:
    slow = f'trap "{WAITS}; exit 0" TERM; (echo up; exec sleep 1000) & wait'
    longrun = f"processes: {{keep: {{command: [sleep, '1000']}}, job: {{command: [sh, -c, '{slow}']}}}}"
    house = await started(build, longrun)
    await house.until_said("job", "up")
    await reload(house, job("echo run"))
    await house.until_state("job", State.STOPPING)
    await reload(house, longrun)
    house.let_go()
    await house.until_said("job", "up", times=2)
    await up(house, job=1)


async def test_shutdown_while_one_kind_makes_room_for_the_other(build: Build) -> None:
    slow = f'trap "{WAITS}; exit 0" TERM; (echo up; exec sleep 1000) & wait'
    longrun = f"processes: {{keep: {{command: [sleep, '1000']}}, job: {{command: [sh, -c, '{slow}']}}}}"
    house = await started(build, longrun)
    await house.until_said("job", "up")
    await reload(house, job("echo run"))
    house.supervisor.shutdown("test")
    house.let_go()
    assert await house.ended() == 0
