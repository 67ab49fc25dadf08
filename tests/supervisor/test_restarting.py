"""Exits and their consequences: backoff, budget, giving up; restart by hand; failures of exec."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from tests.supervisor.house import OBEDIENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.house import Build


async def test_a_killed_child_comes_back(build: Build) -> None:
    house = build("processes: {web: {command: [sleep, '1000'], restart_delay: 1ms}}")
    await house.until_state("web", State.RUNNING)
    first = house.instance("web")
    assert first.pid and first.started_at and first.restart_count == 0
    os.kill(first.pid, signal.SIGKILL)
    await house.until(lambda: house.instance("web").restart_count == 1)
    await house.until_state("web", State.RUNNING)
    again = house.instance("web")
    assert again.pid != first.pid
    assert again.started_at and again.started_at >= first.started_at


async def test_a_budget_that_is_used_up_ends_in_failed_with_the_reason(build: Build) -> None:
    house = build(
        "processes: {web: {command: [sh, -c, 'echo try; exit 3'], restart_delay: 1ms, max_restarts: 2},"
        " other: {command: [sleep, '1000']}}"
    )
    await house.until_state("web", State.FAILED)
    assert house.lines("web") == ["try"] * 3
    assert house.status("web").reason == "gave up after 2 restarts: exit code 3"
    assert house.instance("web").exit_code == 3
    assert house.state("other") is State.RUNNING

    house.supervisor.start("web")
    await house.until(lambda: len(house.lines("web")) == 6 and house.state("web") is State.FAILED)


async def test_a_long_enough_uptime_makes_the_budget_new(build: Build) -> None:
    house = build(
        "processes: {web: {command: [sleep, '1000'], restart_delay: 1h, max_restarts: 1,"
        " restart_threshold: 1ms}}"
    )
    for expected in range(1, 5):
        await house.until_state("web", State.RUNNING)
        await house.until(lambda: house.runtime.unix() - (house.instance("web").started_at or 0) > 0.002)
        os.kill(house.pids("web")[0], signal.SIGKILL)
        await house.until_restarted("web", expected)


@pytest.mark.parametrize(
    ("restart", "code", "state"),
    [
        ("never", 0, State.STOPPED),
        ("never", 4, State.FAILED),
        ("on-failure", 0, State.STOPPED),
    ],
)
async def test_policies_that_do_not_bring_it_back(
    build: Build, restart: str, code: int, state: State
) -> None:
    house = build(
        f"processes: {{web: {{command: [sh, -c, 'exit {code}'], restart: {restart}}},"
        " other: {command: [sleep, '1000']}}"
    )
    await house.until_state("web", state)
    assert house.instance("web").exit_code == code
    assert house.instance("web").restart_count == 0


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ({"command": ["no-such-program"]}, 127, "not found"),
        ({"command": ["/etc/passwd"]}, 126, "ermission"),
        ({"command": ["sleep", "1"], "working_dir": "/no/such/folder"}, 1, "/no/such/folder"),
        ({"command": ["sleep", "1"], "user": "no-such-user"}, 1, "no-such-user"),
        ({"command": ["sleep", "1"], "group": "no-such-group"}, 1, "no-such-group"),
    ],
)
async def test_a_failure_of_exec_is_the_state_with_its_reason(
    build: Build, keys: dict[str, object], code: int, words: str
) -> None:
    process = {**keys, "restart_delay": "1ms", "max_restarts": 1}
    house = build(json.dumps({"processes": {"web": process, "other": {"command": ["sleep", "1000"]}}}))
    await house.until_state("web", State.FAILED)
    instance = house.instance("web")
    assert instance.exit_code == code
    assert instance.reason and words in instance.reason
    assert instance.reason.startswith("gave up after 1 restart: ")
    assert instance.restart_count == 1
    assert house.state("other") is State.RUNNING


async def test_a_program_that_appears_later_is_started_then(build: Build, tmp_path: Path) -> None:
    program = tmp_path / "late"
    house = build(
        f"processes: {{web: {{command: [{program}], restart_delay: 5ms, max_restarts: 0}}}}".replace(
            "max_restarts: 0", "max_restarts: 0, max_restart_delay: 5ms"
        )
    )
    await house.until(lambda: house.instance("web").restart_count > 2)
    draft = tmp_path / "draft"
    draft.write_text("#!/bin/sh\nexec sleep 1000\n")
    draft.chmod(0o755)
    draft.rename(program)
    await house.until_state("web", State.RUNNING)


async def test_restart_replaces_one_after_another(build: Build) -> None:
    house = build(json.dumps({"processes": {"web": {"command": ["sh", "-c", OBEDIENT], "scale": 3}}}))
    await house.until_said("web", "ready", 3)
    before = house.pids("web")
    house.supervisor.restart("web")
    await house.supervisor.settled("web")
    assert not set(before) & set(house.pids("web"))
    assert [i.restart_count for i in house.status("web").instances] == [1, 1, 1]
    turns = [m for m in house.messages() if m in ("Process instance started", "Process instance stopped")]
    assert turns[3:] == ["Process instance stopped", "Process instance started"] * 3


async def test_restarts_at_one_time_merge(build: Build) -> None:
    house = build(json.dumps({"processes": {"web": {"command": ["sh", "-c", OBEDIENT]}}}))
    await house.until_said("web", "ready")
    for _ in range(100):
        house.supervisor.restart("web")
    await house.supervisor.settled("web")
    assert house.state("web") is State.RUNNING
    assert house.instance("web").restart_count == 1


async def test_a_hundred_different_commands_at_one_time_end_as_the_last_ones_say(build: Build) -> None:
    house = build(json.dumps({"processes": {"web": {"command": ["sh", "-c", OBEDIENT], "max_scale": 9}}}))
    await house.until_said("web", "ready")
    supervisor = house.supervisor
    for turn in range(25):
        supervisor.stop("web")
        supervisor.scale("web", turn % 9)
        supervisor.restart("web")
        supervisor.start("web")
    supervisor.scale("web", 3)
    await supervisor.settled("web")
    assert [i.index for i in house.status("web").instances] == [0, 1, 2]
    assert house.state("web") is State.RUNNING
    assert len(set(house.pids("web"))) == 3


async def test_two_hundred_that_crash_together_come_back_together(build: Build) -> None:
    house = build(
        "global: {max_process_scale: 200}\n"
        "processes: {web: {command: [sleep, '1000'], scale: 200, restart_delay: 1ms}}"
    )
    await house.until(lambda: len(house.pids("web")) == 200)
    before = set(house.pids("web"))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await house.until(lambda: len(house.pids("web")) == 200 and not before & set(house.pids("web")))
    assert {i.restart_count for i in house.status("web").instances} == {1}
