"""Children of ``type: notify``: ready when they say so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.views import process_entry
from cbox_init.core.health import HealthState
from cbox_init.core.notify import NotifyState
from cbox_init.core.restart import Cause
from cbox_init.core.states import State
from cbox_init.telemetry.figures import Figures
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.core.health import InstanceHealth
    from cbox_init.core.notify import NotifyStatus
    from tests.supervisor.house import Build, House

SAYS = str(Path(__file__).with_name("programs") / "says.py")


def says(*words: str, **keys: object) -> dict[str, object]:
    """A process that says these."""
    command = [sys.executable, SAYS, *words]
    env = {"SUPERVISOR": str(os.getpid())}
    return {"type": "notify", "command": command, "env": env, "restart_delay": "1ms", **keys}


def config(processes: Mapping[str, object], **settings: object) -> str:
    return json.dumps({"global": settings, "processes": processes})


def touch(house: House, name: str) -> None:
    (house.log_file.parent / name).touch()


def health(house: House, name: str = "web", index: int = 0) -> InstanceHealth:
    found = house.instance(name, index).health
    assert found
    return found


def notice(house: House, name: str = "web", index: int = 0) -> NotifyStatus:
    found = health(house, name, index).notify
    assert found
    return found


async def until_ready(house: House, name: str = "web", index: int = 0) -> None:
    await house.until(lambda: health(house, name, index).ready)


async def test_it_is_ready_when_it_says_so_and_its_dependents_start_then(build: Build) -> None:
    house = build(
        config(
            {
                "app": {"command": ["sleep", "1000"], "depends_on": ["web"]},
                "web": says("STATUS=loading", "wait:go", "STATUS=serving\nREADY=1"),
            }
        )
    )
    await house.until(lambda: notice(house).status == "loading")
    assert house.state("web") is State.RUNNING
    assert (health(house).state, health(house).ready) == (HealthState.STARTING, False)
    assert house.status("app").waiting_for == ("web",)
    touch(house, "go")
    await house.until_state("app", State.RUNNING)
    assert (notice(house).state, notice(house).status) == (NotifyState.READY, "serving")
    assert "Process marked as healthy" in house.messages()


async def test_what_the_api_shows(build: Build) -> None:
    house = build(config({"web": says("READY=1\nSTATUS=3 connections")}))
    await until_ready(house)
    entry = process_entry(house.status("web"), Figures(lambda pid: None, 1))
    assert (entry.type, entry.state) == ("longrun", "running")
    shown = entry.instances[0].health
    assert shown
    assert (shown.status, shown.ready) == ("healthy", True)
    assert (shown.notified, shown.status_text) == ("ready", "3 connections")


async def test_reloading_and_stopping_take_it_out_of_ready(build: Build) -> None:
    house = build(
        config({"web": says("READY=1", "wait:a", "RELOADING=1", "wait:b", "READY=1", "STOPPING=1")})
    )
    await until_ready(house)
    assert house.supervisor.not_ready("web") == ()
    touch(house, "a")
    await house.until(lambda: notice(house).state is NotifyState.RELOADING)
    assert not health(house).ready
    assert house.status("web").reason == "not ready: it reports reloading"
    touch(house, "b")
    await house.until(lambda: notice(house).state is NotifyState.STOPPING)
    assert not health(house).ready
    assert house.instance("web").restart_count == 0
    messages = house.messages()
    assert messages.count("Process instance is not ready") == 2
    assert messages.count("Process instance is ready again") == 1


async def test_late_is_said_and_ends_nothing(build: Build) -> None:
    web = says("STATUS=warming up", "wait:go", "READY=1")
    house = build(config({"web": web}, process_start_timeout="400ms"))
    reason = "no READY=1 in time (global.process_start_timeout: 0.4 s)"
    await house.until(lambda: str(house.status("web").reason).startswith(reason))
    assert "Process instance is not healthy in time" in house.messages()
    touch(house, "go")
    await until_ready(house)
    assert house.instance("web").restart_count == 0
    assert house.status("web").reason is None


async def test_late_and_strict_is_the_end(build: Build) -> None:
    web = says("wait:never", max_restarts=1)
    house = build(config({"web": web}, process_start_timeout="100ms", health_check_strict=True))
    assert await house.ended() != 0
    reason = "gave up after 1 restart: no READY=1 in time (global.process_start_timeout: 0.1 s)"
    assert house.instance("web").reason == reason
    assert house.instance("web").restart_causes == {Cause.HEALTH_CHECK: 1}


async def test_more_time_to_start_can_be_asked_for(build: Build) -> None:
    house = build(config({"web": says("wait:go", "EXTEND_TIMEOUT_USEC=60000000")}))
    await house.until(lambda: health(house))
    before = health(house).healthy_by
    touch(house, "go")
    await house.until(lambda: health(house).healthy_by != before)
    assert before and (health(house).healthy_by or 0.0) > before + 20


async def test_a_watchdog_that_is_fed_no_more_ends_it(build: Build) -> None:
    words = ("print:WATCHDOG_USEC", "READY=1", "often:WATCHDOG=1:enough")
    house = build(config({"web": says(*words, watchdog="1s", restart_delay="100s")}))
    await until_ready(house)
    await house.until_said("web", "WATCHDOG_USEC 1000000")
    touch(house, "enough")
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.instance("web").reason == "unhealthy: no WATCHDOG=1 for 1 s"
    messages = house.messages()
    assert "Process marked as unhealthy" in messages
    assert "Process instance exited with error" not in messages


async def test_the_watchdog_waits_for_ready_and_not_for_the_end(build: Build) -> None:
    """Neither a long start nor a long end is silence."""
    slow = says("wait:go", "READY=1\nSTOPPING=1", watchdog="50ms")
    hung = says("READY=1", watchdog="50ms", restart_delay="100s", initial_state="stopped")
    house = build(config({"slow": slow, "hung": hung}))
    for _ in range(2):
        house.supervisor.start("hung")
        await house.until(lambda: house.instance("hung").next_restart_at)
        assert (house.state("slow"), house.instance("slow").restart_count) == (State.RUNNING, 0)
        touch(house, "go")
        await house.until(lambda: notice(house, "slow").state is NotifyState.STOPPING)


async def test_it_can_call_its_own_watchdog(build: Build) -> None:
    house = build(config({"web": says("READY=1", "wait:go", "WATCHDOG=trigger", restart_delay="100s")}))
    await until_ready(house)
    touch(house, "go")
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.instance("web").reason == "unhealthy: it sent WATCHDOG=trigger"


@pytest.mark.parametrize("words", [("child:READY=1",), ("orphan:READY=1",)])
async def test_all_of_its_processes_may_speak(build: Build, words: tuple[str, ...]) -> None:
    house = build(config({"web": says(*words)}))
    await until_ready(house)


async def test_a_stranger_may_not(build: Build) -> None:
    web = says("print:NOTIFY_SOCKET", "wait:go", "READY=1")
    house = build(config({"web": web, "other": says("READY=1")}))
    await house.until(lambda: house.lines("web"))
    address = house.lines("web")[0].split()[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"READY=1\nSTATUS=forged", f"\0{address[1:]}")
        stranger.sendto(b"WATCHDOG=trigger", f"\0{address[1:]}")
    await house.until(
        lambda: "A message of no process of the instance is ignored" in house.messages(),
    )
    await until_ready(house, "other")
    assert (notice(house).state, notice(house).status) == (NotifyState.STARTING, "")
    assert house.messages().count("A message of no process of the instance is ignored") == 1
    touch(house, "go")
    await until_ready(house)


async def test_another_instance_is_a_stranger(build: Build) -> None:
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
    script += "s.sendto(b'READY=1', '\\0' + sys.argv[1][1:]); import time; time.sleep(1000)"
    house = build(config({"web": says("print:NOTIFY_SOCKET", "wait:go")}))
    await house.until(lambda: house.lines("web"))
    address = house.lines("web")[0].split()[1]
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, address)
    await house.until(lambda: "A message of no process of the instance is ignored" in house.messages())
    assert notice(house).state is NotifyState.STARTING
    child.kill()
    house.supervisor.reap()
    with contextlib.suppress(ProcessLookupError):
        await child.wait()


async def test_any_datagram_leaves_the_daemon_as_it_is(build: Build) -> None:
    words = ("", "\xff\xfe=\x01", "=", "STATUS=" + "x" * 3000, "A" * 100_000, "MAINPID=1", "READY=1")
    house = build(config({"web": says(*words)}))
    await until_ready(house)
    assert len(notice(house).status) == 500
    assert "A message of more than 4096 bytes is ignored" in house.messages()


async def test_one_that_never_stops_talking_leaves_room_for_others(build: Build) -> None:
    flood = "import os, socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    flood += "s.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n"
    flood += "while True: s.send(b'READY=1\\nSTATUS=busy\\nWATCHDOG=1')\n"
    loud = {"type": "notify", "command": [sys.executable, "-c", flood], "watchdog": "5s"}
    house = build(config({"loud": loud, "web": says("wait:go", "READY=1")}))
    await until_ready(house, "loud")
    touch(house, "go")
    await until_ready(house)
    house.supervisor.stop("loud")
    await house.until_state("loud", State.STOPPED)


async def test_a_restart_waits_until_the_new_one_is_ready(build: Build) -> None:
    web = says("wait:go-${CBOX_INIT_INSTANCE_INDEX}", "READY=1", scale=2)
    house = build(config({"web": web}))
    for index in (0, 1):
        touch(house, f"go-{index}")
        await until_ready(house, "web", index)
    first, second = house.pids("web")
    (house.log_file.parent / "go-0").unlink()
    house.supervisor.restart("web")
    await house.until(lambda: house.instance("web").pid not in (first, None))
    await house.until(lambda: house.instance("web").state is State.RUNNING)
    assert alive(second) and house.instance("web", 1).pid == second
    touch(house, "go-0")
    await house.until(lambda: house.instance("web", 1).pid not in (second, None))


async def test_with_a_check_beside_it_both_must_say_so(build: Build) -> None:
    check = {
        "command": ["sh", "-c", "test -e $DIR/well"],
        "initial_delay": 0,
        "period": "50ms",
        "mode": "readiness",
    }
    house = build(config({"web": says("wait:go", "READY=1", health_check=check)}))
    touch(house, "well")
    await house.until(lambda: health(house).successes > 1)
    assert not health(house).ready
    touch(house, "go")
    await until_ready(house)
    (house.log_file.parent / "well").unlink()
    await house.until(lambda: not health(house).ready)
    assert notice(house).ready


async def test_another_check_in_place_keeps_what_was_said(build: Build) -> None:
    web = says("READY=1", "wait:go", "RELOADING=1")
    house = build(config({"web": web}))
    await until_ready(house)
    pids = house.pids("web")
    check = {"command": ["true"], "initial_delay": 0, "period": "50ms"}
    house.file.write_text(config({"web": {**web, "health_check": check}}))
    await house.parts.configuration.reload()
    await house.until(lambda: health(house).successes > 1)
    assert (house.pids("web"), health(house).ready) == (pids, True)
    touch(house, "go")
    await house.until(lambda: not health(house).ready)


async def test_nothing_stays_open(build: Build) -> None:
    house = build(config({"web": says("READY=1", scale=3)}, max_process_scale=5), start=False)
    before = open_sockets()
    house.supervisor.start("web")
    for scale in (3, 5, 1, 4):
        house.supervisor.scale("web", scale)
        await house.until(lambda wanted=scale: len(house.pids("web")) == wanted)  # type: ignore[misc]
        await house.until(lambda wanted=scale: open_sockets() == before + wanted)  # type: ignore[misc]
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert open_sockets() == before


async def test_one_that_cannot_be_started_leaves_no_socket(build: Build) -> None:
    web = {"type": "notify", "command": ["/no/such/program"], "max_restarts": 2, "restart_delay": "1ms"}
    house = build(config({"web": web, "stay": {"command": ["sleep", "1000"]}}))
    sockets = open_sockets()
    await house.until_state("web", State.FAILED)
    assert open_sockets() <= sockets


def open_sockets() -> int:
    return sum(
        os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    )


async def test_hooks_and_longruns_have_no_socket(build: Build) -> None:
    plain = {"command": ["sh", "-c", "echo socket $NOTIFY_SOCKET.; exec sleep 1000"]}
    house = build(config({"plain": plain}))
    await house.until_said("plain", "socket .")
    assert house.instance("plain").health is None
