"""What many cost: counts, not times, of what is asked and searched for as they come and go."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from typing import TYPE_CHECKING

from cbox_init.core.states import State
from cbox_init.supervisor import process as process_module
from cbox_init.supervisor import runtime as runtime_module
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.supervisor.house import Build

SLEEPERS = "processes:\n" + "".join(f"  p{i}: {{command: [sleep, '1000']}}\n" for i in range(40))

CRASHERS = """
processes:
  web: {command: [sh, -c, 'read x; echo last words; exit 1'], scale: 30, restart: never}
  other: {command: [sleep, '1000']}
"""
WAITING = """
processes:
  web: {command: [sleep, '1000'], depends_on: [db]}
  db: {command: [sleep, '1'], initial_state: stopped}
"""


class Counter:
    """A function in place of another one, which it calls."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.count = 0
        self._function = function

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.count += 1
        return self._function(*args, **kwargs)


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> Counter:
    counter = Counter(getattr(module, name))
    monkeypatch.setattr(module, name, counter)
    return counter


async def test_processes_that_come_up_are_asked_a_few_times_each(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch, process_module, "is_ready")
    house = build(SLEEPERS)
    await house.until(lambda: "All processes started successfully" in house.messages())
    assert asked.count < 40 * 6  # once for each pair would be 800


async def test_a_thousand_looks_need_one_decision(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that has time for one action each: what was decided is carried out in the looks that follow."""
    decided = counted(monkeypatch, process_module, "decide")
    house = build("processes:\n  web: {command: [sleep, '1000'], scale: 30}\n", start=False)
    process = house.supervisor.table["web"]
    house.supervisor.start("web")
    looks = 0
    while len(house.pids("web")) < 30:
        process.reconcile(0.0)
        looks += 1
    assert looks == 30
    assert decided.count == 1


async def test_what_happens_meanwhile_is_decided_about_at_once(build: Build) -> None:
    house = build("processes:\n  web: {command: [sleep, '1000'], scale: 30}\n", start=False)
    process = house.supervisor.table["web"]
    house.supervisor.start("web")
    process.reconcile(0.0)
    house.supervisor.scale("web", 1)
    await house.until(lambda: not house.runtime.run_queue._due)
    assert len(house.pids("web")) == 1
    assert house.messages().count("Process instance started") == 1


async def test_all_are_killed_after_one_search(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module, "_FRESH_S", 60.0)
    searched = counted(monkeypatch, runtime_module, "find_strays")
    house = build("processes:\n  web: {command: [sleep, '1000'], scale: 30}\n")
    await house.until(lambda: len(house.pids("web")) == 30)
    before, pids = searched.count, house.pids("web")
    house.supervisor.kill(137)
    assert searched.count - before <= 2  # one for the instances, one for the orphans
    await house.ended()
    assert not [pid for pid in pids if alive(pid)]


async def test_ends_that_come_together_are_taken_in_a_slice_at_a_time(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(CRASHERS)
    reaped: list[bool] = []
    reaping = house.supervisor._reaping
    reconcile = reaping.reconcile

    def one_at_a_time(stop_at: float) -> None:
        reconcile(0.0)
        reaped.append(house.runtime.reaper.unfinished)

    monkeypatch.setattr(reaping, "reconcile", one_at_a_time)
    await house.until(lambda: house.state("web") is State.FAILED and not reaped[-1])
    assert len(reaped) >= 30
    assert house.lines("web") == ["last words"] * 30
    log = house.log_text().splitlines()
    for index in range(30):
        told = [i for i, line in enumerate(log) if f'"web-{index}"' in line]
        words = [i for i in told if '"stream"' in log[i]]
        ends = [i for i in told if "exited with error" in log[i]]
        assert len(words) == len(ends) == 1
        assert words[0] < ends[0]


async def test_who_waits_no_longer_is_forgotten(build: Build) -> None:
    house = build(WAITING)
    waiting = [asyncio.create_task(house.supervisor.settled("web")) for _ in range(2)]
    await asyncio.sleep(0)
    assert len(house.supervisor._waiters._futures["web"]) == 2
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert len(house.supervisor._waiters._futures["web"]) == 1
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert not house.supervisor._waiters._futures


async def test_what_cannot_be_read_is_not_started(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel limits how many descriptors of a user are watched."""
    house = build(
        "processes: {web: {command: [sleep, '9'], restart: never}, on: {command: [sleep, '9']}}",
        start=False,
    )
    reader = house.logs._reader
    add, given = reader.add, []

    def refuse_the_second(fd: int, readable: object) -> None:
        given.append(fd)
        if len(given) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(fd, readable)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "add", refuse_the_second)
    before = set(os.listdir("/proc/self/fd"))
    house.supervisor.start("web")
    house.supervisor.table["web"].reconcile(0.0)
    assert house.state("web") is State.STARTING
    reason = house.instance("web").reason or ""
    assert reason.startswith(
        "waiting to start: cannot read its output: No space left on device; see /proc/sys/fs/epoll"
    )
    assert len(given) == 2
    assert set(os.listdir("/proc/self/fd")) <= before
    assert "Process instance started" not in house.messages()
    await house.until_state("web", State.RUNNING)
    assert house.instance("web").restart_count == 0


async def test_an_end_that_leaves_something_says_so(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a process that the kernel cannot end."""
    monkeypatch.setattr("cbox_init.supervisor.instance.live.signal_group", lambda pgid, signum: True)
    house = build("global: {shutdown_timeout: 1}\nprocesses:\n  web: {command: [sleep, '1000']}\n")
    await house.until_state("web", State.RUNNING)
    (pid,) = house.pids("web")
    house.supervisor.shutdown("a test")
    assert await house.ended() == 1
    assert "Shutdown ends although processes are left" in house.messages()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # noqa: ASYNC222  # it has been killed
