"""Reads /proc, with one read for each question."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

_CAP_SYS_PTRACE: Final = 19

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcFigures(Struct, frozen=True):
    """One line of /proc/PID/stat.

    ``cpu_s`` is the time that all threads together have used, in user and kernel mode, ``waited_cpu_s`` that
    of children that have ended and that it has waited for, with theirs. ``started_ticks`` is when it was
    started, in clock ticks since boot: with the pid it names one process for ever.
    """

    state: str
    ppid: int
    pgid: int
    cpu_s: float
    waited_cpu_s: float
    threads: int
    started_ticks: int
    vms_bytes: int
    rss_bytes: int

    @property
    def alive(self) -> bool:
        """Whether anything of it can still run: a zombie cannot.

        One whose first thread has ended while others go on shows as a zombie too, but is alive.
        """
        return self.state not in "ZX" or self.threads > 1


def now_since_boot_s() -> float:
    """Seconds since boot, on the clock of ``started_ticks``."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_figures(pid: int) -> ProcFigures | None:
    """The figures of a process; None when there is no such process."""
    try:
        return figures_of(read_bytes(f"/proc/{pid}/stat"))
    except OSError:
        return None


def figures_of(data: bytes) -> ProcFigures | None:
    """The figures that are in the text of /proc/PID/stat; None for a part of it."""
    # The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
    fields = data[data.rfind(b")") + 2 :].split(b" ", 22)
    if len(fields) < 22:
        return None  # it vanished while it was read
    return ProcFigures(
        state=fields[0].decode(),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        waited_cpu_s=(int(fields[13]) + int(fields[14])) / TICKS_PER_S,
        threads=int(fields[17]),
        started_ticks=int(fields[19]),
        vms_bytes=int(fields[20]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def real_ids(pid: int) -> tuple[int, int] | None:
    """The real uid and gid of a process; None when there is no such process."""
    try:
        lines = read_bytes(f"/proc/{pid}/status").split(b"\n")
    except OSError:
        return None
    ids = {line[:4]: int(line.split()[1]) for line in lines if line[:4] in (b"Uid:", b"Gid:")}
    return (ids[b"Uid:"], ids[b"Gid:"]) if len(ids) == 2 else None


def has_capability(number: int) -> bool:
    """Whether this process has the capability in effect; True where /proc cannot tell."""
    try:
        lines = read_bytes("/proc/self/status").split(b"\n")
    except OSError:
        return True
    effective = next((line.split()[1] for line in lines if line.startswith(b"CapEff:")), b"f" * 16)
    return bool(int(effective, 16) >> number & 1)


def is_ours() -> bool:
    """Whether /proc is there and shows our own pid namespace.

    In one of another namespace a number is that of another process, and must not be used to kill.
    """
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def blind_spot() -> str | None:
    """Why /proc does not show all processes that children leave behind; None when it does."""
    if not os.path.exists("/proc/self/stat"):
        return "/proc is not mounted"
    if not is_ours():
        return "/proc is of another pid namespace: mount one in this namespace"
    if not has_capability(_CAP_SYS_PTRACE) and _hides_others():
        return "/proc hides processes of other users (hidepid): mount it without, or give CAP_SYS_PTRACE"
    return None


def _hides_others() -> bool:
    try:
        mounts = read_bytes("/proc/self/mountinfo").decode(errors="surrogateescape").splitlines()
    except OSError:
        return False
    hides = False
    for mount in mounts:
        point, _, rest = mount.partition(" - ")
        kind, *options = rest.split(" ")
        if kind == "proc" and point.split(" ")[4] == "/proc":  # the last one is on top
            values = {option for option in ",".join(options).split(",") if option.startswith("hidepid=")}
            hides = bool(values - {"hidepid=0", "hidepid=off"})
    return hides


def child_lookup() -> Callable[[int], list[int]]:
    """A function that gives the children of a process, zombies included; none for one that is gone.

    It reads the list that the kernel keeps; where the kernel has none (it was built without
    CONFIG_PROC_CHILDREN), this goes through all of /proc once and the function answers from that.
    """
    if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return listed_children
    table = children_table()
    return lambda pid: table.get(pid, [])


def listed_children(pid: int) -> list[int]:
    """Children of a process from /proc/PID/task/TID/children. A child belongs to the thread that made it."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found  # the process has ended
    for thread in threads:
        found.extend(children_of_thread(pid, thread))
    return found


def children_of_thread(pid: int, thread: int | str) -> list[int]:
    """The children that one thread of a process has made; none when it has ended: they are another's then."""
    try:
        return list(map(int, read_bytes(f"/proc/{pid}/task/{thread}/children").split()))
    except OSError:
        return []


def children_table() -> dict[int, list[int]]:
    """The children of every process that has any, from one pass over /proc."""
    table: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            figures = read_figures(int(name))
            if figures is not None:
                table.setdefault(figures.ppid, []).append(int(name))
    return table


def read_bytes(path: str) -> bytes:
    """All of a file of /proc; faster than a file object. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, 65536)
        # A short read is not the end: the kernel hands out lists a page at a time.
        while more := os.read(descriptor, 65536):
            data += more
        return data
    finally:
        os.close(descriptor)
