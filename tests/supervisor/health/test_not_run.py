"""Checks that cannot be run, and errors in what runs them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.health import HealthState
from cbox_init.core.states import State
from cbox_init.errors import SpawnError
from cbox_init.supervisor.health.monitor import HealthMonitor
from cbox_init.supervisor.health.probes import Probes
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.threads import NoThreadError
from tests.supervisor.health.servers import answering, serving
from tests.supervisor.health.test_checks import OK, PATIENT, SLEEP, one, state, until
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbox_init.supervisor.health.probes import Probe
    from cbox_init.system.spawn_request import SpawnRequest
    from tests.supervisor.house import Build, House

SHORT = SpawnError("out of processes: raise the limit", shortage=True)


def not_checked(house: House, name: str = "web", index: int = 0) -> str | None:
    health = house.instance(name, index).health
    assert health
    return health.not_checked


def failures(house: House) -> int:
    health = house.instance("web").health
    assert health
    return health.failures


@contextmanager
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Every number below the limit is taken; the function that is given takes those that are free again."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))

    try:
        take()
        yield take
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in taken:
            os.close(descriptor)


async def test_without_descriptors_a_check_is_neither_success_nor_failure_and_heals(build: Build) -> None:
    async with serving(answering(OK)) as port:
        house = build(one({**PATIENT, "url": f"http://127.0.0.1:{port}/", "failure_threshold": 1}))
        await until(house, HealthState.HEALTHY)
        (pid,) = house.pids("web")
        with no_descriptor_left() as take:
            # A check that was under way gives its own back.
            await house.until(lambda: take() or not_checked(house))
            reason = not_checked(house)
            health = house.instance("web").health
        assert reason == f"http://127.0.0.1:{port}/: Too many open files"
        assert health and (health.state, health.failures) == (HealthState.HEALTHY, 0)
        await house.until(lambda: not not_checked(house))
        assert (state(house), house.pids("web")) == (HealthState.HEALTHY, [pid])
    await house.until(lambda: "Health checks can be run again" in house.messages())
    assert house.messages().count("Health check cannot be run") == 1


async def test_a_command_that_cannot_be_started_for_want_of_processes(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(one({**PATIENT, "command": ["true"], "failure_threshold": 1}))
    await until(house, HealthState.HEALTHY)
    spawner, spawn = house.runtime.spawner, house.runtime.spawner.spawn
    tries = 0

    def refuse(request: SpawnRequest) -> int:
        nonlocal tries
        if request.argv != ("true",):
            return spawn(request)
        tries += 1
        raise SHORT

    monkeypatch.setattr(spawner, "spawn", refuse)
    await house.until(lambda: tries > 5)
    assert (state(house), failures(house)) == (HealthState.HEALTHY, 0)
    assert not_checked(house) == "true: out of processes: raise the limit"
    assert house.messages().count("Health check cannot be run") == 1
    monkeypatch.undo()
    await house.until(lambda: not not_checked(house))
    assert house.state("web") is State.RUNNING
    assert house.instance("web").restart_count == 0


async def test_a_program_that_is_missing_is_a_failure(build: Build) -> None:
    house = build(one({"command": ["no-such-program"], "mode": "readiness"}))
    await until(house, HealthState.UNHEALTHY)
    assert not_checked(house) is None


async def test_a_name_that_cannot_be_looked_up_for_want_of_threads(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_thread(self: Resolver, endpoint: object) -> None:
        raise NoThreadError("resolve db.example")

    monkeypatch.setattr(Resolver, "addresses", no_thread)
    house = build(one({"address": "db.example:5432", "failure_threshold": 1}))
    await house.until(lambda: not_checked(house))
    assert not_checked(house) == "db.example:5432: no thread can be started for resolve db.example"
    assert state(house) is HealthState.STARTING


async def test_one_that_could_not_be_checked_in_time_is_not_ended_for_that(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def short(self: Probes, index: int, pid: int) -> Probe:
        nonlocal tries
        tries += 1
        raise SHORT

    monkeypatch.setattr(Probes, "of", short)
    text = json.loads(one({"command": ["true"], "timeout": "1s", "start_period": None}))
    text["global"] = {"process_start_timeout": "1ms", "health_check_strict": True}
    house = build(json.dumps(text))
    await house.until(lambda: not_checked(house))
    (pid,) = house.pids("web")
    await house.until(lambda: tries > 10)  # its time to start was over after the first two
    assert house.pids("web") == [pid]
    monkeypatch.undo()
    await until(house, HealthState.HEALTHY)
    assert (house.pids("web"), house.instance("web").restart_count) == ([pid], 0)


@pytest.mark.parametrize("where", ["made", "run", "planned", "taken"])
async def test_an_error_in_one_check_does_not_end_the_others(
    build: Build, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Of the same process and of others; the checks that failed are taken up again."""
    broken = True
    of = Probes.of

    class Broken:
        where = "broken"

        async def __call__(self) -> None:
            raise ZeroDivisionError("run")

    def make(self: Probes, index: int, pid: int) -> Probe:
        if broken and self._launch.instance_id(index) == "web-0" and where in ("made", "run"):
            if where == "made":
                raise ZeroDivisionError("made")
            return Broken()
        return of(self, index, pid)

    def fail(method: str) -> None:
        original = getattr(HealthMonitor, method)

        def failing(self: HealthMonitor, watch: object, *args: object) -> object:
            if broken and getattr(watch, "index", watch) == 0 and self._name == "web":
                raise ZeroDivisionError(method)
            return original(self, watch, *args)

        monkeypatch.setattr(HealthMonitor, method, failing)

    monkeypatch.setattr(Probes, "of", make)
    if where == "planned":
        fail("_plan_next")
    if where == "taken":
        fail("_take")
    check = {"initial_delay": 0, "period": "50ms", "command": ["true"]}
    process = {"command": SLEEP, "scale": 2, "health_check": check}
    house = build(json.dumps({"processes": {"web": process, "other": process}}))
    house.expects_defects = True
    await house.until(lambda: house.runtime.defects.count)
    for name, index in (("web", 1), ("other", 0), ("other", 1)):
        await until(house, HealthState.HEALTHY, name, index)
    assert state(house, "web", 0) is HealthState.STARTING
    broken = False
    if where == "run":
        return  # the broken probe stays
    await until(house, HealthState.HEALTHY, "web", 0)


