"""How much memory and how many CPUs this container has, and which limit says so."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator


class LimitSource(StrEnum):
    """What limits a container; ``given`` is a limit that an operator has named."""

    CGROUP_V2 = "cgroup v2"
    CGROUP_V1 = "cgroup v1"
    HOST = "host"
    GIVEN = "given"


class Capacity(Struct, frozen=True):
    """``memory`` in bytes; ``cpus`` may be a fraction. The host is the source of what nothing else limits."""

    memory: int
    memory_source: LimitSource
    cpus: float
    cpus_source: LimitSource


def read_capacity(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> Capacity:
    """The least of the limits that hold for us: those of our cgroup, of the ones above it, and the machine.

    A CPU that we may not run on (a cpuset) does not count.
    """
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits: list[tuple[int, LimitSource]] = [(total, LimitSource.HOST)]
    shares: list[tuple[float, LimitSource]] = [(float(len(os.sched_getaffinity(0))), LimitSource.HOST)]
    for source, controllers, path in _memberships(membership):
        if source is LimitSource.CGROUP_V2:
            limits += [(limit, source) for limit in _numbers(root, path, "memory.max")]
            shares += [(share, source) for share in _shares(root, path)]
            continue
        if "memory" in controllers:
            found = _numbers(os.path.join(root, "memory"), path, "memory.limit_in_bytes")
            limits += [(limit, source) for limit in found]
        if "cpu" in controllers:
            shares += [(share, source) for share in _old_shares(os.path.join(root, "cpu"), path)]
    memory = min(limits, key=lambda one: one[0])
    cpus = min(shares, key=lambda one: one[0])
    return Capacity(*memory, *cpus)


def _memberships(file: str) -> Iterator[tuple[LimitSource, list[str], str]]:
    """Our cgroup in each hierarchy: version, controllers, path."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            entries = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return
    for entry in entries:
        if len(entry) == 3:
            controllers = entry[1].split(",")
            yield LimitSource.CGROUP_V1 if entry[1] else LimitSource.CGROUP_V2, controllers, entry[2]


def _numbers(root: str, path: str, name: str) -> list[int]:
    """The numbers of a file in each cgroup from ours up to the root; ``max`` is none."""
    return [number for (text,) in _upward(root, path, name) if (number := _number(text)) is not None]


def _shares(root: str, path: str) -> Iterator[float]:
    """The CPUs that ``cpu.max`` of each cgroup allows."""
    for (text,) in _upward(root, path, "cpu.max"):
        quota, _, period = text.partition(" ")
        yield from _cpus(quota, period or "100000")


def _old_shares(root: str, path: str) -> Iterator[float]:
    for quota, period in _upward(root, path, "cpu.cfs_quota_us", "cpu.cfs_period_us"):
        yield from _cpus(quota, period)  # a quota of -1 is none


def _cpus(quota: str, period: str) -> Iterator[float]:
    used, of = _number(quota), _number(period)
    if used is not None and of is not None and used > 0 and of > 0:
        yield used / of


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None  # "max", or not what the kernel writes


def _upward(root: str, path: str, *names: str) -> Iterator[list[str]]:
    """The files of each cgroup on the way from ours up to the root of its hierarchy.

    Inside of a container the path may be the host's, of which nothing but the end is mounted, as the root.
    """
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        try:
            yield [_text(os.path.join(root, *parts[:depth], name)) for name in names]
        except (OSError, ValueError):
            continue  # not there


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(256).strip()
