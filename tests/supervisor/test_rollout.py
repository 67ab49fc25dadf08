"""Rollouts with real children: surge, what holds them up, the way back, commands in between."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cbox_init.core.rollout import RolloutState
from cbox_init.core.states import State

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

#: Ready when a file with its name is there.
CHECK = {
    "command": ["sh", "-c", "test -e $DIR/ready-$CBOX_INIT_INSTANCE_ID || test -e $DIR/ready-all"],
    "mode": "readiness",
    "initial_delay": "1ms",
    "period": "30ms",
}


def web(**keys: object) -> dict[str, object]:
    return {
        "command": ["sleep", "1000"],
        "scale": 2,
        "port_base": 21000,
        "health_check": CHECK,
        "restart_delay": "1ms",
        "max_restarts": 1,
        **keys,
    }


def text(**keys: object) -> str:
    return json.dumps({"processes": {"web": web(**keys)}})


async def ready(house: House, *indexes: int) -> None:
    def holds() -> bool:
        at = {i.index: i for i in house.status("web").instances if i.health and i.health.ready}
        return all(index in at for index in indexes)

    await house.until(holds)


def stage(house: House) -> RolloutState | None:
    rollout = house.status("web").rollout
    return None if rollout is None else rollout.state


def say_ready(house: House, *names: str) -> None:
    for name in names:
        _word(house, name).touch()


def say_unready(house: House, name: str) -> None:
    _word(house, name).unlink()


def _word(house: House, name: str) -> Path:
    return house.file.parent / f"ready-{name}"


def environ_of(house: House, index: int = 0) -> list[str]:
    return Path(f"/proc/{house.instance('web', index).pid}/environ").read_text().split("\0")


async def begun(build: Build, **keys: object) -> House:
    """Two instances that are ready, and from now on none gets ready by itself."""
    house = build(text(**keys))
    say_ready(house, "all")
    await ready(house, 0, 1)
    say_ready(house, "web-0", "web-1")
    say_unready(house, "all")
    return house


async def test_an_old_one_goes_when_the_new_one_is_ready(build: Build) -> None:
    house = await begun(build)
    old = house.pids("web")
    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 3)
    assert house.pids("web")[:2] == old
    assert house.instance("web", 2).id == "web-2"
    assert "PORT=21002" in environ_of(house, 2)

    fewest = 9
    say_ready(house, "web-2")

    def over() -> bool:
        nonlocal fewest
        instances = house.status("web").instances
        fewest = min(fewest, sum(1 for one in instances if one.health and one.health.ready))
        return stage(house) is None and [one.index for one in instances] == [0, 1]

    await house.until(over)
    assert fewest == 2
    assert not set(old) & set(house.pids("web"))
    assert "Rollout complete" in house.messages()


async def test_a_new_one_that_never_gets_ready_leaves_the_old_ones_serving(build: Build) -> None:
    house = await begun(build, rollout={"ready_timeout": "1s"})
    old = house.pids("web")
    house.supervisor.restart("web")
    await house.supervisor.settled("web")
    await house.until(lambda: stage(house) is RolloutState.FAILED)
    assert house.pids("web")[:2] == old
    rollout = house.status("web").rollout
    assert rollout
    assert rollout.reason == "not ready within 1 s: sh: exit code 1"
    assert (rollout.failed, rollout.updated, rollout.total) == (2, 0, 2)
    assert "Rollout stopped, the remaining old instances keep running" in house.messages()
    # It gets ready after all.
    say_ready(house, "web-2")
    await house.until(lambda: stage(house) is None)
    assert not set(old) & set(house.pids("web"))


async def test_a_new_one_that_cannot_be_started_leaves_the_old_ones(build: Build) -> None:
    house = await begun(build)
    old = house.pids("web")
    house.file.write_text(text(command=["no-such-program"]))
    await house.parts.configuration.reload()
    await house.until(lambda: stage(house) is RolloutState.FAILED)
    assert house.pids("web") == old
    rollout = house.status("web").rollout
    assert rollout
    assert "not found" in (rollout.reason or "")


async def test_a_configuration_that_fails_is_taken_back(build: Build) -> None:
    back = {"ready_timeout": "150ms", "on_failure": "rollback"}
    house = await begun(build, rollout=back)
    old = house.pids("web")
    house.file.write_text(text(rollout=back, env={"VERSION": "2"}, port_base=0))
    await house.parts.configuration.reload()
    # Without port_base there is no surge: one of the old ones has to go first.
    say_unready(house, "web-0")
    await house.until(lambda: stage(house) is RolloutState.ROLLED_BACK)
    say_ready(house, "web-0")
    await house.until(lambda: len(house.pids("web")) == 2)
    await ready(house, 0, 1)
    assert house.pids("web")[1] == old[1], "an old one that goes on"
    assert "PORT=21000" in environ_of(house)
    assert "VERSION=2" not in environ_of(house)
    assert "Rollout rolled back" in house.messages()
    assert house.supervisor.config.processes["web"].port_base == 21000
    preview = await house.parts.configuration.preview()
    assert preview.plan.changed == ("web",), "the file still has it"


async def test_commands_during_a_rollout(build: Build) -> None:
    house = await begun(build)
    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 3)
    house.supervisor.restart("web")  # merges: what stands in is old now, too
    house.supervisor.scale("web", 3)  # web-2 is one of those that are wanted now
    say_ready(house, "web-2", "web-3")
    await house.until(
        lambda: (
            [one.restart_count for one in house.status("web").instances][:2] == [1, 1]
            and stage(house) is None
        )
    )
    assert [one.index for one in house.status("web").instances] == [0, 1, 2]

    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 4)
    house.supervisor.stop("web")
    await house.until(lambda: not house.pids("web") and stage(house) is None)
    assert [one.index for one in house.status("web").instances] == [0, 1, 2]
    house.supervisor.start("web")
    await ready(house, 0, 1, 2)
    assert len(house.pids("web")) == 3


async def test_a_shutdown_during_a_rollout(build: Build) -> None:
    house = await begun(build)
    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 3)
    house.supervisor.shutdown("test")
    assert await house.ended() == 0


async def test_a_reload_during_a_rollout_merges_with_it(build: Build) -> None:
    house = await begun(build)
    house.supervisor.restart("web")
    await house.until(lambda: len(house.pids("web")) == 3)
    house.file.write_text(text(env={"VERSION": "2"}))
    await asyncio.gather(*(house.parts.configuration.reload() for _ in range(2)))
    say_ready(house, "all")
    await house.until(lambda: stage(house) is None and len(house.pids("web")) == 2)
    assert all("VERSION=2" in environ_of(house, index) for index in (0, 1))


async def test_recreate_and_parallel(build: Build) -> None:
    house = await begun(build, rollout={"strategy": "recreate"})
    say_ready(house, "all")
    old = house.pids("web")
    house.supervisor.restart("web")
    await house.until(lambda: stage(house) is None and not set(old) & set(house.pids("web")))
    turns = [m for m in house.messages() if m in ("Process instance started", "Process instance stopped")]
    assert turns[-4:] == ["Process instance stopped"] * 2 + ["Process instance started"] * 2
    assert house.state("web") is State.RUNNING


async def test_two_hundred_that_crash_in_a_rollout_disturb_nobody(build: Build) -> None:
    house = build(
        json.dumps(
            {
                "global": {"max_process_scale": 200},
                "processes": {
                    "web": {
                        "command": ["sleep", "1000"],
                        "scale": 200,
                        "restart_delay": "1ms",
                        "max_restarts": 0,
                        "rollout": {"max_unavailable": 20},
                    },
                    "other": {"command": ["sleep", "1000"]},
                },
            }
        )
    )
    await house.until(lambda: len(house.pids("web")) == 200)
    other, old = house.pids("other"), set(house.pids("web"))
    house.supervisor.restart("web")
    for pid in old:
        os.kill(pid, 9)
    await house.until(
        lambda: stage(house) is None and len(house.pids("web")) == 200 and not old & set(house.pids("web"))
    )
    assert house.pids("other") == other
