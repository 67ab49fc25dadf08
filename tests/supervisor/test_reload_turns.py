"""A reload of many processes is divided into turns of the event loop, and is still all or nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import pytest

from cbox_init.errors import Conflict, NotApplied
from cbox_init.supervisor.configuration.apply import Turns
from tests.supervisor.house import WAITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisor.house import Build, House

T = TypeVar("T")

COUNT = 30
NAMES = [f"p{number}" for number in range(COUNT)]


def text(delay: str, *names: str) -> str:
    lines = [f"  {name}: {{command: [sleep, '1000'], restart_delay: {delay}}}\n" for name in ("web", *names)]
    return "processes:\n" + "".join(lines)


@pytest.fixture(autouse=True)
def each_piece_is_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbox_init.supervisor.configuration.apply._SLICE_S", 0.0)
    monkeypatch.setattr("cbox_init.supervisor.configuration.apply._MANY", 0)
    monkeypatch.setattr("cbox_init.supervisor.lifecycle.startup.SLICE_S", 0.0)


def waiting(delay: str, *names: str) -> str:
    """The same with a pre-start hook that waits for `House.let_go`."""
    return f"hooks: {{pre-start: [{{name: wait, command: [sh, -c, '{WAITS}']}}]}}\n{text(delay, *names)}"


async def seen_during(house: House, new: str, look: Callable[[], T]) -> list[T]:
    """What ``look`` gives in each turn of a reload."""
    house.file.write_text(new)
    task = asyncio.create_task(house.parts.configuration.reload())
    seen = []
    while not task.done():
        seen.append(look())
        await asyncio.sleep(0)
    await task
    return seen


async def test_what_is_added_is_seen_all_at_once(build: Build) -> None:
    house = build(text("1s"))
    await house.until(lambda: house.pids("web"))
    supervisor = house.supervisor
    seen = await seen_during(
        house, text("1s", *NAMES), lambda: (len(supervisor.table), supervisor.changing, _started(house))
    )
    assert {size for size, _, _ in seen} <= {1, COUNT + 1}
    assert not any(started for size, changing, started in seen if changing or size == 1)
    assert seen.count((1, False, 0)) >= COUNT  # they are made in turns
    assert seen.count((COUNT + 1, True, 0)) >= COUNT - 1  # and started in turns, before any is reconciled
    await house.until(lambda: _started(house) == COUNT)


async def test_what_changes_is_not_seen_half_changed(build: Build) -> None:
    house = build(text("1s", *NAMES))
    await house.until(lambda: _started(house) == COUNT)
    supervisor = house.supervisor
    refused = []

    def look() -> None:
        changed = sum(supervisor.process_config(name).restart_delay == 2.0 for name in NAMES)
        if 0 < changed < COUNT:
            with pytest.raises(Conflict, match="the configuration is being changed; try again"):
                supervisor.stop("web")
            with pytest.raises(Conflict, match="the configuration is being changed; try again"):
                supervisor.scale("web", 2)
            refused.append(changed)

    await seen_during(house, text("2s", *NAMES), look)
    assert len(refused) >= COUNT - 2
    supervisor.stop("web")


async def test_a_failure_after_some_turns_changes_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(text("1s", "p0"))
    await house.until(lambda: house.pids("p0"))
    before, config = house.supervisor.table.snapshot(), house.supervisor.config
    make = house.supervisor.factory.make

    def fails(name: str, settings: object) -> object:
        if name == NAMES[-1]:
            raise OSError("no room")
        return make(name, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(house.supervisor.factory, "make", fails)
    rings: list[set[str]] = []
    with pytest.raises(NotApplied, match="nothing is changed: no room"):
        await seen_during(house, text("2s", *NAMES), lambda: rings.append(logs_of(house)))
    assert house.supervisor.table.snapshot() == before
    assert house.supervisor.config is config
    assert house.supervisor.process_config("p0").restart_delay == 1.0
    sizes = [len(one) for one in rings]
    most = sizes.index(max(sizes))
    assert set(sizes[most:]) == set(range(2, COUNT + 1))  # it is undone in turns, too
    assert logs_of(house) == {"web", "p0"}


def logs_of(house: House) -> set[str]:
    """The processes that have a log."""
    return {name for name in house.logs._processes if not name.startswith("hooks/")}


async def test_before_the_start_all_are_replaced_at_once(build: Build) -> None:
    house = build(waiting("1s"))
    supervisor = house.supervisor
    new = waiting("2s", *NAMES)
    seen = await seen_during(
        house, new, lambda: (len(supervisor.table), supervisor.process_config("web").restart_delay)
    )
    assert set(seen) <= {(1, 1.0), (COUNT + 1, 2.0)}
    assert seen.count((1, 1.0)) >= COUNT
    assert not supervisor.lifecycle.started
    house.let_go()
    await house.until(lambda: _started(house) == COUNT and house.pids("web"))


async def test_before_the_start_a_failure_changes_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(waiting("1s", "p0"))
    before = house.supervisor.table.snapshot()
    make = house.supervisor.factory.make

    def fails(name: str, settings: object) -> object:
        if name == NAMES[-1]:
            raise OSError("no room")
        return make(name, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(house.supervisor.factory, "make", fails)
    with pytest.raises(NotApplied, match="nothing is changed: no room"):
        await seen_during(house, waiting("2s", *NAMES), lambda: None)
    assert house.supervisor.table.snapshot() == before
    assert logs_of(house) == {"web", "p0"}
    house.let_go()
    await house.until(lambda: _started(house) == 1 and house.pids("web"))


async def test_the_start_may_begin_during_a_reload(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(waiting("1s"))
    calls = 0

    async def end_if_long(turns: Turns) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            house.let_go()
            await house.until(lambda: house.pids("web"))

    monkeypatch.setattr(Turns, "end_if_long", end_if_long)
    await seen_during(house, waiting("2s", *NAMES), lambda: None)
    assert calls > COUNT + 10  # it began again
    await house.until(lambda: _started(house) == COUNT)
    assert house.supervisor.process_config("web").restart_delay == 2.0


async def test_thousands_are_started_in_turns(build: Build) -> None:
    house = build(waiting("1s", *NAMES))
    house.let_go()
    asked = [0]
    while asked[-1] <= COUNT:
        asked.append(sum(one.desired.run for one in house.supervisor.each_managed()))
        if 0 < asked[-1] <= COUNT:
            assert not _started(house)  # those that are asked first do not delay the others
            with pytest.raises(Conflict, match="cannot stop"):
                house.supervisor.stop("web")
        await asyncio.sleep(0)
    assert set(asked) == set(range(COUNT + 2))
    await house.until(lambda: _started(house) == COUNT)
    house.supervisor.stop("web")


async def during_the_start(house: House) -> None:
    """Until some of the processes were asked to start."""
    loop = asyncio.get_running_loop()
    begun = loop.create_future()

    def look() -> None:
        if any(one.desired.run for one in house.supervisor.each_managed()):
            begun.set_result(None)
        else:
            loop.call_soon(look)

    look()
    await begun


async def test_a_shutdown_may_come_during_the_start(build: Build) -> None:
    house = build(waiting("1s", *NAMES))
    house.let_go()
    await during_the_start(house)
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not _started(house)
    assert "All processes started successfully" not in house.messages()


async def test_what_is_removed_during_the_start_is_not_started(build: Build) -> None:
    house = build(waiting("1s", *NAMES))
    house.let_go()
    await during_the_start(house)
    await seen_during(house, text("1s", *NAMES[:2], "new"), lambda: None)
    await house.until(lambda: _started(house) == 3 and len(house.supervisor.table) == 4)


@pytest.mark.parametrize("size", [1, COUNT + 1])
async def test_a_shutdown_may_come_in_any_turn(build: Build, size: int) -> None:
    house = build(text("1s"))
    await house.until(lambda: house.pids("web"))
    turns = 0

    def look() -> None:
        nonlocal turns
        turns += len(house.supervisor.table) == size
        if turns == 10:
            house.supervisor.shutdown("test")

    if size == 1:
        with pytest.raises(Conflict, match="shutting down"):
            await seen_during(house, text("1s", *NAMES), look)
        assert len(house.supervisor.table) == 1
    else:
        await seen_during(house, text("1s", *NAMES), look)
    assert await house.ended() == 0
    assert _started(house) == 0


async def test_a_rollback_in_between_begins_it_again(build: Build) -> None:
    house = build(text("1s"))
    await house.until(lambda: house.pids("web"))
    turns = 0

    def look() -> None:
        nonlocal turns
        turns += 1
        if turns % 20 == 0 and len(house.supervisor.table) == 1:
            house.supervisor.rolled_back("web", house.supervisor.table["web"].settings)

    await seen_during(house, text("2s", *NAMES), look)
    assert len(house.supervisor.table) == COUNT + 1
    assert house.supervisor.process_config("web").restart_delay == 2.0


async def test_an_edit_goes_on_when_its_caller_has_gone(build: Build) -> None:
    house = build(text("1s"))
    await house.until(lambda: house.pids("web"))
    edit = asyncio.create_task(house.parts.configuration.add("new", {"command": ["sleep", "1000"]}))
    await asyncio.sleep(0)
    edit.cancel()
    await house.until(lambda: "new" in house.supervisor.table and house.pids("new"))
    await house.parts.configuration.remove("new")
    assert list(house.supervisor.config.processes) == ["web"]


def _started(house: House) -> int:
    return sum(len(house.pids(one.name)) for one in house.supervisor.each_managed() if one.name != "web")
