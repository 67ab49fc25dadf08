"""Checks of real children: what follows from them, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.health import HealthState
from cbox_init.core.restart import Cause
from cbox_init.core.states import State
from tests.ports import free_port, free_ports
from tests.supervisor.health.servers import answering, serving, silent
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.supervisor.house import Build, House

OK = b"HTTP/1.1 200 OK\r\n\r\nhello"
SLEEP = ["sleep", "1000"]
QUICK: dict[str, object] = {"initial_delay": 0, "period": "50ms", "timeout": "300ms", "start_period": "1ms"}
#: Of checks that succeed: all the time that they may need on a loaded machine.
PATIENT: dict[str, object] = {"timeout": "20s"}


def one(check: Mapping[str, object], **keys: object) -> str:
    process = {"command": SLEEP, "restart_delay": "1ms", "max_restarts": 0, **keys}
    return json.dumps({"processes": {"web": {**process, "health_check": {**QUICK, **check}}}})


def state(house: House, name: str = "web", index: int = 0) -> HealthState:
    found = house.instance(name, index).health
    assert found
    return found.state


async def until(house: House, expected: HealthState, name: str = "web", index: int = 0) -> None:
    await house.until(lambda: state(house, name, index) is expected)


def flag(name: str) -> dict[str, object]:
    """Succeeds while a file of the instance's own is there."""
    return {
        **PATIENT,
        "command": [
            "sh",
            "-c",
            f"test -e $DIR/{name}-${{CBOX_INIT_INSTANCE_INDEX}} || {{ echo gone; exit 1; }}",
        ],
    }


def touch(house: House, name: str, index: int = 0) -> None:
    (house.log_file.parent / f"{name}-{index}").touch()


def remove(house: House, name: str, index: int = 0) -> None:
    (house.log_file.parent / f"{name}-{index}").unlink()


async def test_liveness_ends_the_unhealthy_instance_alone_and_counts_why(build: Build) -> None:
    house = build(one({**flag("well"), "initial_delay": "100ms"}, scale=2), start=False)
    touch(house, "well", 0)
    touch(house, "well", 1)
    house.supervisor.start("web")
    await until(house, HealthState.HEALTHY, index=0)
    await until(house, HealthState.HEALTHY, index=1)
    first, other = house.pids("web")
    remove(house, "well", 0)
    await house.until_restarted("web", 1)
    touch(house, "well", 0)
    await until(house, HealthState.HEALTHY, index=0)
    assert house.pids("web")[0] != first
    assert house.pids("web")[1] == other
    assert house.instance("web").restart_causes.get(Cause.HEALTH_CHECK, 0) >= 1
    assert "Process marked as unhealthy" in house.messages()
    assert "Process instance exited with error" not in house.messages()


async def test_an_unhealthy_instance_gets_its_grace(build: Build) -> None:
    script = "trap 'echo bye; exit 0' TERM; (echo ready; exec sleep 1000) & wait"
    check = {"port": free_port(), "initial_delay": "200ms"}
    house = build(one(check, command=["sh", "-c", script], restart_delay="1000s"))
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.lines("web") == ["ready", "bye"]
    instance = house.instance("web")
    assert instance.health is None
    assert instance.reason and instance.reason.startswith("unhealthy after ")
    assert instance.reason.endswith("Connection refused")


async def test_the_end_of_an_unhealthy_instance_has_its_hooks(build: Build) -> None:
    def hook(word: str) -> dict[str, object]:
        return {"command": ["sh", "-c", f"echo {word} >> $DIR/order"]}

    script = "trap 'echo told >> $DIR/order; exit 0' TERM; (echo ready; exec sleep 1000) & wait"
    shutdown = {"pre_stop_hook": hook("before"), "post_stop_hook": hook("after")}
    check = {"port": free_port(), "initial_delay": "200ms"}
    house = build(
        one(check, command=["sh", "-c", script], restart_delay="1000s", shutdown=shutdown),
    )
    await house.until(lambda: house.instance("web").next_restart_at)
    assert (house.log_file.parent / "order").read_text().split() == ["before", "told", "after"]


async def test_a_failing_readiness_check_never_ends_anything(build: Build) -> None:
    house = build(one({**flag("well"), "mode": "readiness"}), start=False)
    touch(house, "well")
    house.supervisor.start("web")
    await until(house, HealthState.HEALTHY)
    (pid,) = house.pids("web")
    remove(house, "well")
    await house.until(lambda: (h := house.instance("web").health) and h.failures > 8)
    assert house.pids("web") == [pid]
    assert "sh: exit code 1: gone" in str(house.status("web").reason)
    touch(house, "well")
    await until(house, HealthState.HEALTHY)
    assert (house.pids("web"), house.instance("web").restart_count) == ([pid], 0)


