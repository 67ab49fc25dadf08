"""The end: who is given up and ends the container, the drain, who was killed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.supervisor.instance.messages import LAST_LINES, LONGEST_LINE
from cbox_init.system.tree import signal_group
from tests.supervisor.house import OBEDIENT, STUBBORN, alive

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House


OTHER = "other: {command: [sleep, '1000']}"


def sh(script: str) -> str:
    return json.dumps(["sh", "-c", script])


def message(house: House, text: str) -> dict[str, str]:
    (record,) = [r for r in map(json.loads, house.log_text().splitlines()) if r["msg"] == text]
    return {str(key): str(value) for key, value in record.items()}


@pytest.mark.parametrize("keys", ["max_restarts: 1, restart_delay: 1ms", "restart: never"])
async def test_one_that_is_given_up_ends_the_container_with_its_exit_code(build: Build, keys: str) -> None:
    house = build(
        f"""
processes:
  other: {{command: [sleep, "1000"]}}
  web: {{command: {sh("echo out of luck; exit 7")}, on_give_up: shutdown, {keys}, depends_on: [other]}}
"""
    )
    assert await house.ended() == 7
    assert message(house, "Shutting down")["reason"].startswith("web-0 was given up: ")
    assert house.state("other") is State.STOPPED


@pytest.mark.parametrize("code", [0, 7])
async def test_one_whose_end_is_that_of_the_container(build: Build, code: int) -> None:
    """A job beside a sidecar: whatever its code, and without a restart."""
    house = build(
        f"""
processes:
  sidecar: {{command: [sleep, "1000"]}}
  job: {{command: {sh(f"exit {code}")}, on_exit: shutdown}}
"""
    )
    assert await house.ended() == code
    assert message(house, "Shutting down")["reason"] == f"job-0 has ended: exit code {code}"
    assert house.state("sidecar") is State.STOPPED


async def test_a_stop_by_hand_is_not_the_end_of_the_container(build: Build) -> None:
    house = build('processes: {web: {command: [sleep, "1000"], on_exit: shutdown}}')
    await house.until_state("web", State.RUNNING)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    house.supervisor.restart("web")
    await house.until_state("web", State.RUNNING)
    assert house.exit_code is None


async def test_what_was_given_up_makes_the_exit_code_no_success(build: Build) -> None:
    house = build(
        f"""
processes:
  web: {{command: {sh("exit 7")}, restart: never}}
  job: {{type: oneshot, command: {sh("sleep 0.3")}, initial_state: stopped}}
"""
    )
    house.supervisor.start("job")
    await house.until_state("web", State.FAILED)
    assert await house.ended() == 7


async def test_an_input_that_stays_open(build: Build) -> None:
    ends_with_its_input = sh("read -r line; echo input ended; exec sleep 1000")
    house = build(
        f"""
processes:
  closed: {{command: {ends_with_its_input}}}
  open: {{command: {ends_with_its_input}, stdin: pipe, restart_delay: 1ms}}
"""
    )
    await house.until_said("closed", "input ended")
    await house.until_state("open", State.RUNNING)
    (pid,) = house.pids("open")
    assert os.readlink(f"/proc/{pid}/fd/0").startswith("pipe:")
    before = len(os.listdir("/proc/self/fd"))
    house.kill("open")
    await house.until(lambda: house.pids("open") not in ([], [pid]))
    assert house.lines("open") == []
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_keep_keeps_the_others(build: Build) -> None:
    house = build(
        f"""
processes:
  other: {{command: [sleep, "1000"]}}
  web: {{command: {sh("exit 7")}, restart: never}}
"""
    )
    await house.until_state("web", State.FAILED)
    assert house.exit_code is None
    assert house.state("other") is State.RUNNING


async def test_success_gives_nothing_up(build: Build) -> None:
    house = build(
        """
processes:
  other: {command: [sleep, "1000"]}
  job: {type: oneshot, command: ["true"], on_give_up: shutdown}
"""
    )
    await house.until_state("job", State.COMPLETED)
    await house.until_state("other", State.RUNNING)
    assert house.exit_code is None


async def test_the_last_output_of_one_that_failed(build: Build) -> None:
    script = f"seq 100; head -c {2 * LONGEST_LINE} /dev/zero | tr '\\\\0' x; echo; echo why >&2; exit 1"
    house = build(
        f"""
processes:
  web: {{command: ["sh", "-c", "{script}"], restart: never}}
  other: {{command: {sh("echo not of web; exec sleep 1000")}}}
