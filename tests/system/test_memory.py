from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.memory import memory_limit

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
TOTAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/\n", {"memory.max": f"{64 * MIB}\n"}, 64 * MIB),
        ("0::/\n", {"memory.max": "max\n"}, TOTAL),
        ("0::/\n", {}, TOTAL),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": f"{32 * MIB}\n"}, 32 * MIB),
        ("0::/a/b\n", {"a/b/memory.max": f"{16 * MIB}\n", "a/memory.max": f"{32 * MIB}\n"}, 16 * MIB),
        # The host's path, of which the container sees the end as the root.
        ("0::/docker/0123\n", {"memory.max": f"{48 * MIB}\n"}, 48 * MIB),
        ("4:cpu,memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": f"{24 * MIB}\n"}, 24 * MIB),
        ("4:memory:/docker/0123\n", {"memory/memory.limit_in_bytes": f"{24 * MIB}\n"}, 24 * MIB),
        # Version 1 says "no limit" with a number above all memory.
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, TOTAL),
        ("4:memoryless:/\n", {"memory/memory.limit_in_bytes": "1024\n"}, TOTAL),
        ("broken\n\n", {"memory.max": "1024\n"}, TOTAL),
        ("0::/\n", {"memory.max": "a lot\n"}, TOTAL),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, membership: str, files: dict[str, str], limit: int) -> None:
    for name, content in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "cgroup").write_text(membership)
    assert memory_limit(str(tmp_path / "root"), str(tmp_path / "cgroup")) == limit


def test_a_machine_without_cgroups() -> None:
    assert memory_limit("/no/such", "/no/such") == TOTAL


def test_this_machine() -> None:
    assert 0 < memory_limit() <= TOTAL
