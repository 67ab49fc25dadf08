"""Sandboxes of instances, their checks and their hooks, with real children under a supervisor."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.health import HealthState
from cbox_init.core.states import State
from tests.supervisor.house import OBEDIENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.supervisor.house import Build, House

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

TELL = "echo $(grep -E '^(CapEff|NoNewPrivs)' /proc/self/status)"
NOTHING = {"no_new_privileges": True, "capabilities": {"drop": ["ALL"]}}
TOLD = "CapEff: 0000000000000000 NoNewPrivs: 1"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may be run from a folder below /tmp, which a private /tmp hides."""
    monkeypatch.chdir("/")


def web(script: str, sandbox: Mapping[str, object], **keys: object) -> str:
    process = {"command": ["sh", "-c", script], "restart_delay": 0.05, **sandbox, **keys}
    return json.dumps({"processes": {"web": process}})


def check(command: list[str], **keys: object) -> dict[str, object]:
    return {"command": command, "initial_delay": 0, "period": 0.05, "timeout": 10, **keys}


def healthy(house: House, index: int) -> bool:
    found = house.instance("web", index).health
    return found is not None and found.state is HealthState.HEALTHY


@as_root
async def test_instances_and_what_they_start_have_it(build: Build) -> None:
    house = build(web(f"{TELL}; {{ {TELL}; }} & wait; exec sleep 1000", NOTHING, scale=2))
    await house.until_said("web", TOLD, times=4)


@as_root
async def test_a_run_of_a_schedule_has_it(build: Build) -> None:
    house = build(web(TELL, NOTHING, schedule="0 3 * * *"))
    house.supervisor.trigger("web")
    await house.until_said("web", TOLD)


@as_root
async def test_checks_and_stop_hooks_have_it_too(build: Build) -> None:
    report = f"{TELL} > $DIR/check; exit 0"
    hook = {"command": ["sh", "-c", TELL]}
    house = build(
        web(
            OBEDIENT,
            NOTHING,
            health_check=check(["sh", "-c", report]),
            shutdown={"pre_stop_hook": hook, "post_stop_hook": hook},
        )
    )
    result = house.file.parent / "check"
    await house.until(lambda: result.exists() and result.read_text() == f"{TOLD}\n")
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web").count(TOLD) == 2


@pytest.mark.mounts
async def test_checks_and_pre_stop_hooks_see_the_tmp_of_their_instance(build: Build) -> None:
    script = f"touch /tmp/mine-$CBOX_INIT_INSTANCE_INDEX; {OBEDIENT}"
    hook = {"command": ["sh", "-c", "echo hook: $(ls /tmp)"]}
    house = build(
        web(
            script,
            {"private_tmp": True, "capabilities": {"drop": ["ALL"]}},
            scale=2,
            health_check=check(["sh", "-c", "test -e /tmp/mine-$CBOX_INIT_INSTANCE_INDEX"]),
            shutdown={"pre_stop_hook": hook, "post_stop_hook": hook},
        )
    )
    await house.until(lambda: healthy(house, 0) and healthy(house, 1))
    await house.until_said("web", "ready", times=2)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert sorted(line for line in house.lines("web") if line.startswith("hook")) == [
        "hook:",
        "hook:",
        "hook: mine-0",
        "hook: mine-1",
    ]


@pytest.mark.mounts
async def test_an_instance_cannot_write_to_read_only_paths(build: Build, tmp_path: Path) -> None:
    script = "(echo x > $DIR/x) 2>&1 | grep -o Read-only; exec sleep 1000"
    house = build(web(script, {"read_only_paths": [str(tmp_path)], "capabilities": {"drop": ["ALL"]}}))
    await house.until_said("web", "Read-only")


async def test_what_is_refused_fails_the_start_with_its_key(build: Build) -> None:
    """A path that does not exist as root; that there are no mounts otherwise."""
    house = build(web("echo on; exec sleep 1000", {"read_only_paths": ["/no/such"]}, max_restarts=1))
    assert await house.ended() == 1
    reason = house.instance("web").reason
    assert reason and reason.startswith("gave up after 1 restart: processes.web.read_only_paths")
    assert house.messages().count("Process instance could not be started") == 2
    assert house.lines("web") == []


@as_root
async def test_another_sandbox_by_reload_is_that_of_new_instances(build: Build) -> None:
    script = f"{TELL}; exec sleep 1000"
    house = build(web(script, {}))
    await house.until(lambda: house.lines("web"))
    house.file.write_text(web(script, NOTHING))
    assert (await house.parts.configuration.reload()).plan.changed == ("web",)
    await house.until_said("web", TOLD)