async def test_liveness_gives_up_with_the_budget(build: Build) -> None:
    stops_well = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    check = {"port": free_port(), "failure_threshold": 1, "initial_delay": "200ms"}
    house = build(one(check, command=stops_well, max_restarts=1))
    assert await house.ended() == 1, "no clean end, whatever its exit code"
    assert house.instance("web").exit_code == 0
    assert str(house.instance("web").reason).startswith("gave up after 1 restart: unhealthy after ")


async def test_strict_ends_what_does_not_get_healthy_in_time(build: Build) -> None:
    check = {"port": free_port(), "failure_threshold": 1000, "timeout": "50ms", "start_period": None}
    text = json.loads(one(check, restart_delay="1000s"))
    text["global"] = {"process_start_timeout": "200ms", "health_check_strict": True}
    house = build(json.dumps(text))
    await house.until(lambda: house.instance("web").next_restart_at)
    assert "not healthy 0.2 s after its first check" in str(house.instance("web").reason)


# -- dependencies and restarts -----------------------------------------------------------------------------


async def test_dependents_wait_until_every_instance_is_ready(build: Build) -> None:
    config = json.loads(one({**flag("up"), "mode": "readiness"}, scale=2))
    config["processes"]["app"] = {"command": SLEEP, "depends_on": ["web"]}
    house = build(json.dumps(config))
    touch(house, "up", 0)
    await until(house, HealthState.HEALTHY, index=0)
    assert house.status("app").waiting_for == ("web",)
    assert "All processes started successfully" not in house.messages()
    touch(house, "up", 1)
    await house.until_state("app", State.RUNNING)
    await house.until(lambda: "All processes started successfully" in house.messages())
    (app,) = house.pids("app")
    remove(house, "up", 1)
    await until(house, HealthState.UNHEALTHY, index=1)
    assert house.pids("app") == [app], "a dependency that goes down later stops nobody"


async def test_a_liveness_check_does_not_hold_up_dependents(build: Build) -> None:
    config = json.loads(one({**flag("up"), "mode": "liveness", "initial_delay": "1000s"}))
    config["processes"]["app"] = {"command": SLEEP, "depends_on": ["web"]}
    house = build(json.dumps(config))
    await house.until_state("app", State.RUNNING)


async def test_a_restart_waits_for_each_new_instance_to_be_ready(build: Build) -> None:
    house = build(one({**flag("up"), "mode": "readiness", "initial_delay": "50ms"}, scale=2), start=False)
    touch(house, "up", 0)
    touch(house, "up", 1)
    house.supervisor.start("web")
    await until(house, HealthState.HEALTHY, index=0)
    await until(house, HealthState.HEALTHY, index=1)
    first, second = house.pids("web")
    remove(house, "up", 0)
    await until(house, HealthState.UNHEALTHY, index=0)
    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 2 and first not in house.pids("web"))
    await house.until(lambda: (h := house.instance("web").health) and h.failures > 3)
    assert house.pids("web")[1] == second, "the next waits"
    touch(house, "up", 0)
    await house.until(lambda: len(house.pids("web")) == 2 and second not in house.pids("web"))
    assert state(house, index=0) is HealthState.HEALTHY


async def test_a_restart_stops_at_an_instance_that_does_not_get_ready(build: Build) -> None:
    config = json.loads(
        one({**flag("up"), "mode": "readiness", "timeout": "2s", "start_period": None}, scale=3)
    )
    config["global"] = {"process_start_timeout": "300ms"}
    house = build(json.dumps(config), start=False)
    for index in range(3):
        touch(house, "up", index)
    house.supervisor.start("web")
    for index in range(3):
        await until(house, HealthState.HEALTHY, index=index)
    before = house.pids("web")
    remove(house, "up", 0)
    await until(house, HealthState.UNHEALTHY, index=0)
    house.supervisor.restart("web")
    await house.supervisor.settled("web")
    assert house.pids("web")[1:] == before[1:]
    health = house.instance("web").health
    assert health and health.overdue
    await house.until(lambda: "gone" in str(house.status("web").reason))
    touch(house, "up", 0)  # it gets ready after all: the restart goes on
    await house.until(lambda: len(house.pids("web")) == 3 and not set(before) & set(house.pids("web")))


