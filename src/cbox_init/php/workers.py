"""How much memory the workers of a running PHP-FPM use."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.errors import AutotuneError
from cbox_init.php.sizing import MIB
from cbox_init.system.procfs import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TITLE: Final = b"php-fpm: pool "
_PERCENTILE: Final = 0.95
_MARGIN: Final = 1.2

#: Pages that processes share count in parts. OPcache (shared memory) is counted apart from the workers.
_PROPORTIONAL: Final = (b"Pss_Anon", b"Pss_File")
_RESIDENT: Final = (b"RssAnon", b"RssFile")


class MeasuredWorkers(Struct, frozen=True):
    """The largest memory of each worker that was seen, in bytes. ``proportional``: shared pages in parts."""

    pools: tuple[str, ...]
    peaks: tuple[int, ...]
    seconds: float
    proportional: bool

    @property
    def mean(self) -> float:
        """The mean of the peaks, in bytes."""
        return sum(self.peaks) / len(self.peaks)

    @property
    def largest(self) -> int:
        """In bytes."""
        return max(self.peaks)

    @property
    def worker(self) -> int:
        """What to plan for one worker, in MiB: what 95 of 100 workers need, and a fifth more."""
        most = sorted(self.peaks)[math.ceil(_PERCENTILE * len(self.peaks)) - 1]
        return max(1, math.ceil(most * _MARGIN / MIB))


def measure_workers(
    seconds: float, interval: float = 1.0, proc: str = "/proc", sleep: Callable[[float], object] = time.sleep
) -> MeasuredWorkers:
    """Watch the workers of all pools for a time. Raises AutotuneError when there are none."""
    peaks: dict[int, int] = {}
    pools: dict[str, None] = {}
    proportional = True
    end = time.monotonic() + seconds
    while True:
        for pid, pool in _workers(proc):
            memory = _memory(f"{proc}/{pid}/smaps_rollup", _PROPORTIONAL)
            if memory is None:
                # Workers of another user: their maps are for root with CAP_SYS_PTRACE.
                memory = _memory(f"{proc}/{pid}/status", _RESIDENT)
                proportional &= memory is None
            if memory:
                pools[pool] = None
                peaks[pid] = max(memory, peaks.get(pid, 0))
        left = end - time.monotonic()
        if left <= 0:
            break
        sleep(min(interval, left))
    if not peaks:
        raise AutotuneError(
            "no worker of php-fpm runs here: start the pool, give it its usual load, try again"
        )
    return MeasuredWorkers(tuple(pools), tuple(peaks.values()), seconds, proportional)


def _workers(proc: str) -> Iterator[tuple[int, str]]:
    """The pid and the pool of each worker, which has set its title."""
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            title = read_bytes(f"{proc}/{name}/cmdline")
        except OSError:
            continue
        if title.startswith(_TITLE):
            yield int(name), title[len(_TITLE) :].rstrip(b"\0 ").decode(errors="replace")


def _memory(path: str, fields: tuple[bytes, ...]) -> int | None:
    """The sum of some lines such as ``RssAnon:   21000 kB`` in bytes; None when they cannot be read."""
    try:
        lines = read_bytes(path).splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.partition(b":")[0] in fields]
    return sum(int(number) for number in found) * 1024 if len(found) == len(fields) else None
