"""``ready_when: {log: PATTERN}``: ready by a line of output, with real children."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.core.health import HealthState
from cbox_init.core.states import State
from tests.supervisor.house import WAITS
from tests.supervisor.test_reload import reload

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

STAYS = "exec sleep 1000"


def text(script: str, ready_when: object = None, **keys: Any) -> str:
    web = {
        "command": ["sh", "-c", script],
        "restart_delay": "1ms",
        "ready_when": {"log": "listening on \\d+"} if ready_when is None else ready_when,
        **keys,
    }
    after = {"command": ["sleep", "1000"], "depends_on": ["web"]}
    return json.dumps({"processes": {"web": web, "after": after}})


def health(house: House) -> HealthState:
    found = house.instance("web").health
    assert found is not None
    return found.state


async def until_healthy(house: House) -> None:
    await house.until(lambda: health(house) is HealthState.HEALTHY)
    await house.until_state("after", State.RUNNING)


@pytest.mark.parametrize("where", ["", " >&2"])
async def test_a_line_makes_it_ready(build: Build, where: str) -> None:
    house = build(text(f"echo begin; {WAITS}; echo now listening on 80{where}; {STAYS}"))
    await house.until_said("web", "begin")
    assert health(house) is HealthState.STARTING
    assert house.status("web").reason == "waiting for log pattern 'listening on \\\\d+'"
    assert house.status("after").waiting_for == ("web",)
    house.let_go()
    await until_healthy(house)
    assert house.status("web").reason is None
    assert "Process marked as healthy" in house.messages()


async def test_each_run_has_to_say_it_again(build: Build) -> None:
    script = f"[ -e $DIR/again ] && {WAITS}; touch $DIR/again; echo listening on 80; {STAYS}"
    house = build(text(script))
    await until_healthy(house)
    pid = house.instance("web").pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await house.until_restarted("web", 1)
    await house.until_state("web", State.RUNNING)
    assert health(house) is HealthState.STARTING
    house.let_go()
    await until_healthy(house)


async def test_before_the_stages_drop_it(build: Build) -> None:
    logging = {"filters": {"exclude": ["listening"]}}
    house = build(text(f"echo listening on 80; {STAYS}", logging=logging))
    await until_healthy(house)
    assert house.lines("web") == []


async def test_the_last_part_of_a_long_line(build: Build) -> None:
    house = build(text(f"head -c 200000 /dev/zero | tr '\\0' x; echo ' listening on 80'; {STAYS}"))
    await until_healthy(house)


async def test_bytes_that_are_no_text(build: Build) -> None:
    house = build(text(f"printf '\\377\\376 listening on 80\\n'; {STAYS}"))
    await until_healthy(house)


async def test_a_check_has_to_agree(build: Build) -> None:
    check = {
        "command": ["sh", "-c", "test -e $DIR/go"],
        "period": "100ms",
        "initial_delay": 0,
        "start_interval": "10ms",
        "mode": "readiness",
    }
    house = build(text(f"echo listening on 80; {STAYS}", health_check=check))
    await house.until_said("web", "listening on 80")
    assert health(house) is HealthState.STARTING
    house.let_go()
    await until_healthy(house)


async def test_one_that_says_it_too_late(build: Build) -> None:
    house = build(text(f"{WAITS}; echo listening on 80; {STAYS}", {"log": "listening", "timeout": "100ms"}))
    await house.until(lambda: "Process instance is not healthy in time" in house.messages())
    assert house.status("web").reason == "no line matched log pattern 'listening' within 0.1 s"
    assert house.status("after").waiting_for == ("web",)
    house.let_go()
    await until_healthy(house)


async def test_a_rollout_waits_for_the_line(build: Build) -> None:
    script = f"[ -e $DIR/again ] && {WAITS}; touch $DIR/again; echo listening on 80; {STAYS}"
    house = build(text(script))
    await until_healthy(house)
    change = house.supervisor.restart("web")
    await house.until_restarted("web", 1)
    assert not change.over
    house.let_go()
    await house.until(lambda: change.over)


async def test_a_pattern_that_takes_too_long_makes_nothing_ready(build: Build) -> None:
    """And nothing hangs."""
    script = f"head -c 60000 /dev/zero | tr '\\0' a; echo; {WAITS}; echo aXb; {STAYS}"
    house = build(text(script, {"log": "a*a*a*a*Xb"}))
    await house.until(lambda: house.lines("web"))
    assert health(house) is HealthState.STARTING
    house.let_go()
    await house.until_said("web", "aXb")


async def test_a_reload_with_another_pattern_makes_new_instances(build: Build) -> None:
    script = f"echo listening on 80; {STAYS}"
    house = build(text(script))
    await until_healthy(house)
    assert (await reload(house, text(script, {"log": "listening"})))["changed"] == ("web",)
    await house.until_restarted("web", 1)
    await until_healthy(house)
    before = house.instance("web").pid
    assert (await reload(house, text(script, {})))["changed"] == ("web",)
    await house.until(lambda: house.instance("web").pid not in (None, before))
    assert house.instance("web").health is None


async def test_an_error_in_the_search_is_contained(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("cbox_init.logs.stages.finder.Finder.lines", fail)
    house = build(text(f"echo listening on 80; {STAYS}"))
    await house.until_said("web", "listening on 80")
    await house.until(lambda: "Records could not be logged" in house.messages())
    assert health(house) is HealthState.STARTING