async def test_one_that_is_never_healthy_is_ended_with_the_reason_in_the_log(build: Build) -> None:
    house = build(one({**flag("up"), "timeout": "300ms", "start_period": "300ms"}))
    await house.until(lambda: "Process instance stopped" in house.messages())
    messages = house.messages()
    assert "Process marked as unhealthy" in messages[: messages.index("Process instance stopped")]


# -- each instance with its own variables ------------------------------------------------------------------


async def test_each_instance_is_asked_on_its_own_port(build: Build) -> None:
    asked: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        asked.append(request.split()[1].decode())
        writer.write(OK)

    port = free_ports(2)
    async with serving(talk, port):
        check = {"url": "http://127.0.0.1:${PORT}/${CBOX_INIT_INSTANCE_ID}", "expected_body": "hello"}
        house = build(one({**check, "mode": "readiness"}, scale=2, port_base=port))
        await until(house, HealthState.HEALTHY, index=0)
        await house.until(lambda: (h := house.instance("web", 1).health) and h.last and h.last.reason)
        assert set(asked) == {"/web-0"}
        last = house.instance("web", 0).health
        assert last and last.last and last.last.latency_s > 0


async def test_an_address_that_cannot_be_used_is_a_failure_with_the_reason(build: Build) -> None:
    house = build(one({"address": "localhost:${PORT}", "mode": "readiness"}))
    await until(house, HealthState.UNHEALTHY)
    assert "'' is no port" in str(house.status("web").reason)


# -- commands ----------------------------------------------------------------------------------------------


async def test_a_command_gets_the_environment_of_its_instance(build: Build) -> None:
    script = 'test "$CBOX_INIT_INSTANCE_ID/$PORT/$1/$GREETING" = web-0/8100/8100/hi'
    check = {**PATIENT, "command": ["sh", "-c", script, "sh", "${PORT}"]}
    house = build(one(check, port_base=8100, env={"GREETING": "hi"}))
    await until(house, HealthState.HEALTHY)


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(build: Build) -> None:
    script = "sleep 1001 & setsid sleep 1002 & echo $! > $DIR/stray; echo $$ > $DIR/main; echo hanging; wait"
    check = {"command": ["sh", "-c", script], "mode": "readiness", "timeout": "2s", "period": "1000s"}
    check["start_interval"] = "1000s"  # the next check would find that this one has not ended yet
    house = build(one(check))
    await house.until(lambda: (h := house.instance("web").health) and h.failures)
    health = house.instance("web").health
    assert health and health.last and health.last.reason == "sh: no answer within 2 s"
    pids = [int((house.log_file.parent / name).read_text()) for name in ("main", "stray")]
    await house.until(lambda: not any(alive(pid) for pid in pids))
    await house.until(lambda: not _of_group(pids[0]))
    assert house.state("web") is State.RUNNING


async def test_what_a_command_leaves_in_its_group_is_ended_with_it(build: Build) -> None:
    check = {**PATIENT, "command": ["sh", "-c", "sleep 1003 & echo $$ > $DIR/main"], "period": "1000s"}
    house = build(one(check))
    await until(house, HealthState.HEALTHY)
    group = int((house.log_file.parent / "main").read_text())
    await house.until(lambda: not _of_group(group))
    assert house.state("web") is State.RUNNING


async def test_a_command_that_cannot_be_started(build: Build) -> None:
    house = build(one({"command": ["no-such-program"], "mode": "readiness"}))
    await until(house, HealthState.UNHEALTHY)
    assert "not found" in str(house.status("web").reason)


async def test_a_command_that_talks_much(build: Build) -> None:
    script = "yes | head -c 3000000; echo the end; exit 2"
    house = build(one({"command": ["sh", "-c", script], "mode": "readiness", "timeout": "3s"}))
    await until(house, HealthState.UNHEALTHY)
    assert str(house.status("web").reason).endswith("sh: exit code 2: the end")


