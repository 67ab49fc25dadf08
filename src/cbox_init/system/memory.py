"""How much memory this container has."""

from __future__ import annotations

import os


def memory_limit(cgroup_root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int:
    """The least of the limits that hold for us, in bytes: those of our cgroup and of the ones above it
    (version 2, else version 1), and the memory of the machine.
    """
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open(membership, encoding="utf-8", errors="surrogateescape") as file:
            entries = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        entries = []
    limits = [total]
    for entry in entries:
        if len(entry) != 3:
            continue
        _, controllers, path = entry
        if not controllers:
            limits += _limits(cgroup_root, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(os.path.join(cgroup_root, "memory"), path, "memory.limit_in_bytes")
    return min(limits)


def _limits(root: str, path: str, name: str) -> list[int]:
    """The limits on the way from a cgroup up to the root of its hierarchy.

    Inside of a container the path may be the host's, of which nothing but the end is mounted, as the root.
    """
    limits = []
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        try:
            with open(os.path.join(root, *parts[:depth], name), encoding="ascii") as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):
            continue  # not there, or "max"
    return limits
