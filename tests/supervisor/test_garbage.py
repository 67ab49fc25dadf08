"""Collections of garbage go through little, and nothing that the supervisor drops needs one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from cbox_init.supervisor.garbage import LONG_S, CollectionPause, CollectionTimer
from tests.garbage import no_cycles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.config.model import Config
    from tests.supervisor.house import Build, House

NAMES = [f"p{number}" for number in range(10)]

PLAIN = "command: [sleep, '1000']"
SCHEDULED = f'{PLAIN}, schedule: "0 0 1 1 *", heartbeat: {{success_url: "http://127.0.0.1:1/", grace: 1h}}'
BUSY = (
    f"{PLAIN}, max_memory_mb: 500, scale: 2, limits: {{nofile: 100}}, "
    "shutdown: {pre_stop: {command: ['true']}}, "
    "health_check: {type: exec, command: ['true'], period: 1}, logging: {redaction: {patterns: [email]}}"
)

FOLLOWING = (
    f"{PLAIN}, restart_with: [web], ready_when: {{log: never}}, max_runtime: 1h, success_codes: [0, 2]"
)


@pytest.fixture
def frozen() -> Iterator[None]:
    """For tests after which objects may be set aside."""
    yield
    gc.unfreeze()


def text(keys: str, *names: str) -> str:
    return f"processes:\n  web: {{{PLAIN}}}\n" + "".join(f"  {name}: {{{keys}}}\n" for name in names)


async def change(house: House, new: str) -> None:
    house.file.write_text(new)
    await house.parts.configuration.reload()


@pytest.mark.parametrize(
    "keys", [PLAIN, SCHEDULED, BUSY, FOLLOWING], ids=["plain", "scheduled", "busy", "following"]
)
async def test_a_process_that_was_removed_is_freed_at_once(build: Build, keys: str) -> None:
    house = build(text("command: ['true'], initial_state: stopped"))
    with no_cycles():
        await change(house, text(keys, *NAMES))
        if keys != SCHEDULED:
            await house.until(lambda: all(house.pids(name) for name in NAMES))
        await change(house, text(keys))
        await house.until(lambda: len(house.supervisor.table) == 1)


async def test_a_process_that_gets_a_schedule_is_freed_at_once(build: Build) -> None:
    house = build(text(PLAIN, *NAMES))
    await house.until(lambda: all(house.pids(name) for name in NAMES))
    with no_cycles():
        await change(house, text(SCHEDULED, *NAMES))
        await house.until(lambda: all(house.supervisor.table[name].schedule for name in NAMES))
        await change(house, text(PLAIN, *NAMES))
        await house.until(lambda: all(house.pids(name) for name in NAMES))


async def test_a_restart_leaves_nothing_to_collect(build: Build) -> None:
    house = build(text(BUSY, "p0"))
    await house.until(lambda: len(house.pids("p0")) == 2)
    before = house.pids("p0")
    with no_cycles():
        house.supervisor.restart("p0")
        await house.until(lambda: len(house.pids("p0")) == 2 and not set(before) & set(house.pids("p0")))


async def test_a_change_of_many_processes_is_made_without_collections(
    build: Build, monkeypatch: pytest.MonkeyPatch, frozen: None
) -> None:
    monkeypatch.setattr("cbox_init.supervisor.configuration.apply._MANY", 0)
    house = build(text(PLAIN))
    applier = house.parts.configuration._applier
    put_in_force = applier._put_in_force
    events: list[str] = []

    def note_put_in_force(config: Config) -> None:
        put_in_force(config)
        events.append("in force")

    monkeypatch.setattr(applier, "_put_in_force", note_put_in_force)
    house.file.write_text(text("command: ['true'], initial_state: stopped", *(f"p{n}" for n in range(200))))
    gc.collect()
    gc.callbacks.append(note := lambda phase, info: events.append(phase))
    try:
        await house.parts.configuration.reload()
    finally:
        gc.callbacks.remove(note)
    assert events[0] == "in force"
    assert gc.get_freeze_count() > 0
    kinds = {type(one) for one in gc.get_objects()}
    assert type(house.supervisor.table["web"]) not in kinds  # the next collection does not go through them


async def test_with_few_processes_nothing_stays_set_aside(build: Build, frozen: None) -> None:
    house = build(text(PLAIN))
    gc.freeze()
    await change(house, text(PLAIN, "p0"))
    assert gc.get_freeze_count() == 0


def test_what_a_long_collection_has_left_is_set_aside(frozen: None) -> None:
    now = 0.0
    timer = CollectionTimer(lambda: now)
    gc.unfreeze()
    for generation, taken_s, set_aside in ((2, LONG_S / 2, False), (1, 1.0, False), (2, 2 * LONG_S, True)):
        timer.note("start", {"generation": generation})
        now += taken_s
        timer.note("stop", {"generation": generation})
        assert (gc.get_freeze_count() > 0) is set_aside


def test_pauses_may_overlap() -> None:
    pause = CollectionPause()
    first, second = pause.begin(), pause.begin()
    with first:
        second.__enter__()
        assert not gc.isenabled()
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
    gc.disable()
    try:
        with pause.begin():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