def _of_group(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    return True


# -- while it starts ---------------------------------------------------------------------------------------


async def test_failures_do_not_end_an_instance_before_its_time_to_start_is_over(build: Build) -> None:
    check = {**flag("well"), "start_period": "1000s", "start_interval": "20ms", "period": "1000s"}
    house = build(one({**check, "failure_threshold": 1}))
    await house.until(lambda: (h := house.instance("web").health) and h.failures > 5)
    (pid,) = house.pids("web")
    assert state(house) is HealthState.STARTING, "checked often, and not ended"
    touch(house, "well")
    await until(house, HealthState.HEALTHY)
    assert house.pids("web") == [pid]


async def test_one_that_was_healthy_is_ended_by_its_threshold(build: Build) -> None:
    check = {**flag("well"), "start_period": "1000s", "start_interval": "20ms", "failure_threshold": 2}
    house = build(one(check, restart_delay="1000s"), start=False)
    touch(house, "well")
    house.supervisor.start("web")
    await until(house, HealthState.HEALTHY)
    remove(house, "well")
    await house.until(lambda: house.instance("web").next_restart_at)
    assert "unhealthy after 2 failed checks in a row" in str(house.instance("web").reason)


async def test_a_status_of_several(build: Build) -> None:
    async with serving(answering(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")) as port:
        check = {"url": f"http://127.0.0.1:{port}/", "expected_status": [204, "300-303"]}
        house = build(one(check))
        await until(house, HealthState.HEALTHY)


async def test_a_status_outside_of_the_ranges(build: Build) -> None:
    async with serving(answering(b"HTTP/1.1 500 No\r\n\r\n")) as port:
        check = {"url": f"http://127.0.0.1:{port}/", "expected_status": "2xx", "mode": "readiness"}
        house = build(one(check))
        await until(house, HealthState.UNHEALTHY)
        assert "status 500, expected 200-299" in str(house.status("web").reason)


# -- when --------------------------------------------------------------------------------------------------


async def test_a_check_never_overlaps_itself(build: Build) -> None:
    script = "mkdir $DIR/lock || echo twice >> $DIR/overlap; sleep 0.12; rmdir $DIR/lock; echo >> $DIR/done"
    house = build(
        one({"command": ["sh", "-c", script], "mode": "readiness", "period": "20ms", "timeout": "5s"})
    )
    done = house.log_file.parent / "done"
    await house.until(lambda: done.exists() and len(done.read_text()) >= 4)
    assert not (house.log_file.parent / "overlap").exists()


async def test_a_server_that_says_nothing_fails_by_the_timeout_and_disturbs_nobody(build: Build) -> None:
    async with serving(silent) as quiet, serving(answering(OK)) as well:
        config = {
            "processes": {
                name: {
                    "command": SLEEP,
                    "health_check": {**QUICK, "mode": "readiness", "url": url, **more},
                }
                for name, url, more in (
                    ("web", f"http://127.0.0.1:{quiet}/", {}),
                    ("other", f"http://127.0.0.1:{well}/?key=secret", PATIENT),
                )
            }
        }
        house = build(json.dumps(config))
        await until(house, HealthState.UNHEALTHY)
        assert "no answer within 0.3 s" in str(house.status("web").reason)
        await until(house, HealthState.HEALTHY, "other")


@pytest.mark.parametrize("end", ["stop", "scale", "crash", "shutdown"])
async def test_checks_stop_with_the_instance(build: Build, end: str) -> None:
    check = {
        "command": ["sh", "-c", "echo $$ > $DIR/check; sleep 1004"],
        "timeout": "100s",
        "mode": "readiness",
    }
    house = build(one(check, restart="never"))
    file = house.log_file.parent / "check"
    await house.until(lambda: file.exists() and file.read_text().strip())
    checker = int(file.read_text())
    assert alive(checker)
    match end:
        case "stop":
            house.supervisor.stop("web")
        case "scale":
            house.supervisor.scale("web", 0)
        case "crash":
            os.kill(house.pids("web")[0], signal.SIGKILL)
        case "shutdown":
            house.supervisor.shutdown("test")
    await house.until(lambda: not alive(checker))


async def test_at_shutdown_nothing_is_checked_any_more(build: Build) -> None:
    """Also what has to wait until its dependents have ended."""
    config = json.loads(one({"command": ["sh", "-c", "echo >> $DIR/checks"]}))
    script = "trap 'sleep 0.4; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    config["processes"]["app"] = {"command": ["sh", "-c", script], "depends_on": ["web"]}
    house = build(json.dumps(config))
    await house.until_said("app", "ready")
    house.supervisor.shutdown("test")
    file = house.log_file.parent / "checks"
    await asyncio.sleep(0)
    before = file.stat().st_size
    assert await house.ended() == 0
    assert file.stat().st_size <= before + 1, "one may have been under way"


async def test_without_a_check_there_is_nothing(build: Build) -> None:
    house = build("processes: {web: {command: [sleep, '1000']}}")
    await house.until_state("web", State.RUNNING)
    assert house.instance("web").health is None
    assert len(asyncio.all_tasks()) == 1