"""
    )
    await house.until_state("web", State.FAILED)
    lines = house.instance("web").last_output
    assert len(lines) == LAST_LINES
    assert {"100", "why", "x" * (LONGEST_LINE - 1) + "…"} < set(lines)
    logged = message(house, "Process instance has failed and is not restarted")
    assert logged["last_output"].split("\n") == list(lines)
    house.supervisor.start("web")
    await house.until(lambda: house.lines("web").count("why") == 2)
    house.supervisor.stop("other")


async def test_one_that_runs_again_has_no_last_output(build: Build) -> None:
    script = "[ -e $DIR/again ] && exec sleep 1000; touch $DIR/again; echo no; exit 1"
    house = build(
        f"processes: {{web: {{command: {sh(script)}, restart: never}}, b: {{command: [sleep, 9]}}}}"
    )
    await house.until_state("web", State.FAILED)
    assert house.instance("web").last_output == ("no",)
    house.supervisor.start("web")
    await house.until_state("web", State.RUNNING)
    assert house.instance("web").last_output == ()


async def test_who_was_killed_is_said_in_one_line(build: Build) -> None:
    house = build(
        f"""
global: {{shutdown_timeout: 2s}}
processes:
  good: {{command: {sh(OBEDIENT)}}}
  bad: {{command: {sh(STUBBORN)}, scale: 2}}
  worse: {{command: {sh(STUBBORN)}, shutdown: {{timeout: 50ms}}}}
"""
    )
    await house.until_said("bad", "ready", 2)
    await house.until_said("worse", "ready")
    await house.until_said("good", "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    told = message(house, "Killed in the shutdown")
    assert told["processes"] == "bad, worse"
    assert told["instances"] == "bad-0, bad-1, worse-0"
    assert house.instance("bad", 1).exit_code == 137, "the end came before it was seen to be gone"


async def test_who_was_killed_before_is_history(build: Build) -> None:
    house = build(f"processes: {{bad: {{command: {sh(STUBBORN)}, shutdown: {{timeout: 50ms}}}}, {OTHER}}}")
    await house.until_said("bad", "ready")
    house.supervisor.stop("bad")
    await house.until_state("bad", State.STOPPED)
    house.supervisor.shutdown("test")
    await house.ended()
    assert "Killed in the shutdown" not in house.messages()


async def test_nothing_is_told_to_stop_during_the_drain(build: Build) -> None:
    house = build(
        f"""
global: {{shutdown_drain: 300ms}}
hooks: {{pre-stop: [{{command: {sh("date +%s%N > $DIR/pre-stop")}}}]}}
processes:
  web: {{command: {sh(OBEDIENT.replace("echo bye", "date +%s%N > $DIR/bye"))}}}
"""
    )
    await house.until_said("web", "ready")
    begun_s = house.runtime.unix()
    house.supervisor.shutdown("test")
    await house.ended()
    folder = house.log_file.parent
    hook_s, bye_s = (int((folder / name).read_text()) / 1e9 for name in ("pre-stop", "bye"))
    assert begun_s + 0.3 <= hook_s <= bye_s


async def test_a_second_signal_ends_the_drain(build: Build) -> None:
    house = build(f"global: {{shutdown_drain: 1000s}}\nprocesses: {{web: {{command: {sh(OBEDIENT)}}}}}")
    await house.until_said("web", "ready")
    pid = house.pids("web")[0]
    house.supervisor.shutdown("test")
    house.supervisor.kill(130)
    assert await house.ended() == 130
    assert not alive(pid)


async def test_a_second_signal_ends_what_leaves_its_group_meanwhile(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = "trap '' TERM; touch $DIR/child; kill -STOP $$; exec setsid sleep 1000"
    house = build(f"processes: {{web: {{command: {sh(f'sh -c {shlex.quote(child)} & echo $!; wait')}}}}}")
    await house.until((house.log_file.parent / "child").exists)
    await house.until(lambda: house.lines("web"))
    pid = int(house.lines("web")[0])

    def too_late(pgid: int, signum: int) -> bool:
        while os.getsid(pid) != pid:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.001)
        return signal_group(pgid, signum)

    monkeypatch.setattr("cbox_init.supervisor.instance.live.signal_group", too_late)
    house.supervisor.kill(130)
    assert await house.ended() == 130
    assert not alive(pid)


async def test_there_is_no_drain_when_nothing_lives(build: Build) -> None:
    house = build("global: {shutdown_drain: 1000s}\nprocesses: {job: {type: oneshot, command: ['true']}}")
    assert await house.ended() == 0
