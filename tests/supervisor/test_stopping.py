"""A stop: the signal first, then patience, then the kill; and all that an instance started."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from tests.supervisor.house import OBEDIENT, STUBBORN, alive

if TYPE_CHECKING:
    from tests.supervisor.house import Build


def _one(script: str, extra: str = "") -> str:
    return f"""
processes:
  web:
    command: {json.dumps(["sh", "-c", script])}
    shutdown: {{timeout: 20s}}
{extra}
"""


async def test_the_term_handler_runs(build: Build) -> None:
    house = build(_one(OBEDIENT))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    assert house.state("web") in (State.STOPPING, State.RUNNING)
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["ready", "bye"]
    assert house.instance("web").exit_code == 0
    assert house.pids("web") == []


async def test_a_child_that_ignores_the_signal_is_killed_after_its_time(build: Build) -> None:
    house = build(_one(STUBBORN).replace("20s", "300ms"))
    await house.until_said("web", "ready")
    pid = house.pids("web")[0]
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not alive(pid)
    assert house.instance("web").exit_code == 137


async def test_the_whole_group_is_told(build: Build) -> None:
    house = build(_one("sleep 1000 & echo $!; sleep 1000 & echo $!; wait"))
    await house.until(lambda: len(house.lines("web")) == 2)
    children = [int(line) for line in house.lines("web")]
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not any(alive(pid) for pid in children)


async def test_a_descendant_that_left_the_group_is_ended_too(build: Build) -> None:
    house = build(_one("setsid sh -c 'echo $$; sleep 1000; :' & wait"))
    await house.until(lambda: house.lines("web"))
    stray = int(house.lines("web")[0])
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not alive(stray)


async def test_a_stubborn_descendant_that_left_the_group_is_killed(build: Build) -> None:
    text = _one("setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & wait")
    house = build(text.replace("20s", "300ms"))
    await house.until(lambda: house.lines("web"))
    stray = int(house.lines("web")[0])
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not alive(stray)


async def test_mode_main_tells_the_main_process_first(build: Build) -> None:
    script = (
        "trap 'echo main told; exit 0' TERM; "
        "sh -c 'trap \"echo child told; exit\" TERM; (echo up; exec sleep 1000) & wait' & wait"
    )
    house = build(_one(script).replace("timeout: 20s", "timeout: 20s, mode: main"))
    await house.until_said("web", "up")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["up", "main told", "child told"]


async def test_what_a_crashed_main_process_leaves_is_ended_before_the_successor(build: Build) -> None:
    script = 'sleep 1000 & echo "left $!"; [ -e $DIR/again ] && exec sleep 1000; : > $DIR/again; exit 3'
    house = build(_one(script, "    restart_delay: 10ms"))
    await house.until(lambda: len(house.lines("web")) == 2)
    first = int(house.lines("web")[0].split()[1])
    assert not alive(first)
    assert house.instance("web").restart_count == 1


async def test_a_oneshot_may_leave_a_daemon_behind_until_the_end(build: Build) -> None:
    house = build(
        """
processes:
  setup: {type: oneshot, command: [sh, -c, "setsid sleep 1000 > /dev/null 2>&1 & echo $!"]}
  web: {command: [sleep, "1000"], depends_on: [setup]}
"""
    )
    await house.until_state("web", State.RUNNING)
    assert house.state("setup") is State.COMPLETED
    daemon = int(house.lines("setup")[0])
    assert alive(daemon)
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not alive(daemon)


async def test_a_stop_while_waiting_for_a_restart_is_at_once(build: Build) -> None:
    house = build(_one("exit 1", "    restart_delay: 1000s"))
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.state("web") is State.STARTING
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)


async def test_a_main_process_cannot_leave_the_group_that_is_signalled(build: Build) -> None:
    script = (
        "import os, time; other = os.fork()\n"
        "if other:\n"
        "    os.setpgid(other, other)\n"
        "    try: os.setpgid(0, other)\n"
        "    except PermissionError: print('refused', flush=True)\n"
        "time.sleep(1000)"
    )
    house = build(
        f"""
processes:
  web: {{command: {json.dumps([sys.executable, "-c", script])}, shutdown: {{timeout: 1000s}}}}
"""
    )
    await house.until_said("web", "refused")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.instance("web").exit_code == 143


@pytest.mark.parametrize("mode", ["group", "main"])
async def test_a_child_that_is_suspended_runs_its_handler(build: Build, mode: str) -> None:
    house = build(_one(OBEDIENT).replace("20s", f"1000s, mode: {mode}"))
    await house.until_said("web", "ready")
    os.kill(house.pids("web")[0], signal.SIGSTOP)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["ready", "bye"]


async def test_a_suspended_descendant_is_told_as_well(build: Build) -> None:
    house = build(
        _one("setsid sh -c 'echo $$; kill -STOP $$; exec sleep 1000' & wait").replace("20s", "1000s")
    )
    await house.until(lambda: house.lines("web"))
    stray = int(house.lines("web")[0])
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not alive(stray)


async def test_a_suspended_orphan_does_not_hold_up_the_end(build: Build) -> None:
    script = "setsid sh -c 'kill -STOP $$; exec sleep 1000' > /dev/null 2>&1 & echo $!"
    house = build(
        f"""
global: {{shutdown_timeout: 1000s}}
processes:
  setup: {{type: oneshot, command: {json.dumps(["sh", "-c", script])}}}
  web: {{command: [sleep, "1000"], depends_on: [setup]}}
"""
    )
    await house.until_state("web", State.RUNNING)
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not alive(int(house.lines("setup")[0]))
