"""Runs of schedules with real children, under a clock that the test sets."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.errors import Conflict, NotScheduled
from tests.supervisor.house import STUBBORN, alive

if TYPE_CHECKING:
    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.status import RunStatus, ScheduleStatus
    from tests.supervisor.house import Build, House

MIDNIGHT = 1_800_000_000 // 86_400 * 86_400.0
HOUR = 3600.0


def job(command: str | list[str], **keys: object) -> str:
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    keys.setdefault("schedule", "0 3 * * *")
    return json.dumps({"processes": {"job": {"command": argv, **keys}}})


def at(build: Build, unix: float, text: str) -> House:
    """A house in which it is ``unix``."""
    house = build(text, start=False)
    house.runtime.set_clock(unix)
    house.supervisor.start_all()
    return house


def set_clock(house: House, unix: float) -> None:
    """As when the clock was set or the machine has slept: the kernel tells, and the timetable looks."""
    house.runtime.set_clock(unix)
    timetable = house.supervisor.factory.schedules._timetable
    assert timetable
    house.runtime.run_queue.wake(timetable)


def schedule(house: House) -> ScheduleStatus:
    found = house.status("job").schedule
    assert found is not None
    return found


def runs(house: House) -> list[RunStatus]:
    return house.supervisor.schedule("job").history(100)


async def planned(house: House) -> None:
    """Its next time is known."""
    await house.until(lambda: schedule(house).next_run)


async def until_over(house: House, count: int) -> list[RunStatus]:
    await house.until(lambda: len(runs(house)) == count)
    return runs(house)


async def test_it_runs_at_its_time_and_not_before(build: Build) -> None:
    house = at(build, MIDNIGHT, job("echo ran"))
    assert house.state("job") is State.SCHEDULED
    await planned(house)
    assert schedule(house).next_run == MIDNIGHT + 3 * HOUR
    set_clock(house, MIDNIGHT + 3 * HOUR - 0.3)
    await asyncio.sleep(0.01)
    early = schedule(house).started
    assert early == 0 or house.runtime.unix() >= MIDNIGHT + 3 * HOUR
    (run,) = await until_over(house, 1)
    assert 0 <= run.started_at - (MIDNIGHT + 3 * HOUR) < 20
    assert (run.id, run.exit_code, run.error, run.manual) == ("job-run-1", 0, None, False)
    assert house.lines("job") == ["ran"]
    status = house.status("job")
    assert (status.type, status.state, status.scale, status.desired_scale) == ("scheduled", "scheduled", 0, 0)
    assert status.instances == ()
    found = schedule(house)
    assert (found.started, found.totals.success_rate, found.totals.last_exit_code) == (1, 100.0, 0)
    assert found.next_run == MIDNIGHT + 27 * HOUR
    assert found.last_run == run.started_at


async def test_a_run_knows_what_it_is(build: Build) -> None:
    names = ["PROCESS_NAME", "INSTANCE_ID", "SCHEDULED", "SCHEDULE", "START_TIME"]
    script = "; ".join(f'echo "$CBOX_INIT_{name}"' for name in names)
    house = at(build, MIDNIGHT, job(f"{script}; echo $1 $PORT", port_base=9000))
    house.supervisor.trigger("job")
    await until_over(house, 1)
    start = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(MIDNIGHT))
    *known, began, port = house.lines("job")
    assert known == ["job", "job-run-1", "true", "0 3 * * *"]
    assert began.startswith(start)
    assert began.endswith("Z")
    assert port == "9000"


@pytest.mark.parametrize(
    ("misfire", "slept_until", "expected"),
    [
        ("run", 9.5 * HOUR, 1),
        ("skip", 9.5 * HOUR, 0),
        ("skip", 3 * HOUR + 30, 1),  # late, but no more than a minute
        ("run", 10 * 24 * HOUR + 5 * HOUR, 1),  # once for all that were missed
    ],
)
async def test_a_time_that_was_slept_through(
    build: Build, misfire: str, slept_until: float, expected: int
) -> None:
    house = at(build, MIDNIGHT + HOUR, job("echo ran", schedule_misfire=misfire))
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 3 * HOUR)
    set_clock(house, MIDNIGHT + slept_until)
    await house.until(lambda: (schedule(house).next_run or 0) > MIDNIGHT + slept_until)
    await until_over(house, expected)
    assert schedule(house).started == expected
    missed = slept_until > 3 * HOUR + 60
    assert ("Scheduled time was missed" in house.messages()) == missed


async def test_a_clock_that_is_set_back_runs_nothing_twice(build: Build) -> None:
    house = at(build, MIDNIGHT, job("echo ran"))
    await planned(house)
    set_clock(house, MIDNIGHT + 3 * HOUR)
    await until_over(house, 1)
    set_clock(house, MIDNIGHT + 3 * HOUR - 0.2)
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 27 * HOUR)
    set_clock(house, MIDNIGHT + 3 * HOUR + 10)
    house.runtime.run_queue.run(0.1)
    assert schedule(house).started == 1


async def test_a_clock_that_had_been_wrong_is_believed_when_it_is_set(build: Build) -> None:
    house = at(build, MIDNIGHT + 30 * 24 * HOUR, job("echo ran"))
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 30 * 24 * HOUR + 3 * HOUR)
    set_clock(house, MIDNIGHT + HOUR)
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 3 * HOUR)
    set_clock(house, MIDNIGHT + 3 * HOUR)
    await until_over(house, 1)
    assert schedule(house).next_run == MIDNIGHT + 27 * HOUR


async def test_two_thousand_schedules_sleep(build: Build) -> None:
    jobs = {f"j{n}": {"command": ["true"], "schedule": f"{n % 60} 3 * * *"} for n in range(2000)}
    house = at(build, MIDNIGHT, json.dumps({"processes": jobs}))
    await house.until(lambda: all(s.schedule and s.schedule.next_run for s in house.supervisor.statuses()))
    looks = 0
    run_queue = house.runtime.run_queue
    run = run_queue.run

    def counting(slice_s: float) -> None:
        nonlocal looks
        looks += 1
        run(slice_s)

    await asyncio.sleep(0.05)
    run_queue.run = counting  # type: ignore[method-assign]
    gc.collect()  # so that none comes meanwhile
    used = time.process_time()
    await asyncio.sleep(0.5)
    assert looks == 0
    assert time.process_time() - used < 0.1


async def test_a_job_longer_than_its_period_does_not_overlap_when_it_must_not(build: Build) -> None:
    house = at(build, MIDNIGHT + 1, job("sleep 1000", schedule="* * * * *", schedule_max_concurrent=1))
    await planned(house)
    set_clock(house, MIDNIGHT + 60)
    await house.until(lambda: len(house.pids("job")) == 1)
    assert house.state("job") is State.RUNNING
    set_clock(house, MIDNIGHT + 120)
    await house.until(lambda: "Scheduled run is skipped" in house.messages())
    assert schedule(house).started == 1
    with pytest.raises(Conflict, match="schedule_max_concurrent"):
        house.supervisor.trigger("job")


async def test_without_a_limit_runs_overlap(build: Build) -> None:
    house = at(build, MIDNIGHT, job("sleep 1000"))
    for _ in range(3):
        house.supervisor.trigger("job")
    await house.until(lambda: len(house.pids("job")) == 3)
    assert [one.id for one in house.status("job").instances] == ["job-run-1", "job-run-2", "job-run-3"]
    assert schedule(house).current == "job-run-3"
    house.supervisor.stop("job")
    await until_over(house, 3)
    assert {run.error for run in runs(house)} == {"stopped by hand: killed by SIGTERM"}
    assert house.state("job") is State.PAUSED


async def test_a_job_that_ignores_its_timeout_is_killed_with_all_it_started(build: Build) -> None:
    script = f'sh -c "{STUBBORN}" & echo $!; {STUBBORN}'
    house = at(build, MIDNIGHT, job(script, schedule_timeout="2s", shutdown={"timeout": "300ms"}))
    house.supervisor.trigger("job")
    (run,) = await until_over(house, 1)
    assert run.error == "timed out after 2 s: killed by SIGKILL"
    assert run.exit_code == 137
    child = next(int(line) for line in house.lines("job") if line.isdigit())
    assert not alive(child)
    assert schedule(house).totals.failed == 1


async def test_a_timeout_is_a_failure_even_of_one_that_ends_well(build: Build) -> None:
    house = at(build, MIDNIGHT, job("trap 'exit 0' TERM; sleep 1000 & wait", schedule_timeout="2s"))
    house.supervisor.trigger("job")
    (run,) = await until_over(house, 1)
    assert (run.exit_code, run.error) == (0, "timed out after 2 s")


async def test_what_a_run_leaves_behind_is_ended_with_it(build: Build) -> None:
    house = at(build, MIDNIGHT, job("setsid sleep 1000 & echo $!"))
    house.supervisor.trigger("job")
    (run,) = await until_over(house, 1)
    assert run.error is None
    assert not alive(int(house.lines("job")[0]))


async def test_a_command_that_does_not_exist(build: Build) -> None:
    house = at(build, MIDNIGHT, job(["/no/such/program"]))
    assert await house.over(house.supervisor.trigger("job")) == 127
    (run,) = runs(house)
    assert run.exit_code == 127
    assert run.error
    assert "/no/such/program" in run.error
    assert house.state("job") is State.SCHEDULED


async def test_pause_and_resume(build: Build) -> None:
    house = at(build, MIDNIGHT + 2 * HOUR, job("echo ran; sleep 1000"))
    house.supervisor.trigger("job")
    await house.until_said("job", "ran")
    house.supervisor.pause("job")
    assert house.state("job") is State.PAUSED
    assert len(house.pids("job")) == 1  # a run under way goes on
    assert schedule(house).next_run is None
    with pytest.raises(Conflict, match="paused"):
        house.supervisor.trigger("job")
    set_clock(house, MIDNIGHT + 4 * HOUR)
    house.supervisor.resume("job")
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 27 * HOUR)
    assert schedule(house).started == 1  # what passed while it was paused was not missed
    assert house.state("job") is State.RUNNING


async def test_start_stop_and_restart(build: Build) -> None:
    house = at(build, MIDNIGHT, job("echo ran; sleep 1000", initial_state="stopped"))
    assert house.state("job") is State.PAUSED
    house.supervisor.start("job")
    assert house.state("job") is State.SCHEDULED
    house.supervisor.trigger("job")
    await house.until_said("job", "ran")
    house.supervisor.restart("job")
    await until_over(house, 1)
    assert house.state("job") is State.SCHEDULED
    house.supervisor.stop("job")
    assert house.state("job") is State.PAUSED
    await house.supervisor.settled("job")
    assert not house.supervisor.shutting_down
    with pytest.raises(Conflict, match="has a schedule"):
        house.supervisor.scale("job", 2)


async def test_history_is_as_long_as_it_may_be(build: Build) -> None:
    text = json.loads(job("exit $((${CBOX_INIT_INSTANCE_NUMBER} + 2))"))
    text["global"] = {"schedule_history_size": 2}
    house = at(build, MIDNIGHT, json.dumps(text))
    for number in range(1, 4):
        assert await house.over(house.supervisor.trigger("job")) == 3
        assert schedule(house).totals.failed == number
    assert [run.id for run in runs(house)] == ["job-run-3", "job-run-2"]
    assert house.supervisor.schedule("job").history(1)[0].error == "exit code 3"
    assert "Process instance has failed and is not restarted" not in house.messages()


async def test_a_job_waits_for_what_it_depends_on(build: Build) -> None:
    text = json.loads(job("echo ran", depends_on=["db"]))
    text["processes"]["db"] = {"command": ["sleep", "1000"], "initial_state": "stopped"}
    house = at(build, MIDNIGHT, json.dumps(text))
    await planned(house)
    set_clock(house, MIDNIGHT + 3 * HOUR)
    await house.until(lambda: "Scheduled run is skipped" in house.messages())
    with pytest.raises(Conflict, match="not ready: db"):
        house.supervisor.trigger("job")
    house.supervisor.start("db")
    await house.until_state("db", State.RUNNING)
    house.supervisor.trigger("job")
    await until_over(house, 1)


async def test_what_has_no_schedule_has_none(build: Build) -> None:
    house = build('{"processes": {"web": {"command": ["sleep", "1000"]}}}')
    for command in (house.supervisor.pause, house.supervisor.resume, house.supervisor.trigger):
        with pytest.raises(NotScheduled, match=r"set processes\.web\.schedule"):
            command("web")


async def test_at_shutdown_a_run_has_its_time_before_anything_is_stopped(build: Build) -> None:
    text = json.loads(job("echo on; sleep 0.5; echo done"))
    text["processes"]["web"] = {
        "command": ["sh", "-c", "trap 'echo bye; exit 0' TERM; (echo on; exec sleep 1000) & wait"]
    }
    house = at(build, MIDNIGHT, json.dumps(text))
    change = house.supervisor.trigger("job")
    await house.until_said("job", "on")
    await house.until_said("web", "on")
    over = asyncio.create_task(house.over(change))
    house.supervisor.shutdown("test")
    with pytest.raises(Conflict, match="shutting down"):
        house.supervisor.trigger("job")
    assert await house.ended() == 0
    assert await over == 0
    assert house.lines("job") == ["on", "done"]
    records = house.logs.records(None, limit=10, newest_first=False)
    assert [r.message for r in records][-2:] == ["done", "bye"]


async def test_at_shutdown_a_run_that_goes_on_is_stopped_in_time_for_the_others(build: Build) -> None:
    text = json.loads(job("echo on; sleep 1000"))
    text["global"] = {"shutdown_timeout": 4}
    text["processes"]["web"] = {
        "command": ["sh", "-c", "trap 'echo bye; exit 0' TERM; (echo on; exec sleep 1000) & wait"]
    }
    house = at(build, MIDNIGHT, json.dumps(text))
    house.supervisor.trigger("job")
    await house.until_said("job", "on")
    await house.until_said("web", "on")
    began = time.monotonic()
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert time.monotonic() - began >= 2
    assert house.lines("web")[-1] == "bye"
    assert "Process instance did not stop in time and is killed" not in house.messages()


async def test_at_shutdown_a_run_of_a_paused_schedule_gets_its_stop_signal(build: Build) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo on; (exec sleep 99) & wait"
    text = json.loads(job(script, shutdown={"timeout": 20}))
    text["global"] = {"shutdown_timeout": 6}
    house = build(json.dumps(text))
    await begun(house)
    house.supervisor.pause("job")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert house.lines("job") == ["on", "bye"]
    assert "Killed in the shutdown" not in house.messages()


async def test_a_restart_does_not_end_a_run_that_began_after_it(build: Build) -> None:
    """The old one takes its time to end; it is not a reason to end the next."""
    house = build(job("trap 'sleep 0.3; exit 0' TERM; echo on; (exec sleep 99) & wait"))
    await begun(house)
    house.supervisor.restart("job")
    house.supervisor.trigger("job")
    await house.until(lambda: len(house.supervisor.schedule("job").history(9)) == 1)
    await house.until_said("job", "on", 2)
    (ended,) = house.supervisor.schedule("job").history(9)
    assert (ended.id, ended.error) == ("job-run-1", "ended by a restart")
    assert [one.id for one in house.status("job").instances] == ["job-run-2"]
    assert house.state("job") is State.RUNNING


async def test_a_stop_and_a_start_do_not_end_a_run_that_began_after_them(build: Build) -> None:
    house = build(job("trap 'sleep 0.3; exit 0' TERM; echo on; (exec sleep 99) & wait"))
    await begun(house)
    house.supervisor.stop("job")
    house.supervisor.start("job")
    house.supervisor.trigger("job")
    await house.until(lambda: len(house.supervisor.schedule("job").history(9)) == 1)
    await house.until_said("job", "on", 2)
    assert [one.id for one in house.status("job").instances] == ["job-run-2"]


async def test_ten_thousand_pauses_leave_nothing_behind(build: Build) -> None:
    house = build(job("true"))
    timetable = house.supervisor.factory.schedules._timetable
    assert timetable
    for _ in range(10_000):
        house.supervisor.pause("job")
        house.supervisor.resume("job")
        timetable.reconcile(time.monotonic() + 1)
    assert len(timetable._heap) < 100
    assert len(house.runtime.run_queue._heap) < 100


async def begun(house: House) -> Change:
    """Trigger a run, and wait until it is on."""
    change = house.supervisor.trigger("job")
    await house.until_said("job", "on")
    return change


async def test_the_alert_when_no_run_succeeds(build: Build) -> None:
    text = job("exit ${CODE:-0}", heartbeat={"interval": "200ms", "grace": "100ms"})
    house = at(build, MIDNIGHT, text)
    await house.until(lambda: "Scheduled process has not succeeded in time" in house.messages())
    house.supervisor.trigger("job")
    await until_over(house, 1)
    assert "Scheduled process succeeds again" in house.messages()
    await house.until(lambda: house.messages().count("Scheduled process has not succeeded in time") == 2)
    house.supervisor.pause("job")
    await asyncio.sleep(0.4)
    assert house.messages().count("Scheduled process has not succeeded in time") == 2
