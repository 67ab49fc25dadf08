"""How long instances may run, and which exit codes are a success, with real children."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from tests.supervisor.house import OBEDIENT, STUBBORN
from tests.supervisor.test_reload import reload

if TYPE_CHECKING:
    from tests.supervisor.house import Build

OTHER = "other: {command: [sleep, '1000']}"


async def test_a_oneshot_that_takes_too_long_is_stopped_and_has_failed(build: Build) -> None:
    house = build(
        f"processes: {{job: {{type: oneshot, timeout: 200ms, command: [sh, -c, {OBEDIENT!r}]}}, {OTHER}}}"
    )
    await house.until_state("job", State.FAILED)
    job = house.instance("job")
    assert job.reason == "timed out after 0.2 s; restart is never"
    assert job.exit_code == 0
    assert "bye" in house.lines("job")
    (run,) = house.supervisor.executions(5)
    assert run.error == "timed out after 0.2 s"
    assert "Process instance takes too long and is stopped" in house.messages()


async def test_one_that_does_not_stop_is_killed(build: Build) -> None:
    house = build(
        f"processes: {{job: {{type: oneshot, timeout: 200ms, shutdown: {{timeout: 200ms}}, "
        f'command: [sh, -c, "{STUBBORN}"]}}, {OTHER}}}'
    )
    await house.until_state("job", State.FAILED)
    assert house.instance("job").exit_code == 128 + signal.SIGKILL


async def test_its_restart_policy_follows(build: Build) -> None:
    house = build(
        "processes: {job: {type: oneshot, timeout: 100ms, command: [sleep, '1000'], restart: on-failure,"
        f" restart_delay: 0, max_restarts: 2}}, {OTHER}}}"
    )
    await house.until_state("job", State.FAILED)
    assert house.status("job").reason == "gave up after 2 restarts: timed out after 0.1 s"
    assert house.instance("job").restart_causes == {"timeout": 2}


async def test_a_oneshot_in_time_is_left_alone(build: Build) -> None:
    house = build(f"processes: {{job: {{type: oneshot, timeout: 1h, command: ['true']}}, {OTHER}}}")
    await house.until_state("job", State.COMPLETED)


async def test_max_runtime_replaces_one_instance_after_another(build: Build) -> None:
    house = build(
        "processes: {web: {scale: 2, max_runtime: 300ms, restart: on-failure, max_restarts: 1,"
        f" command: [sh, -c, {OBEDIENT!r}]}}}}"
    )
    await house.until(lambda: len(house.pids("web")) == 2)
    seen: list[int] = []

    def replaced() -> bool:
        seen.append(sum(one.state is State.RUNNING for one in house.status("web").instances))
        return all(one.restart_count >= 2 for one in house.status("web").instances)

    await house.until(replaced)
    assert min(seen) >= 1, "never both at a time"
    for one in house.status("web").instances:
        assert set(one.restart_causes) == {"max_runtime"}
    assert "has run for its max_runtime of 0.3 s" in house.log_text()


async def test_one_that_is_never_restarted_ends_with_max_runtime(build: Build) -> None:
    house = build(
        f"processes: {{web: {{max_runtime: 200ms, restart: never, command: [sleep, '1000']}}, {OTHER}}}"
    )
    await house.until_state("web", State.FAILED)
    assert house.status("web").reason == "has run for its max_runtime of 0.2 s; restart is never"


async def test_a_reload_adds_changes_and_removes_the_limit(build: Build) -> None:
    text = "processes: {web: {KEY command: [sleep, '1000']}}"
    house = build(text.replace("KEY", ""))
    await house.until_state("web", State.RUNNING)
    first = house.instance("web").pid
    await reload(house, text.replace("KEY", "max_runtime: 1h,"))
    assert house.instance("web").pid == first
    await reload(house, text.replace("KEY", "max_runtime: 1ms,"))
    await house.until(lambda: house.instance("web").restart_count >= 2)
    await reload(house, text.replace("KEY", ""))
    await house.until(lambda: house.instance("web").state is State.RUNNING)


@pytest.mark.parametrize(
    ("codes", "exits", "state"),
    [
        ("[0, 2]", "exit 2", State.COMPLETED),
        ("[0, 2]", "exit 0", State.COMPLETED),
        ("[0, 2]", "exit 3", State.FAILED),
        ("2", "exit 0", State.FAILED),
        ("[0, 143]", "kill $$", State.COMPLETED),
    ],
)
async def test_success_codes_of_a_oneshot(build: Build, codes: str, exits: str, state: State) -> None:
    house = build(
        f"processes: {{job: {{type: oneshot, success_codes: {codes}, command: [sh, -c, '{exits}']}},"
        f" after: {{command: [sleep, '1000'], depends_on: [job]}}, {OTHER}}}"
    )
    await house.until_state("job", state)
    (run,) = house.supervisor.executions(5)
    assert (not run.error) is (state is State.COMPLETED)
    if state is State.COMPLETED:
        await house.until_state("after", State.RUNNING)


async def test_success_codes_and_the_restart_policy(build: Build) -> None:
    house = build(
        "processes: {web: {restart: on-failure, success_codes: [0, 2], command: [sh, -c, 'exit 2']},"
        f" {OTHER}}}"
    )
    await house.until_state("web", State.STOPPED)
    assert house.instance("web").restart_count == 0


async def test_the_exit_code_of_the_container_is_0_after_a_success(build: Build) -> None:
    house = build("processes: {job: {type: oneshot, success_codes: [2], command: [sh, -c, 'exit 2']}}")
    await house.until(lambda: house.exit_code is not None)
    assert house.exit_code == 0


async def test_success_codes_of_a_scheduled_run(build: Build) -> None:
    house = build("processes: {job: {schedule: '@yearly', success_codes: [3], command: [sh, -c, 'exit 3']}}")
    house.supervisor.trigger("job")

    def ended() -> bool:
        schedule = house.status("job").schedule
        return schedule is not None and schedule.totals.finished == 1

    await house.until(ended)
    schedule = house.status("job").schedule
    assert schedule is not None and (schedule.totals.succeeded, schedule.totals.last_exit_code) == (1, 3)
