"""Control groups, version 2: one for each instance, below ours.

    our cgroup ─┬─ cbox-init      the daemon, and what is not limited
                ├─ web-0          memory.max, cpu.max
                └─ web-1

The kernel lets a cgroup hand its controllers down only when no process is in it (but for the root of all).
Hence the daemon, and whoever else is there, moves into a leaf when the first instance is to be limited.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The cgroup of the daemon itself. No instance is called so: their names end with a number.
LEAF: Final = "cbox-init"

#: Microseconds of ``cpu.max`` in which a share of the CPUs is used up.
PERIOD_US: Final = 100_000

#: How often the processes in our cgroup are moved: one that forks meanwhile leaves another one there.
_MOST_LOOKS: Final = 10


class CgroupUnusable(Exception):
    """A cgroup cannot be used; the message has the reason."""


class CgroupParent(Struct, frozen=True):
    """A cgroup below which others can be made, with the controllers that it can hand down."""

    path: str
    controllers: frozenset[str]


class Cgroup:
    """The cgroup of one instance; removed by `Cgroups.remove`."""

    __slots__ = ("_kills_before", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._kills_before = _oom_kills(path)

    @property
    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed since, as their memory was above its limit."""
        return _oom_kills(self.path) - self._kills_before


class Cgroups:
    """The cgroups of instances, below our own. Nothing is touched before the first is made.

    ``proc`` is the directory of this process in /proc.
    """

    def __init__(self, proc: str = "/proc/self") -> None:
        self._parent: CgroupParent | None = None
        self._unusable = ""
        self._ready = False
        self._left: set[str] = set()
        try:
            self._parent = find_parent(proc)
        except CgroupUnusable as error:
            self._unusable = str(error)

    def lacks(self, controller: str) -> str | None:
        """Why no cgroup with that controller can be had here; None when one can."""
        if self._parent is None:
            return self._unusable
        if controller in self._parent.controllers:
            return None
        return (
            f"the cgroup {self._parent.path} has no controller {controller}: not delegated, or of cgroup v1"
        )

    def make(self, name: str, *, memory: int | None, cpu: float | None) -> Cgroup:
        """A cgroup with these limits: bytes, and CPUs. Raises CgroupUnusable.

        One of that name that is there, with processes that an earlier instance has left, is used again.
        """
        parent = self._parent
        if parent is None:
            raise CgroupUnusable(self._unusable)
        self._remove_left()
        path = os.path.join(parent.path, name)
        try:
            if not self._ready:
                _hand_down(parent)
                self._ready = True
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
            self._left.discard(path)
            if "memory" in parent.controllers:
                _write(path, "memory.max", "max" if memory is None else str(memory))
            if "cpu" in parent.controllers:
                share = "max" if cpu is None else f"{max(1000, round(cpu * PERIOD_US))}"
                _write(path, "cpu.max", f"{share} {PERIOD_US}")
        except OSError as error:
            raise CgroupUnusable(f"{error.filename or path}: {error.strerror}") from error
        return Cgroup(path)

    def remove(self, cgroup: Cgroup) -> None:
        """Nothing is left of the instance. Where something is after all, it is tried again now and then."""
        self._left.add(cgroup.path)
        self._remove_left()

    def _remove_left(self) -> None:
        for path in tuple(self._left):
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                    continue
            self._left.discard(path)


def find_parent(proc: str = "/proc/self") -> CgroupParent:
    """Our own cgroup, when others can be made below it. Raises CgroupUnusable with the reason."""
    membership = _membership(proc)
    path = _mounted_at(proc, membership)
    above, name = os.path.split(path)
    if name == LEAF and _names(above, "cgroup.subtree_control"):
        path = above  # the leaf that a daemon before us has moved into, and us with it
    if not os.path.exists(os.path.join(path, "cgroup.controllers")):
        raise CgroupUnusable(f"the cgroup {path} is not visible from here")
    for file in ("", "cgroup.procs", "cgroup.subtree_control"):
        if not os.access(os.path.join(path, file), os.W_OK):
            raise CgroupUnusable(
                f"the cgroup {path} cannot be written: it is mounted read-only or not delegated"
            )
    return CgroupParent(path, frozenset(_names(path, "cgroup.controllers")))


def _membership(proc: str) -> str:
    """The path of our cgroup in its hierarchy."""
    for line in _lines(os.path.join(proc, "cgroup")):
        hierarchy, _, path = line.split(":", 2)
        if hierarchy == "0":
            return path
    raise CgroupUnusable("the kernel has no cgroup v2")


def _mounted_at(proc: str, membership: str) -> str:
    """The directory that a path of the hierarchy is mounted at."""
    reason = "no cgroup v2 is mounted"
    for line in _lines(os.path.join(proc, "mountinfo")):
        mount, _, kind = line.partition(" - ")
        if kind.split(" ", 1)[0] != "cgroup2":
            continue
        root, point = (_unescaped(field) for field in mount.split(" ")[3:5])
        below = os.path.relpath(membership, root)
        if ".." not in f"{membership}/{root}/{below}".split("/"):  # what is above a namespace shows as ..
            return os.path.normpath(os.path.join(point, below))
        reason = f"our cgroup ({membership}) is outside of what is mounted at {point}"
    raise CgroupUnusable(reason)


def _hand_down(parent: CgroupParent) -> None:
    """Have the controllers for the cgroups below this one. Raises OSError."""
    wanted = parent.controllers & {"cpu", "memory"}
    if wanted <= set(_names(parent.path, "cgroup.subtree_control")):
        return
    if os.path.exists(os.path.join(parent.path, "cgroup.type")):  # all but the root of the hierarchy
        _vacate(parent.path)
    _write(parent.path, "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(wanted)))


def _vacate(path: str) -> None:
    leaf = os.path.join(path, LEAF)
    with contextlib.suppress(FileExistsError):
        os.mkdir(leaf)
    for _ in range(_MOST_LOOKS):
        pids = _names(path, "cgroup.procs")
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                _write(leaf, "cgroup.procs", pid)


def _oom_kills(path: str) -> int:
    for line in _lines(os.path.join(path, "memory.events")):
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0


def _names(path: str, file: str) -> list[str]:
    """The words of a file; none when it cannot be read."""
    return [word for line in _lines(os.path.join(path, file)) for word in line.split()]


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield from (line.rstrip("\n") for line in file)
    except OSError:
        return


def _write(path: str, file: str, text: str) -> None:
    descriptor = os.open(os.path.join(path, file), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.path.join(path, file)) from error
    finally:
        os.close(descriptor)


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, in which blanks and the like are ``\040``."""
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
