"""What /proc says of processes: their tree, memory and processor time."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Of one or more processes, in bytes."""

    rss: int
    private: int  # the pages that nobody else has: what would be free if these processes ended


def descendants(root: int) -> list[int]:
    """Return the pids of all processes below `root`, parents before their children."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in _pids():
        with contextlib.suppress(OSError):
            children[int(_stat(pid)[1])].append(pid)
    found = list(children[root])
    for pid in found:
        found.extend(children[pid])
    return found


def memory(pids: Iterable[int]) -> Memory:
    """Return the resident and the private memory of `pids`, summed."""
    rss = private = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                key, _, rest = line.partition(b":")
                if key == b"Rss":
                    rss += _kibibytes(rest)
                elif key in (b"Private_Clean", b"Private_Dirty"):
                    private += _kibibytes(rest)
    return Memory(rss, private)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that `pids` have used, user and system, in steps of a tick (10 ms)."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


def peak_rss(pids: Iterable[int]) -> int:
    """Return the most resident memory of each of `pids` since `reset_peak`, summed, in bytes."""
    return sum(_kibibytes(_status(pid, b"VmHWM")) for pid in pids)


def reset_peak(pids: Iterable[int]) -> None:
    """Let `peak_rss` begin anew."""
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "wb") as file:
            file.write(b"5")


def wake_ups(pids: Iterable[int]) -> int:
    """Return how often the threads of `pids` have gone to sleep, and so how often they woke."""
    count = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                count += int(_status(pid, b"voluntary_ctxt_switches", thread))
    return count


def run_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of the threads that `pids` have now, to the nanosecond.

    Finer than `cpu_seconds`, but without the threads that have ended.
    """
    nanoseconds = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with (
                contextlib.suppress(FileNotFoundError, ProcessLookupError),
                open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file,
            ):
                nanoseconds += int(file.read().split()[0])
    return nanoseconds / 1e9


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat after the command's name: the state, the parent, ..."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def _status(pid: int, name: bytes, thread: str = "") -> bytes:
    """Return a line of the status of a process, or of one of its threads, after its name."""
    path = f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status"
    with open(path, "rb") as file:
        for line in file:
            key, _, value = line.partition(b":")
            if key == name:
                return value
    return b"0"  # a zombie has no memory


def _kibibytes(field: bytes) -> int:
    return int(field.split()[0]) * 1024