async def test_an_error_while_a_check_begins_is_contained(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(one({**PATIENT, "command": ["true"]}, scale=2), start=False)
    house.expects_defects = True
    loop = asyncio.get_running_loop()
    create, refused = loop.create_task, 0

    def refuse(coro: object, **keys: object) -> object:
        nonlocal refused
        if refused < 3:
            refused += 1
            coro.close()  # type: ignore[attr-defined]
            raise MemoryError
        return create(coro, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "create_task", refuse)
    house.supervisor.start("web")
    await until(house, HealthState.HEALTHY, index=0)
    await until(house, HealthState.HEALTHY, index=1)
    assert refused == 3


async def test_a_command_whose_output_cannot_be_watched_is_ended(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(one({"command": ["sh", "-c", "echo $$ >> $DIR/pids; exec sleep 1005"], "timeout": "100s"}))
    loop = asyncio.get_running_loop()
    add_reader = loop.add_reader

    def refuse(descriptor: int, callback: object, *args: object) -> None:
        if "CommandRun._read" in repr(callback):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        add_reader(descriptor, callback, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "add_reader", refuse)
    await house.until(lambda: not_checked(house))
    assert not_checked(house) == "sh: Cannot allocate memory"
    house.supervisor.stop("web")
    await house.until(lambda: not _commands(house))


def _commands(house: House) -> list[int]:
    """The commands of checks that run."""
    pids = house.file.parent / "pids"
    started = map(int, pids.read_text().split()) if pids.exists() else ()
    return [pid for pid in started if alive(pid)]
