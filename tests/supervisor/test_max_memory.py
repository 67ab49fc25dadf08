"""max_memory_mb, with real children that take memory in a process further down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.restart import Cause
from cbox_init.core.states import State

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

#: A pipeline whose ``tail`` keeps 60 MB: a grandchild of the shell.
FAT = "(head -c 60000000 /dev/zero; exec sleep 1000) | tail"
THIN = "exec sleep 1000"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come sooner than anybody would configure."""
    monkeypatch.setattr("cbox_init.core.memory.PERIOD_S", 0.2)
    monkeypatch.setattr("cbox_init.core.memory.SLOT_S", 0.04)


def web(script: str, **keys: object) -> str:
    keys = {"max_memory_mb": 40, "restart_delay": 0.05, **keys}
    return json.dumps({"processes": {"web": {"command": ["sh", "-c", script], **keys}}})


def excess(house: House, index: int = 0) -> str:
    return house.instance("web", index).reason or ""


async def test_the_instance_that_is_above_is_restarted_and_no_other(build: Build) -> None:
    go = "while ! [ -e $DIR/go ]; do sleep 0.02; done"
    fat_once = f"case $CBOX_INIT_INSTANCE_ID in web-7) {go}; if mkdir $DIR/fat; then {FAT}; fi; esac; {THIN}"
    house = build(web(fat_once, scale=20))
    await house.until(lambda: len(house.pids("web")) == 20)
    before = house.pids("web")
    (house.file.parent / "go").touch()
    await house.until(lambda: house.instance("web", 7).restart_count == 1)
    await house.until(lambda: len(house.pids("web")) == 20)
    assert [a == b for a, b in zip(before, house.pids("web"), strict=True)] == [n != 7 for n in range(20)]
    assert house.instance("web", 7).restart_causes == {Cause.MEMORY_LIMIT: 1}
    record = next(
        record
        for record in map(json.loads, house.log_text().splitlines())
        if record["msg"] == "Process instance uses too much memory and is stopped"
    )
    assert record["instance_id"] == "web-7"
    assert record["error"].startswith("its memory of ") and record["error"].endswith("max_memory_mb: 40")
    assert "Process instance exited with error" not in house.messages()


async def test_it_has_its_grace_and_waits_with_the_reason(build: Build) -> None:
    script = f"trap 'echo bye; exit 0' TERM; ({FAT}) & wait"
    house = build(web(script, restart_delay=1000))
    await house.until(lambda: house.instance("web").next_restart_at)
    assert house.lines("web") == ["bye"]
    assert excess(house).startswith("its memory of ")
    assert excess(house).endswith("MB is above max_memory_mb: 40")


async def test_what_has_left_the_group_and_its_parent_counts_too(build: Build) -> None:
    """Twice forked and in a session of its own: it is nobody's child but the daemon's."""
    house = build(web(f"setsid sh -c '({FAT}) &'; {THIN}", restart="never"))
    assert await house.ended() == 143
    assert excess(house).endswith("max_memory_mb: 40; restart is never")


async def test_it_is_given_up_when_the_budget_is_used_up(build: Build) -> None:
    house = build(web(FAT, max_restarts=1))
    assert await house.ended() == 143
    assert excess(house).startswith("gave up after 1 restart: its memory of ")
    assert house.instance("web").restart_causes == {Cause.MEMORY_LIMIT: 1}


async def reload(house: House, text: str) -> None:
    house.file.write_text(text)
    plan = (await house.parts.configuration.reload()).plan
    assert plan.adjusted == ("web",)


async def measured(house: House) -> int:
    """The memory of web-0, once its pipeline has grown."""
    instance = house.instance("web")
    assert instance.pid
    pid = instance.pid
    await house.until(lambda: house.runtime.usage()(instance.id, pid).rss_bytes > 50 * 2**20)
    return pid


@pytest.mark.parametrize("before", [0, 1000])
async def test_a_limit_that_comes_by_reload_counts_at_once(
    build: Build, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr("cbox_init.core.memory.PERIOD_S", 10_000.0)
    house = build(web(FAT, max_memory_mb=before))
    await house.until_state("web", State.RUNNING)
    pid = await measured(house)
    assert house.pids("web") == [pid]
    await reload(house, web(FAT, max_memory_mb=40))
    await house.until_restarted("web", 1)


async def test_a_limit_that_goes_by_reload_ends_nobody(build: Build) -> None:
    house = build(web(FAT, max_memory_mb=1000))
    await house.until_state("web", State.RUNNING)
    pid = await measured(house)
    await reload(house, web(FAT, max_memory_mb=0))
    assert house.runtime.run_queue.loop
    assert not [
        reconciler for reconciler in house.runtime.run_queue._times if "Memory" in type(reconciler).__name__
    ]
    assert house.pids("web") == [pid]


async def test_a_run_of_a_schedule_fails_with_the_reason(build: Build) -> None:
    house = build(web(FAT, schedule="0 3 * * *"))
    house.supervisor.trigger("web")
    schedule = house.supervisor.schedule("web")
    await house.until(lambda: schedule.history(1))
    (run,) = schedule.history(1)
    assert run.error and run.error.endswith("MB is above max_memory_mb: 40")


async def test_nobody_is_woken_where_nobody_asks(build: Build) -> None:
    house = build(web(THIN, max_memory_mb=0))
    await house.until_state("web", State.RUNNING)
    assert not house.runtime.run_queue._times


async def test_nobody_is_woken_when_nothing_runs(build: Build) -> None:
    house = build(web(THIN))
    await house.until_state("web", State.RUNNING)
    assert house.runtime.run_queue._times
    house.supervisor.stop("web")
    await house.until(lambda: house.state("web") is State.STOPPED and not house.runtime.run_queue._times)
