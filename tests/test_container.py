from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.container import Capacity, LimitSource, read_capacity

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
TOTAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
CPUS = float(len(os.sched_getaffinity(0)))
HOST, V1, V2 = LimitSource.HOST, LimitSource.CGROUP_V1, LimitSource.CGROUP_V2


def capacity_of(tmp_path: Path, membership: str, files: dict[str, str]) -> Capacity:
    for name, content in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "cgroup").write_text(membership)
    return read_capacity(str(tmp_path / "root"), str(tmp_path / "cgroup"))


@pytest.mark.parametrize(
    ("membership", "files", "limit", "source"),
    [
        ("0::/\n", {"memory.max": f"{64 * MIB}\n"}, 64 * MIB, V2),
        ("0::/\n", {"memory.max": "max\n"}, TOTAL, HOST),
        ("0::/\n", {}, TOTAL, HOST),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": f"{32 * MIB}\n"}, 32 * MIB, V2),
        ("0::/a/b\n", {"a/b/memory.max": f"{16 * MIB}\n", "a/memory.max": f"{32 * MIB}\n"}, 16 * MIB, V2),
        # The host's path, of which the container sees the end as the root.
        ("0::/docker/0123\n", {"memory.max": f"{48 * MIB}\n"}, 48 * MIB, V2),
        ("4:cpu,memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": f"{24 * MIB}\n"}, 24 * MIB, V1),
        ("4:memory:/docker/0123\n", {"memory/memory.limit_in_bytes": f"{24 * MIB}\n"}, 24 * MIB, V1),
        # Version 1 says "no limit" with a number above all memory.
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, TOTAL, HOST),
        ("4:memoryless:/\n", {"memory/memory.limit_in_bytes": "1024\n"}, TOTAL, HOST),
        ("broken\n\n", {"memory.max": "1024\n"}, TOTAL, HOST),
        ("0::/\n", {"memory.max": "a lot\n"}, TOTAL, HOST),
    ],
)
def test_the_least_limit_of_memory_counts(
    tmp_path: Path, membership: str, files: dict[str, str], limit: int, source: LimitSource
) -> None:
    found = capacity_of(tmp_path, membership, files)
    assert (found.memory, found.memory_source) == (limit, source)


@pytest.mark.parametrize(
    ("membership", "files", "cpus", "source"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5, V2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, CPUS, HOST),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, CPUS, HOST),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "20000 100000\n"}, 0.2, V2),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "25000\n", "cpu/x/cpu.cfs_period_us": "50000"},
            0.5,
            V1,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, CPUS, HOST),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100\n"}, CPUS, HOST),
        ("0::/\n", {"cpu.max": "1 0\n"}, CPUS, HOST),
    ],
)
def test_the_least_share_of_cpus_counts(
    tmp_path: Path, membership: str, files: dict[str, str], cpus: float, source: LimitSource
) -> None:
    found = capacity_of(tmp_path, membership, files)
    assert (found.cpus, found.cpus_source) == (cpus, source)


def test_a_machine_without_cgroups() -> None:
    assert read_capacity("/no/such", "/no/such") == Capacity(TOTAL, HOST, CPUS, HOST)


def test_this_machine() -> None:
    found = read_capacity()
    assert 0 < found.memory <= TOTAL
    assert 0 < found.cpus <= CPUS
