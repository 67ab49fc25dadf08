"""Dependencies: the order of starting and stopping, oneshots, time-outs; the end of the daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.errors import Conflict, InvalidScale, UnknownProcess
from tests.supervisor.house import OBEDIENT, STUBBORN, alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.house import Build


async def test_a_dependent_waits_for_the_end_of_a_oneshot(build: Build) -> None:
    house = build(
        """
processes:
  web: {command: [sh, -c, "[ -e $DIR/migrated ] && echo fine; exec sleep 1000"], depends_on: [migrate]}
  migrate:
    type: oneshot
    command: [sh, -c, "while [ ! -e $DIR/go ]; do sleep 0.02; done; : > $DIR/migrated"]
  other: {command: [sleep, "1000"]}
"""
    )
    await house.until_state("other", State.RUNNING)
    await house.until_state("migrate", State.RUNNING)
    waiting = house.status("web")
    assert waiting.state is State.STARTING
    assert waiting.waiting_for == ("migrate",)
    assert waiting.reason == "waiting for migrate"
    assert waiting.instances == ()
    (house.log_file.parent / "go").touch()
    await house.until_said("web", "fine")
    assert house.state("migrate") is State.COMPLETED


async def test_that_all_have_started_is_told_once_also_when_a_oneshot_is_the_last(build: Build) -> None:
    house = build(
        """
processes:
  web: {command: [sleep, "1000"]}
  job: {type: oneshot, command: [sleep, "0.05"]}
"""
    )
    told = "All processes started successfully"
    await house.until(lambda: told in house.messages())
    assert house.state("job") is State.COMPLETED
    house.supervisor.restart("web")
    await house.supervisor.settled("web")
    assert house.messages().count(told) == 1


async def test_a_failed_oneshot_blocks_its_dependents_until_their_time_is_up(build: Build) -> None:
    house = build(
        """
processes:
  migrate: {type: oneshot, command: [sh, -c, "exit 5"]}
  web: {command: [sleep, "1000"], depends_on: [migrate], dependency_timeout: 200ms}
  other: {command: [sleep, "1000"]}
"""
    )
    await house.until_state("migrate", State.FAILED)
    await house.until_state("web", State.FAILED)
    assert house.status("web").reason == "gave up after 0.2 s: not ready: migrate"
    assert house.state("other") is State.RUNNING


async def test_a_dependency_that_comes_late_releases_its_dependents(build: Build) -> None:
    house = build(
        """
processes:
  db: {command: [sleep, "1000"], initial_state: stopped}
  web: {command: [sleep, "1000"], depends_on: [db], dependency_timeout: 50ms}
"""
    )
    await house.until_state("web", State.FAILED)
    house.supervisor.start("db")
    await house.until_state("web", State.RUNNING)
    assert house.status("web").reason is None


async def test_a_disabled_dependency_is_ignored(build: Build) -> None:
    house = build(
        """
processes:
  db: {command: [sleep, "1000"], enabled: false}
  web: {command: [sleep, "1000"], depends_on: [db]}
"""
    )
    await house.until_state("web", State.RUNNING)
    assert [status.name for status in house.supervisor.statuses()] == ["web"]


async def test_shutdown_stops_dependents_first_and_the_rest_in_parallel(build: Build, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    script = (
        f"trap 'sleep 0.1; echo $NAME >> {journal}; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    )

    def process(name: str, *depends_on: str) -> dict[str, object]:
        return {"command": ["sh", "-c", script], "env": {"NAME": name}, "depends_on": depends_on}

    house = build(
        json.dumps(
            {
                "processes": {
                    "db": process("db"),
                    "cache": process("cache"),
                    "app": process("app", "db", "cache"),
                    "proxy": process("proxy", "app"),
                    "worker": process("worker", "db"),
                }
            }
        )
    )
    for name in ("db", "cache", "app", "proxy", "worker"):
        await house.until_said(name, "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    order = journal.read_text().split()
    assert sorted(order) == ["app", "cache", "db", "proxy", "worker"]
    assert order.index("proxy") < order.index("app") < order.index("cache")
    assert order.index("app") < order.index("db") > order.index("worker")


async def test_shutdown_kills_what_is_left_when_its_time_is_up(build: Build) -> None:
    house = build(
        "global: {shutdown_timeout: 300ms}\n"
        f"processes: {{web: {{command: [sh, -c, {json.dumps(STUBBORN)}]}}}}"
    )
    await house.until_said("web", "ready")
    pid = house.pids("web")[0]
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not alive(pid)


async def test_a_second_signal_ends_at_once(build: Build) -> None:
    house = build(f"processes: {{web: {{command: [sh, -c, {json.dumps(STUBBORN)}]}}}}")
    await house.until_said("web", "ready")
    house.supervisor.shutdown("received SIGTERM")
    house.supervisor.kill(143)
    assert await house.ended() == 143


async def test_commands_during_the_shutdown_are_refused(build: Build) -> None:
    house = build(f"processes: {{web: {{command: [sh, -c, {json.dumps(OBEDIENT)}]}}}}")
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    for command in (house.supervisor.start, house.supervisor.restart):
        with pytest.raises(Conflict, match="shutting down"):
            command("web")
    with pytest.raises(Conflict):
        house.supervisor.scale("web", 3)
    assert await house.ended() == 0


# -- the end by itself --------------------------------------------------------------------------------------


async def test_the_daemon_ends_when_all_have_ended_with_the_code_of_the_last(build: Build) -> None:
    house = build(
        """
