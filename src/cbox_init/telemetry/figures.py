"""CPU and memory of instances, sampled on request only."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from asyncio import Handle
    from collections.abc import Callable, Iterable, Iterator

#: The least time between two samples, in seconds; a reader of the live state may have it shorter.
INTERVAL_S: Final = 2.0

#: How long one slice of sampling may hold the event loop, in seconds.
SLICE_S: Final = 0.002

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
"""The resolution of CPU time; over a shorter time a percentage is meaningless."""


class ProcessUsage(Protocol):
    """Resource usage of a process: CPU seconds since its start, and resident bytes.

    ``started_ticks`` is its start in clock ticks since boot; with the pid it identifies the process.
    """

    @property
    def cpu_s(self) -> float: ...
    @property
    def rss_bytes(self) -> int: ...
    @property
    def started_ticks(self) -> int: ...


class Figure(NamedTuple):
    """``cpu_percent`` is of one CPU, ``memory_percent`` of the memory limit of the container."""

    cpu_percent: float = 0.0
    memory_rss_bytes: int = 0
    memory_percent: float = 0.0


class _Sample(NamedTuple):
    started_ticks: int
    cpu_s: float
    at: float
    figure: Figure


NOTHING: Final = Figure()


class Figures:
    """The latest figures of the sampled processes.

    ``version`` is raised by every complete sample. ``boot_clock`` gives the seconds since boot, on
    which processes' starts are measured too.
    """

    def __init__(
        self,
        read: Callable[[int], ProcessUsage | None],
        memory_bytes: int,
        boot_clock: Callable[[], float] | None = None,
    ) -> None:
        self.version = 0
        self._read = read
        self._memory_bytes = memory_bytes
        self._clock = boot_clock or _since_boot
        self._samples: dict[int, _Sample] = {}
        self._next: dict[int, _Sample] = {}
        self._sampled_at = -math.inf
        self._pending: Handle | None = None

    def due(self, age_s: float = INTERVAL_S) -> bool:
        """Whether the figures are ``age_s`` old, and no sample is in progress."""
        return self._pending is None and self._clock() >= self._sampled_at + age_s

    @property
    def sampling(self) -> bool:
        """Whether a sample is in progress."""
        return self._pending is not None

    def of(self, pid: int | None) -> Figure:
        """The latest figure of a process; zeros when there is none yet."""
        sample = self._samples.get(pid) if pid else None
        return sample.figure if sample else NOTHING

    def sample(self, pids: Iterable[int]) -> None:
        """Read the figures of these processes, and drop all others.

        If that takes longer than a slice, it continues in later turns of the running event loop, and until
        then ``of`` gives the previous figures.
        """
        self._sampled_at = self._clock()
        self._next = {}
        self._take(iter(tuple(pids)))

    def close(self) -> None:
        """Cancel a sample in progress."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _take(self, pids: Iterator[int]) -> None:
        self._pending = None
        stop_at = time.monotonic() + SLICE_S
        for pid in pids:
            reading = self._read(pid)
            if reading is not None:
                self._next[pid] = self._measure(reading, self._samples.get(pid))
            if time.monotonic() >= stop_at:
                self._go_on_later(pids)
                return
        self._samples = self._next
        self.version += 1

    def _go_on_later(self, pids: Iterator[int]) -> None:
        from asyncio import get_running_loop

        self._pending = get_running_loop().call_soon(self._take, pids)

    def _measure(self, reading: ProcessUsage, before: _Sample | None) -> _Sample:
        now = self._clock()
        if before is not None and before.started_ticks == reading.started_ticks:
            used, elapsed = reading.cpu_s - before.cpu_s, now - before.at
        else:
            used, elapsed = reading.cpu_s, now - reading.started_ticks * _TICK_S
        figure = Figure(
            cpu_percent=round(100 * max(used, 0.0) / max(elapsed, _TICK_S), 2),
            memory_rss_bytes=reading.rss_bytes,
            memory_percent=round(100 * reading.rss_bytes / self._memory_bytes, 2),
        )
        return _Sample(reading.started_ticks, reading.cpu_s, now, figure)


def total(figures: Iterable[Figure]) -> Figure:
    """The sum of figures."""
    cpu = memory = 0.0
    rss = 0
    for figure in figures:
        cpu += figure.cpu_percent
        rss += figure.memory_rss_bytes
        memory += figure.memory_percent
    return Figure(round(cpu, 2), rss, round(memory, 2))


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
