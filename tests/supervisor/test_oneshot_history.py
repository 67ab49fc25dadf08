"""What oneshots have done: by hand, at the start, again by their policy, by a schedule."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.restart import Trigger
from cbox_init.core.states import State
from cbox_init.errors import UnknownProcess
from cbox_init.supervisor.oneshot_history import OneshotHistory
from cbox_init.supervisor.schedule.scheduled import ScheduledProcess
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from cbox_init.supervisor.oneshot_history import Execution
    from tests.supervisor.house import Build, House

STAY = {"command": ["sleep", "1000"]}


def config(script: str, **keys: object) -> str:
    job = {"type": "oneshot", "command": ["sh", "-c", script], **keys}
    return json.dumps({"processes": {"job": job, "stay": STAY}})


def executions(house: House, name: str | None = None) -> list[Execution]:
    return house.supervisor.executions(100, name)


async def until_over(house: House, count: int) -> list[Execution]:
    await house.until(
        lambda: len(executions(house)) == count and all(one.ended_unix for one in executions(house))
    )
    return executions(house)


def triggers(house: House) -> list[Trigger]:
    return [one.trigger for one in executions(house)]


async def test_startup_and_by_hand(build: Build) -> None:
    house = build(config("exit 0"))
    (first,) = await until_over(house, 1)
    assert (first.number, first.process, first.instance) == (1, "job", "job-0")
    assert (first.trigger, first.exit_code, first.error) == (Trigger.STARTUP, 0, "")
    assert first.duration_s is not None and first.ended_unix is not None
    assert abs(first.started_unix - house.runtime.unix()) < 60
    await house.until_state("job", State.COMPLETED)  # a start that comes before is answered by this run
    house.supervisor.start("job")
    await until_over(house, 2)
    house.supervisor.restart("job")
    await until_over(house, 3)
    assert triggers(house) == [Trigger.MANUAL, Trigger.MANUAL, Trigger.STARTUP]
    assert [one.number for one in executions(house)] == [3, 2, 1]


async def test_each_try_of_its_policy_and_why_it_failed(build: Build) -> None:
    house = build(config("exit 3", restart="on-failure", restart_delay="1ms", max_restarts=2))
    await until_over(house, 3)
    assert triggers(house) == [Trigger.RESTART, Trigger.RESTART, Trigger.STARTUP]
    await house.until_state("job", State.FAILED)
    assert {(one.exit_code, one.error) for one in executions(house)} == {(3, "exit code 3")}
    house.supervisor.start("job")
    await until_over(house, 6)
    assert triggers(house)[:3] == [Trigger.RESTART, Trigger.RESTART, Trigger.MANUAL]


async def test_while_it_runs_and_when_it_is_stopped(build: Build) -> None:
    house = build(config("trap 'exit 0' TERM; echo ready; sleep 1000 & wait"))
    await house.until_said("job", "ready")
    (running,) = executions(house)
    assert (running.ended_unix, running.exit_code, running.error) == (None, None, "")
    house.supervisor.stop("job")
    (stopped,) = await until_over(house, 1)
    assert (stopped.exit_code, stopped.error) == (0, "stopped: exit code 0")


async def test_what_is_killed(build: Build) -> None:
    house = build(config("kill -9 $$"))
    (killed,) = await until_over(house, 1)
    assert (killed.exit_code, killed.error) == (137, "killed by SIGKILL")


async def test_what_cannot_be_started(build: Build) -> None:
    house = build(config("").replace('"sh", "-c", ""', '"/no/such/program"'))
    (missed,) = await until_over(house, 1)
    assert (missed.exit_code, missed.duration_s) == (127, 0.0)
    assert "/no/such/program" in missed.error


async def test_a_reload_that_changes_it_and_one_that_makes_it_a_longrun(build: Build) -> None:
    house = build(config("exit 0"))
    await until_over(house, 1)
    house.file.write_text(config("echo waits; exec sleep 1000"))
    await house.parts.configuration.reload()
    await house.until_said("job", "waits")
    assert triggers(house) == [Trigger.RELOAD, Trigger.STARTUP]
    house.file.write_text(config("echo longrun; exec sleep 1000").replace("oneshot", "longrun"))
    await house.parts.configuration.reload()
    await house.until_said("job", "longrun")
    await until_over(house, 2)


async def test_runs_of_a_schedule(build: Build) -> None:
    house = build(config("exit 4", schedule="0 3 * * *"))
    await house.over(house.supervisor.trigger("job"))
    (run,) = await until_over(house, 1)
    assert (run.instance, run.trigger, run.error) == ("job-run-1", Trigger.MANUAL, "exit code 4")
    scheduled = house.supervisor.table["job"]
    assert isinstance(scheduled, ScheduledProcess)
    scheduled.run_due(house.runtime.unix(), house.runtime.unix())
    await until_over(house, 2)
    assert triggers(house) == [Trigger.SCHEDULE, Trigger.MANUAL]


async def test_longruns_are_not_in_it(build: Build) -> None:
    house = build(json.dumps({"processes": {"stay": STAY, "cron": {**STAY, "schedule": "0 3 * * *"}}}))
    house.supervisor.trigger("cron")
    await house.until(lambda: house.pids("cron"))
    assert executions(house) == []
    assert executions(house, "stay") == []
    with pytest.raises(UnknownProcess):
        executions(house, "nobody")


async def test_what_was_removed_is_still_known(build: Build) -> None:
    house = build(config("exit 0"))
    await until_over(house, 1)
    house.file.write_text(json.dumps({"processes": {"stay": STAY}}))
    await house.parts.configuration.reload()
    await house.until(lambda: "job" not in house.supervisor.table)
    assert len(executions(house, "job")) == 1
    (pid,) = house.pids("stay")
    assert alive(pid)
    assert house.state("stay") is State.RUNNING


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def history(clock: Clock, *, entries: int = 3, age_s: float = 0.0) -> OneshotHistory:
    return OneshotHistory(max_entries=entries, max_age_s=age_s, unix=clock)


def note(book: OneshotHistory, instance: str, *, ended: bool = True) -> None:
    book.begun("job", instance, Trigger.MANUAL)
    if ended:
        book.ended(instance, duration_s=0.0, exit_code=0, error=None)


def names(book: OneshotHistory, limit: int = 100) -> list[str]:
    return [one.instance for one in book.latest(limit)]


def test_no_more_are_kept_than_may_be_and_what_runs_is_kept() -> None:
    book = history(Clock())
    note(book, "a", ended=False)
    for name in "bcdef":
        note(book, name)
    assert names(book) == ["f", "e", "d", "a"]
    assert names(book, 2) == ["f", "e"]
    book.ended("a", duration_s=9.0, exit_code=0, error=None)
    assert names(book) == ["f", "e", "d"]


def test_none_is_kept_longer_than_it_may_be() -> None:
    clock = Clock()
    book = history(clock, age_s=100.0)
    note(book, "a", ended=False)
    note(book, "b")
    clock.now += 50
    note(book, "c")
    clock.now += 51
    assert names(book) == ["c", "a"]
    book.ended("a", duration_s=101.0, exit_code=0, error=None)
    assert names(book) == ["c", "a"]
    clock.now += 101
    assert names(book) == []


@pytest.mark.parametrize(("entries", "kept"), [(0, []), (1, ["c"])])
def test_few(entries: int, kept: list[str]) -> None:
    book = history(Clock(), entries=entries)
    for name in "abc":
        note(book, name)
    assert names(book) == kept


def test_of_one_process_and_an_end_without_a_beginning() -> None:
    book = history(Clock())
    book.ended("x", duration_s=1.0, exit_code=0, error=None)
    book.begun("other", "other-0", Trigger.STARTUP)
    note(book, "a")
    assert [one.process for one in book.latest(9, "other")] == ["other"]
    assert book.latest(9, "none") == []
