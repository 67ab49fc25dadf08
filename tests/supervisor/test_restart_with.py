"""``restart_with``: restarts that follow those of others, with real children."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.core import restart_with
from cbox_init.core.states import State
from tests.supervisor.house import WAITS
from tests.supervisor.test_reload import reload

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

SLEEP = ["sleep", "1000"]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_with, "_LASTED_S", 0.05)


def text(*, web: dict[str, Any] | None = None, **others: dict[str, Any]) -> str:
    processes: dict[str, dict[str, Any]] = {
        "db": {"command": SLEEP, "restart_delay": "1ms"},
        **others,
        "web": {"command": SLEEP, "restart_with": ["db"], **(web or {})},
    }
    return json.dumps({"processes": processes})


async def all_up(house: House, *names: str) -> None:
    for name in names or ("db", "web"):
        await house.until_state(name, State.RUNNING)
        await house.until(lambda name=name: house.supervisor.table[name].ready)  # type: ignore[misc]


def causes(house: House, name: str = "web") -> dict[str, int]:
    return {str(cause): count for cause, count in house.instance(name).restart_causes.items()}


async def until_followed(house: House, times: int = 1, name: str = "web") -> None:
    await house.until(lambda: causes(house, name).get("dependency") == times)
    await house.until_state(name, State.RUNNING)


async def never_followed(house: House) -> None:
    """It was not restarted by the time at which something later has been done."""
    count = house.instance("web").restart_count
    await house.until(lambda: not house.supervisor.table["web"].restart_pending)
    assert house.instance("web").restart_count == count == 0


async def test_a_crash_of_what_is_named(build: Build) -> None:
    house = build(text())
    await all_up(house)
    house.kill("db")
    await until_followed(house)
    assert causes(house) == {"dependency": 1}
    assert house.instance("web").started_at >= house.instance("db").started_at  # type: ignore[operator]
    (change,) = house.supervisor.changes.latest()
    assert (change.kind, change.process, change.why) == ("restart", "web", "db was restarted")
    assert change.actor.id == "restart_with"
    assert "Process is restarted with another" in house.messages()


async def test_a_restart_by_hand_and_each_instance(build: Build) -> None:
    house = build(text(web={"scale": 2}))
    await all_up(house)
    house.supervisor.restart("db")
    await until_followed(house)
    await house.until(lambda: house.instance("web", 1).restart_causes == {"dependency": 1})


async def test_a_start_after_a_stop(build: Build) -> None:
    house = build(text())
    await all_up(house)
    house.supervisor.stop("db")
    await house.until_state("db", State.STOPPED)
    await never_followed(house)
    house.supervisor.start("db")
    await until_followed(house)


async def test_scaling_restarts_nothing(build: Build) -> None:
    house = build(text())
    await all_up(house)
    house.supervisor.scale("db", 3)
    await house.until(lambda: len(house.pids("db")) == 3)
    house.supervisor.scale("db", 1)
    await house.until(lambda: len(house.status("db").instances) == 1)
    await never_followed(house)


async def test_not_before_it_is_ready(build: Build) -> None:
    db = {
        "command": ["sh", "-c", f"[ -e $DIR/again ] && {WAITS}; touch $DIR/again; echo up; exec sleep 1000"],
        "ready_when": {"log": "^up$"},
        "restart_delay": "1ms",
    }
    house = build(text(db=db))
    await all_up(house)
    house.kill("db")
    await house.until_restarted("db", 1)
    await house.until_state("db", State.RUNNING)
    assert house.supervisor.table["web"].restart_pending
    assert house.instance("web").restart_count == 0
    house.let_go()
    await until_followed(house)


async def test_one_that_is_stopped_stays_stopped(build: Build) -> None:
    house = build(text())
    await all_up(house)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    house.kill("db")
    await house.until_restarted("db", 1)
    house.supervisor.restart("db")
    await house.until_restarted("db", 2)
    assert house.state("web") is State.STOPPED


async def test_several_at_once_are_one_restart(build: Build) -> None:
    house = build(
        text(
            web={"restart_with": ["db", "cache"]},
            cache={"command": SLEEP, "restart_delay": "1ms"},
        )
    )
    await all_up(house, "db", "cache", "web")
    house.kill("db")
    house.kill("cache")
    await until_followed(house)
    await house.until(lambda: not house.supervisor.table["web"].restart_pending)
    assert causes(house) == {"dependency": 1}
    (change,) = house.supervisor.changes.latest()
    assert change.why == "db and cache were restarted"


async def test_a_chain_is_one_restart_of_each(build: Build) -> None:
    house = build(
        text(
            app={"command": SLEEP, "restart_with": ["db"]},
            web={"restart_with": ["db", "app"]},
        )
    )
    await all_up(house, "db", "app", "web")
    house.kill("db")
    await until_followed(house, name="app")
    await until_followed(house)
    await house.until(lambda: not house.supervisor.table["web"].restart_pending)
    assert (causes(house, "app"), causes(house)) == ({"dependency": 1}, {"dependency": 1})


async def test_a_crash_loop_is_followed_once(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_with, "_LASTED_S", 0.3)
    script = f"[ -e $DIR/broken ] && exit 3; {WAITS.replace('go', 'x')}"
    db = {
        "command": ["sh", "-c", script],
        "restart_delay": "1ms",
        "max_restart_delay": "1ms",
        "max_restarts": "unlimited",
        "restart_threshold": "off",
    }
    house = build(text(db=db, web={"max_restarts": 1}))
    await all_up(house)
    broken = house.file.parent / "broken"
    broken.touch()
    house.kill("db")
    await house.until_restarted("db", 10)
    assert house.instance("web").restart_count == 0
    broken.unlink()
    await until_followed(house)
    assert causes(house) == {"dependency": 1}


async def test_one_that_was_given_up_comes_back(build: Build) -> None:
    web = {"command": ["sh", "-c", f"[ -e $DIR/go ] || exit 1; {WAITS}; exec sleep 1000"], "restart": "never"}
    house = build(text(web=web))
    await house.until_state("web", State.FAILED)
    house.let_go()
    house.kill("db")
    await until_followed(house)


async def test_a_reload_adds_and_removes_the_key(build: Build) -> None:
    house = build(text(web={"restart_with": []}))
    await all_up(house)
    house.kill("db")
    await house.until_restarted("db", 1)
    await all_up(house)
    assert await reload(house, text()) == {"adjusted": ("web",), "kept": ("db",)}
    await never_followed(house)  # that crash was before
    house.kill("db")
    await until_followed(house)
    await reload(house, text(web={"restart_with": []}))
    house.kill("db")
    await house.until_restarted("db", 3)
    await all_up(house)
    assert causes(house) == {"dependency": 1}


async def test_a_oneshot_runs_again(build: Build) -> None:
    house = build(text(web={"type": "oneshot", "command": ["sh", "-c", "echo warm"]}))
    await house.until_state("web", State.COMPLETED)
    house.kill("db")
    await house.until_said("web", "warm", 2)


async def test_the_shutdown_restarts_nothing(build: Build) -> None:
    house = build(text())
    await all_up(house)
    house.kill("db")
    house.supervisor.shutdown("test")
    await house.ended()
    assert house.instance("web").restart_count == 0


async def test_a_refused_restart_is_tried_again(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(text())
    await all_up(house)
    house.supervisor.changing = True
    house.kill("db")
    await house.until(lambda: "Process is restarted with another" in house.messages())
    assert house.instance("web").restart_count == 0
    house.supervisor.changing = False
    await until_followed(house)


async def test_an_error_costs_the_restart_alone(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(text())
    house.expects_defects = True
    await all_up(house)

    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("cbox_init.supervisor.supervisor.Supervisor.companion", fail)
    house.kill("db")
    await house.until_restarted("db", 1)
    house.kill("web")
    await house.until_restarted("web", 1)
    await house.until_state("web", State.RUNNING)
    assert house.runtime.defects.count
    house.kill("db")
    await house.until_restarted("db", 2)
    monkeypatch.undo()
    await until_followed(house)