processes:
  first: {type: oneshot, command: [sh, -c, "exit 0"]}
  last: {type: oneshot, command: [sh, -c, "exit 7"], depends_on: [first]}
"""
    )
    assert await house.ended() == 7


async def test_the_daemon_stays_while_a_process_waits_for_its_restart(build: Build) -> None:
    house = build("processes: {web: {command: ['false'], restart_delay: 1s, max_restarts: 1}}")
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.exit_code is None
    assert await house.ended() == 1
    assert house.instance("web").restart_count == 1


@pytest.mark.parametrize("command", ["stop", "scale to 0"])
async def test_what_was_stopped_by_hand_does_not_end_the_daemon(build: Build, command: str) -> None:
    house = build("processes: {job: {type: oneshot, command: ['true']}, web: {command: [sleep, '1000']}}")
    await house.until_state("web", State.RUNNING)
    await house.until_state("job", State.COMPLETED)
    if command == "stop":
        house.supervisor.stop("web")
    else:
        house.supervisor.scale("web", 0)
    await house.until_state("web", State.STOPPED)
    assert not house.supervisor.shutting_down
    house.supervisor.start("web")
    house.supervisor.scale("web", 1)
    await house.until_state("web", State.RUNNING)


async def test_the_daemon_stays_while_only_schedules_are_left(build: Build) -> None:
    house = build(
        """
processes:
  nightly: {command: [sh, -c, "echo ran"], schedule: "0 3 * * *"}
  job: {type: oneshot, command: ["true"]}
"""
    )
    await house.until_state("job", State.COMPLETED)
    await house.until(lambda: "Process instance exited" in house.messages())
    assert not house.supervisor.shutting_down
    assert house.lines("nightly") == []  # a job is not a daemon to be started at once


# -- scale ---------------------------------------------------------------------------------------------


async def test_scale_up_and_down(build: Build) -> None:
    house = build(json.dumps({"processes": {"web": {"command": ["sh", "-c", OBEDIENT], "port_base": 9000}}}))
    house.supervisor.scale("web", 4)
    await house.until(lambda: len(house.pids("web")) == 4)
    kept = house.instance("web", 0).pid
    house.supervisor.scale("web", 1)
    await house.supervisor.settled("web")
    assert [(i.index, i.pid) for i in house.status("web").instances] == [(0, kept)]
    house.supervisor.scale_by("web", 2)
    assert house.status("web").desired_scale == 3
    house.supervisor.scale_by("web", -50)
    assert house.status("web").desired_scale == 0
    await house.until_state("web", State.STOPPED)
    assert house.status("web").instances == ()


async def test_scales_that_cannot_be(build: Build) -> None:
    house = build(
        """
processes:
  web: {command: [sleep, "1000"], max_scale: 3}
  job: {type: oneshot, command: ["true"]}
  fixed: {command: [sleep, "1000"], scale_locked: true}
"""
    )
    for name, count in (("web", 4), ("web", -1), ("job", 2)):
        with pytest.raises(InvalidScale):
            house.supervisor.scale(name, count)
    with pytest.raises(Conflict, match="scale_locked"):
        house.supervisor.scale("fixed", 2)
    with pytest.raises(UnknownProcess):
        house.supervisor.scale("nobody", 2)


async def test_instances_know_who_they_are(build: Build) -> None:
    script = (
        "echo $CBOX_INIT_PROCESS_NAME $CBOX_INIT_INSTANCE_ID $CBOX_INIT_INSTANCE_INDEX $PORT $GREETING $1"
    )
    house = build(
        json.dumps(
            {
                "processes": {
                    "web": {
                        "command": ["sh", "-c", f"{script}; exec sleep 1000", "sh", "--port=${PORT}"],
                        "env": {"GREETING": "hello-${CBOX_INIT_INSTANCE_ID}"},
                        "port_base": 9000,
                        "scale": 2,
                    }
                }
            }
        )
    )
    await house.until(lambda: len(house.lines("web")) == 2)
    assert sorted(house.lines("web")) == [
        "web web-0 0 9000 hello-web-0 --port=9000",
        "web web-1 1 9001 hello-web-1 --port=9001",
    ]


async def test_a_schedule_at_the_head_of_the_file_does_not_mean_that_all_have_started(build: Build) -> None:
    house = build(
        """
processes:
  job: {command: ["true"], schedule: "0 0 1 1 *"}
  web: {command: [sleep, "1000"]}
"""
    )
    await house.until(lambda: "All processes started successfully" in house.messages())
    messages = house.messages()
    assert messages.index("Process instance started") < messages.index("All processes started successfully")
    assert messages.count("All processes started successfully") == 1
