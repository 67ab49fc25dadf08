"""CPU and memory of processes, sampled when somebody asks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cbox_init.system.procfs import read_figures
from cbox_init.telemetry import figures
from cbox_init.telemetry.figures import INTERVAL_S, NOTHING, Figure, Figures, total

if TYPE_CHECKING:
    from collections.abc import Iterator

HERTZ = os.sysconf("SC_CLK_TCK")
MEMORY = 1000


@pytest.fixture(autouse=True)
def one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is taken at once, however busy the machine is."""
    monkeypatch.setattr(figures, "SLICE_S", 1000.0)


class Reading(NamedTuple):
    cpu_s: float
    rss_bytes: int
    started_ticks: int


class Machine:
    """Processes and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.processes: dict[int, Reading] = {}
        self.reads: list[int] = []
        self.figures = Figures(self._read, MEMORY, lambda: self.now)

    def _read(self, pid: int) -> Reading | None:
        self.reads.append(pid)
        return self.processes.get(pid)

    def has(self, pid: int, *, cpu_s: float = 0.0, rss: int = 0, started: float = 900.0) -> None:
        self.processes[pid] = Reading(cpu_s, rss, int(started * HERTZ))


def test_before_any_sample_there_is_nothing() -> None:
    assert Machine().figures.of(1) == NOTHING
    assert Machine().figures.of(None) == NOTHING


def test_first_sample_is_over_the_life_of_the_process() -> None:
    machine = Machine()
    machine.has(1, cpu_s=25.0, rss=100, started=900.0)
    machine.figures.sample([1])
    assert machine.figures.of(1) == Figure(25.0, 100, 10.0)


def test_later_samples_are_over_the_time_since_the_last() -> None:
    machine = Machine()
    machine.has(1, cpu_s=25.0)
    machine.figures.sample([1])
    machine.now += 4
    machine.has(1, cpu_s=31.0, rss=250)
    machine.figures.sample([1])
    assert machine.figures.of(1) == Figure(150.0, 250, 25.0)
    machine.now += 4
    machine.figures.sample([1])
    assert machine.figures.of(1).cpu_percent == 0


def test_another_process_with_the_same_pid_begins_anew() -> None:
    machine = Machine()
    machine.has(1, cpu_s=99.0, started=900.0)
    machine.figures.sample([1])
    machine.now += 10
    machine.has(1, cpu_s=1.0, started=1008.0)
    machine.figures.sample([1])
    assert machine.figures.of(1).cpu_percent == 50.0


@pytest.mark.parametrize("started", [1000.0, 1005.0])
def test_a_process_of_this_moment(started: float) -> None:
    """The start in ticks may be at our own time, or by rounding after it."""
    machine = Machine()
    machine.has(1, cpu_s=0.0, started=started)
    machine.figures.sample([1])
    assert machine.figures.of(1).cpu_percent == 0


def test_what_has_gone_is_forgotten() -> None:
    machine = Machine()
    machine.has(1, rss=100)
    machine.has(2, rss=100)
    machine.figures.sample([1, 2])
    del machine.processes[1]
    machine.figures.sample([1])
    assert machine.figures.of(1) == machine.figures.of(2) == NOTHING


def test_due_at_most_each_two_seconds() -> None:
    machine = Machine()
    assert machine.figures.due()
    machine.figures.sample([1])
    assert not machine.figures.due()
    machine.now += INTERVAL_S - 0.1
    assert not machine.figures.due()
    machine.now += 0.2
    assert machine.figures.due()


def test_version_rises_with_each_sample() -> None:
    machine = Machine()
    assert machine.figures.version == 0
    machine.figures.sample([1])
    machine.figures.sample([])
    assert machine.figures.version == 2


@pytest.fixture
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(figures, "SLICE_S", 0.0)
    yield


@pytest.mark.usefixtures("tiny_slices")
async def test_many_are_read_over_several_turns() -> None:
    machine = Machine()
    for pid in range(1, 6):
        machine.has(pid, rss=pid)
    machine.figures.sample(range(1, 6))
    assert machine.reads == [1]
    machine.now += 100
    assert not machine.figures.due()  # one is under way
    assert machine.figures.of(1) == NOTHING
    for _ in range(5):
        await asyncio.sleep(0)
    assert machine.figures.version == 1
    assert machine.reads == [1, 2, 3, 4, 5]
    assert [machine.figures.of(pid).memory_rss_bytes for pid in range(1, 6)] == [1, 2, 3, 4, 5]
    assert machine.figures.due()


@pytest.mark.usefixtures("tiny_slices")
async def test_closing_leaves_a_sample_that_is_under_way() -> None:
    machine = Machine()
    machine.figures.sample(range(1, 6))
    machine.figures.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert machine.reads == [1]


def test_sum() -> None:
    assert total([Figure(1.25, 10, 0.1), Figure(2.5, 20, 0.2)]) == Figure(3.75, 30, 0.3)
    assert total([]) == NOTHING


def test_a_real_process() -> None:
    script = "import time\nkept = bytearray(50_000_000)\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        real = Figures(read_figures, 10**9)
        began = time.monotonic()
        real.sample([busy.pid])
        cpu_before = busy_seconds(busy.pid)
        deadline = time.monotonic() + 20
        while busy_seconds(busy.pid) < cpu_before + 0.2 and time.monotonic() < deadline:
            time.sleep(0.01)
        real.sample([busy.pid])
        took_s = time.monotonic() - began
        busy.kill()
    figure = real.of(busy.pid)
    assert 0.9 * 20 / took_s < figure.cpu_percent <= 110
    assert 50_000_000 < figure.memory_rss_bytes < 150_000_000
    assert figure.memory_percent == round(figure.memory_rss_bytes / 10**7, 2)


def busy_seconds(pid: int) -> float:
    found = read_figures(pid)
    assert found is not None
    return found.cpu_s
