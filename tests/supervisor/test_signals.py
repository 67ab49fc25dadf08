"""What reaches the processes of an instance, and what is seen of signals that reach it from elsewhere."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.system.procfs import read_figures
from tests.supervisor.house import OBEDIENT, alive

if TYPE_CHECKING:
    from tests.supervisor.house import Build


def _one(script: str, *, more: str = "") -> str:
    command = json.dumps(["sh", "-c", script])
    return f"processes:\n  web: {{command: {command}, shutdown: {{timeout: 1000s}}{more}}}\n"


def is_suspended(pid: int) -> bool:
    figures = read_figures(pid)
    return figures is not None and figures.state == "T"


# Counts the signals; says that it is ready when it is older than a shell's fork before its exec may be.
DRAINS = (
    "trap 'echo told' TERM; sleep 0.4; echo ready; "
    "while [ ! -e $DIR/told ]; do sleep 0.02; done; "
    "i=0; while [ $i -lt 10 ]; do sleep 0.03; i=$((i+1)); done; echo drained"
)


async def test_a_program_behind_a_wrapper_gets_the_signal_once(build: Build) -> None:
    """The wrapper ends by the signal at once, the program takes its time."""
    house = build(_one(f"sh -c {json.dumps(DRAINS).replace('$', chr(92) + '$')}; true"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_said("web", "told")
    await house.until(lambda: "Process instance stopped" in house.messages())
    (house.file.parent / "told").touch()
    await house.until_state("web", State.STOPPED)
    assert [line for line in house.lines("web") if line != "Terminated"] == ["ready", "told", "drained"]


async def test_what_is_forked_after_the_signal_gets_it_too(build: Build) -> None:
    fork = "sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done; echo $!; exit 0"
    house = build(_one(f"trap '{fork}' TERM; echo ready; while :; do sleep 0.02; done"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not alive(int(house.lines("web")[-1]))


async def test_what_left_the_group_before_the_signal_gets_it_when_the_main_process_is_gone(
    build: Build,
) -> None:
    house = build(_one(f"setsid sh -c {json.dumps(DRAINS).replace('$', chr(92) + '$')} & wait"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_said("web", "told")
    (house.file.parent / "told").touch()
    await house.until_state("web", State.STOPPED)
    assert [line for line in house.lines("web") if line != "Terminated"] == ["ready", "told", "drained"]


async def test_a_child_that_is_suspended_shows_as_such(build: Build) -> None:
    house = build(_one("echo ready; kill -STOP $$; echo on; exec sleep 1000"))
    await house.until_said("web", "ready")
    (pid,) = house.pids("web")
    reason = f"suspended by SIGSTOP: it continues after kill -CONT {pid}"
    await house.until(lambda: house.instance("web").reason == reason)
    assert house.status("web").reason == reason
    assert house.state("web") is State.RUNNING
    os.kill(pid, signal.SIGCONT)
    await house.until_said("web", "on")
    await house.until(lambda: house.instance("web").reason is None)
    said = house.messages()
    assert said.count("Process instance is suspended") == said.count("Process instance continues") == 1
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)


async def test_a_child_that_suspends_itself_all_the_time_fills_no_log(build: Build) -> None:
    house = build(_one("echo ready; while :; do kill -STOP $$; echo on; done"))
    await house.until_said("web", "ready")
    for times in range(10):
        await house.until(lambda: house.instance("web").reason and is_suspended(house.pids("web")[0]))
        os.kill(house.pids("web")[0], signal.SIGCONT)
        await house.until_said("web", "on", times + 1)
    assert house.messages().count("Process instance is suspended") == 1


@pytest.mark.parametrize("restart", ["always", "never"])
async def test_a_program_that_goes_into_the_background_is_told_how_not_to(build: Build, restart: str) -> None:
    script = "setsid sleep 1000 & sleep 1000 & exit 0"
    house = build(_one(script, more=f", restart: {restart}, restart_delay: 1000s"))
    await house.until(lambda: house.instance("web").pid is None and house.instance("web").reason)
    await house.until(lambda: house.state("web") in (State.STARTING, State.STOPPED))
    reason = house.status("web").reason
    assert reason is not None
    assert reason.startswith("exit code 0: it left 2 processes behind, which are ended; run the program in ")
    assert "daemon off;" in reason
    assert house.messages().count("Process instance went into the background") == 1


async def test_others_that_are_left_have_not_gone_into_the_background(build: Build) -> None:
    house = build(
        f"processes:\n"
        f"  failed: {{command: [sh, -c, 'sleep 1000 & exit 1'], restart: never}}\n"
        f"  job: {{type: oneshot, command: [sh, -c, 'sleep 1000 >/dev/null 2>&1 & exit 0']}}\n"
        f"  asked: {{command: {json.dumps(['sh', '-c', OBEDIENT])}}}\n"
    )
    await house.until_said("asked", "ready")
    house.supervisor.stop("asked")
    await house.until_state("asked", State.STOPPED)
    await house.until_state("failed", State.FAILED)
    await house.until_state("job", State.COMPLETED)
    assert "Process instance went into the background" not in house.messages()
