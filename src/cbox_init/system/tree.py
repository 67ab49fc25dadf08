"""Ending everything that an instance has started, and nothing else.

An instance is its main process, the process group that this leads, and whatever has left that group: a
program that made a session of its own (``setsid``), or that went into the background by forking twice.

Linux keeps the tree together for us. When a process ends, its children go to the nearest ancestor that
is a subreaper, and that is us. So while a main process lives, what left its group is below it, or, when
the parent in between has ended, directly below us; when a main process is dead, each rest of it hangs
below a child of ours that is not watched. A look at the list of our own children tells that there is
none, however many processes run.

The instance of such an orphan is found by a variable in its environment; one that has overwritten that, by
its process group, or by a descendant that did neither. One that changed its group, forked twice and has
overwritten its environment as well belongs to no instance.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.system import procfs
from cbox_init.system.environ import read_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


_MAX_LOOKS = 10
"""Enough for any tree that holds still; one that forks for ever is found again at each of its ends."""

_KILL_CHILDREN_S = 2.0
"""How long `kill_children` looks for children that are left."""


class Stray(Struct, frozen=True):
    """A living process; pid and time of start together are never given to another one."""

    pid: int
    pgid: int
    started_ticks: int

    @property
    def started_s(self) -> float:
        """When it was started, in seconds since boot (`procfs.now_since_boot_s`)."""
        return self.started_ticks / procfs.TICKS_PER_S


def signal_group(pgid: int, signum: int) -> bool:
    """Send a signal to a process group; False when it reached no process.

    For the group of a main process that has not been reaped: else its number can be another's by now.
    `find_strays` has what is left of a group when its leader is dead.
    """
    try:
        os.killpg(_checked(pgid), signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_tree(main_pid: int) -> None:
    """Kill a living main process, its group, and all below it: also what leaves the group just now."""
    family = _family(main_pid, procfs.child_lookup(), set()) if procfs.is_ours() else []
    signal_group(main_pid, signal.SIGKILL)
    signal_strays(family, signal.SIGKILL)


def kill_children(known: Collection[int]) -> None:
    """Kill everything below this process, for its own end; ``known`` are children that have not been reaped.

    Reaps what ends, so that what loses its parent is found. As PID 1 all others are below this process.
    """
    if os.getpid() == 1:
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
        return
    for pid in known:
        if pid > 1:
            signal_group(pid, signal.SIGKILL)
    end_at = time.monotonic() + _KILL_CHILDREN_S
    while procfs.is_ours() and time.monotonic() < end_at:
        children = procfs.child_lookup()(os.getpid())
        for pid in children:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def find_strays(
    variable: str, watched: Collection[int], groups: Mapping[int, str] | None = None
) -> dict[str, list[Stray]]:
    """All living processes that have lost their parent to us, and all below them, by whose they are.

    ``variable`` is the environment variable whose values are the keys. A process without it
    is under the empty key. ``watched`` are the children that we have started and not reaped
    (`Reaper.watched`). ``groups`` has a key for each process group of which a member is to be known even
    when it has overwritten its environment: the groups that main processes lead, or led.

    For an instance whose main process is dead and reaped, this is all that is left of it, members of its
    group included: an absent key means that it is over.

    Costs a quarter of a millisecond with 1,000 children when there is nothing to find, and some 50 µs for
    each process found. Takes a descriptor at a time; a daemon that has none left finds nothing.
    """
    strays: dict[str, list[Stray]] = {}
    if not procfs.is_ours():
        return strays
    seen = set(watched)
    for _ in range(_MAX_LOOKS):
        children = procfs.child_lookup()
        orphans = [pid for pid in children(os.getpid()) if pid not in seen]
        if not orphans:
            break
        for orphan in orphans:
            family = _family(orphan, children, seen)
            if family:
                strays.setdefault(_whose(family, variable, groups or {}), []).extend(family)
        # While we looked one may have ended, and its children have come to us: look again for those.
    return strays


def left_group(main_pid: int) -> list[Stray]:
    """The living descendants of a living main process that are not in the group that it leads.

    Those that have lost their parent are no longer among them; `find_strays` has these.
    """
    if not procfs.is_ours():
        return []
    family = _family(main_pid, procfs.child_lookup(), set())
    return [process for process in family if process.pgid != main_pid]


class TreeUsage(Struct, frozen=True):
    """What a main process uses with all that it has started; pages that several share count for each.

    ``cpu_s`` counts children that have ended too, as long as their parent lives and has waited for them.
    """

    cpu_s: float
    rss_bytes: int


def tree_usage(
    main_pid: int, children: Callable[[int], list[int]], strays: Iterable[Stray] = ()
) -> TreeUsage:
    """What a living main process uses, all below it, and the ``strays`` that were found to be its own.

    ``children`` is a `procfs.child_lookup`. Costs some 55 µs for each process.
    """
    cpu_s, total = 0.0, 0
    seen: set[int] = set()
    queue = [main_pid, *(stray.pid for stray in strays)]
    for pid in queue:
        if pid in seen:
            continue
        seen.add(pid)
        figures = procfs.read_figures(pid)
        if figures is not None and figures.alive:
            total += figures.rss_bytes
            cpu_s += figures.cpu_s + figures.waited_cpu_s
            queue.extend(children(pid))
    return TreeUsage(cpu_s, total)


def descends_from(pid: int, main_pid: int) -> bool:
    """Whether a process is in the group that a living main process leads, or below it.

    A zombie counts too, and one that has lost its parent only while it is in the group; `find_strays` has
    the others.
    """
    if pid <= 0 or not procfs.is_ours():
        return False
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        figures = procfs.read_figures(pid)
        if figures is None:
            return False
        if main_pid in (figures.pgid, figures.ppid):
            return True
        seen.add(pid)
        pid = figures.ppid
    return False


def signal_strays(strays: Iterable[Stray], signum: int, refused: list[Stray] | None = None) -> int:
    """Send a signal to those processes that still live, never to another that got the number of one.

    Returns how many got it; those that we are not permitted to signal are added to ``refused``. One that
    forks meanwhile can leave a child behind; that child comes to us when its parent ends, and the next search
    finds it.
    """
    return sum(_signal_stray(stray, signum, refused) for stray in strays)


def _checked(pgid: int) -> int:
    if pgid <= 1:  # 0 is our own group, and 1 makes kill(2) mean everybody
        raise ValueError(f"not the process group of a child: {pgid}")
    return pgid


def _family(root: int, children: Callable[[int], list[int]], seen: set[int]) -> list[Stray]:
    """The living processes among ``root`` and all below it that are not ``seen``, parents before children."""
    family = []
    queue = [root]
    for pid in queue:
        if pid in seen:
            continue
        seen.add(pid)
        figures = procfs.read_figures(pid)
        if figures is not None and figures.alive:
            family.append(Stray(pid, figures.pgid, figures.started_ticks))
            queue.extend(children(pid))
    return family


def _whose(family: list[Stray], variable: str, groups: Mapping[int, str]) -> str:
    """The instance of a family: that of the eldest member for which it is known."""
    for process in family:
        marker = read_variable(process.pid, variable) or groups.get(process.pgid)
        if marker:
            return marker
    return ""


def _signal_stray(stray: Stray, signum: int, refused: list[Stray] | None) -> bool:
    try:
        handle = os.pidfd_open(stray.pid)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            return False
        handle = -1  # an old kernel, or a sandbox that forbids the call
    try:
        # The handle is of whoever has the number now. If that is the one we found, it stays that one.
        figures = procfs.read_figures(stray.pid)
        if figures is None or figures.started_ticks != stray.started_ticks:
            return False
        if handle < 0 or not _signal_by_handle(handle, signum):
            os.kill(stray.pid, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        if refused is not None:
            refused.append(stray)
        return False
    finally:
        if handle >= 0:
            os.close(handle)
    return True


def _signal_by_handle(handle: int, signum: int) -> bool:
    """False where the call is refused: it is by a sandbox, or to this process, which kill(2) then says."""
    try:
        signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        raise
    except OSError:
        return False
    return True
