"""What a process and all processes below it use, read from /proc in one pass."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.system import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class InstanceUsage(Struct):
    """What a process uses, and (``tree_``) what it and all processes below it use together.

    ``at`` is when it was read, in seconds since boot. ``tree_cpu_s`` includes children that have ended
    and were waited for. What the kernel does not show us is None: a process of another user may hide it.
    Pages that several processes share count for each of them.
    """

    at: float
    started_s: float
    started_ticks: int
    cpu_s: float
    rss_bytes: int
    vms_bytes: int
    threads: int
    descriptors: int | None
    tree_cpu_s: float = 0.0
    tree_rss_bytes: int = 0
    tree_processes: int = 0
    read_bytes: int | None = None
    written_bytes: int | None = None


class UsageWalk:
    """Reads one tree, a process after another, so that a large tree can be read in several turns.

    ``strays`` are processes that belong to it but are not below it any more; ``children`` is a
    `procfs.child_lookup`. Costs about 35 µs for a process without children.
    """

    def __init__(self, main_pid: int, strays: Iterable[int], children: Callable[[int], list[int]]) -> None:
        self._main_pid = main_pid
        self._children = children
        self._queue = [*reversed(tuple(strays)), main_pid]
        self._seen: set[int] = set()
        self._usage: InstanceUsage | None = None

    def go_on(self, stop_at: float) -> InstanceUsage | None:
        """Read until the whole tree is read, or the monotonic time ``stop_at``: None when some is left.

        Reads one process at least. Raises OSError when the main process cannot be read, ProcessLookupError
        when it has ended.
        """
        while self._queue:
            pid = self._queue.pop()
            if pid in self._seen:
                continue
            self._seen.add(pid)
            if pid == self._main_pid:
                self._read_main(pid)
            else:
                self._read(pid)
            if self._queue and time.monotonic() >= stop_at:
                return None
        return self._usage

    def _read_main(self, pid: int) -> None:
        data = procfs.read_bytes(f"/proc/{pid}/stat")
        figures = procfs.figures_of(data)
        if figures is None or not figures.alive:
            raise ProcessLookupError(f"process {pid} has ended")
        self._usage = InstanceUsage(
            at=procfs.now_since_boot_s(),
            started_s=figures.started_ticks / procfs.TICKS_PER_S,
            started_ticks=figures.started_ticks,
            cpu_s=figures.cpu_s,
            rss_bytes=figures.rss_bytes,
            vms_bytes=figures.vms_bytes,
            threads=figures.threads,
            descriptors=count_descriptors(pid),
        )
        self._add(pid, figures)

    def _read(self, pid: int) -> None:
        figures = procfs.read_figures(pid)
        if figures is not None and figures.alive:
            self._add(pid, figures)

    def _add(self, pid: int, figures: procfs.ProcFigures) -> None:
        usage = self._usage
        assert usage is not None, "the main process comes first"
        usage.tree_cpu_s += figures.cpu_s + figures.waited_cpu_s
        usage.tree_rss_bytes += figures.rss_bytes
        usage.tree_processes += 1
        if (transferred := read_transferred(pid)) is not None:
            usage.read_bytes = transferred[0] + (usage.read_bytes or 0)
            usage.written_bytes = transferred[1] + (usage.written_bytes or 0)
        if figures.threads == 1 and self._children is procfs.listed_children:
            self._queue.extend(procfs.children_of_thread(pid, pid))
        else:
            self._queue.extend(self._children(pid))


def count_descriptors(pid: int) -> int | None:
    """How many descriptors a process has open; None when that is not shown.

    Since Linux 6.2 it is the size of the directory; before, they have to be listed.
    """
    path = f"/proc/{pid}/fd"
    try:
        return os.stat(path).st_size or len(os.listdir(path))
    except OSError:
        return None


def read_transferred(pid: int) -> tuple[int, int] | None:
    """The bytes that a process, and children that it waited for, has read from storage and written to it.

    None when that is not shown: it is another user's, or the kernel does not count them.
    """
    try:
        data = procfs.read_bytes(f"/proc/{pid}/io")
    except OSError:
        return None
    # rchar, wchar, syscr, syscw, read_bytes, write_bytes, cancelled_write_bytes: one in each line
    lines = data.split(b"\n", 6)
    try:
        return int(lines[4].rpartition(b" ")[2]), int(lines[5].rpartition(b" ")[2])
    except (IndexError, ValueError):
        return None


def proportional_bytes(main_pid: int, started_ticks: int, strays: Iterable[int]) -> int | None:
    """The proportional memory (PSS) of a process that was started then, of all below it, and of ``strays``.

    A page that N processes share counts for each with an Nth. None when the main process has ended, or what
    it uses is not shown. The kernel goes through all pages: 13 µs for a megabyte. For a thread.
    """
    main = procfs.read_figures(main_pid)
    if main is None or main.started_ticks != started_ticks:
        return None
    children = procfs.child_lookup()
    total = read_proportional(main_pid)
    if total is None:
        return None
    queue = [*children(main_pid), *strays]
    seen = {main_pid}
    for pid in queue:
        if pid not in seen:
            seen.add(pid)
            total += read_proportional(pid) or 0
            queue.extend(children(pid))
    return total


def read_proportional(pid: int) -> int | None:
    """The proportional memory of one process, None when it is not shown."""
    try:
        lines = procfs.read_bytes(f"/proc/{pid}/smaps_rollup").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        return None
