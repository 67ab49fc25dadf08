"""What a tree of real processes uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.system import procfs
from cbox_init.system.usage import UsageWalk, count_descriptors, proportional_bytes, read_transferred

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Holds 40 descriptors and two children, says so, and waits.
TREE = """
import subprocess, sys
files = [open("/dev/null") for _ in range(40)]
children = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
print("ready", flush=True)
sys.stdin.read()
for child in children: child.kill()
"""


@pytest.fixture
def tree() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.communicate()


def test_a_tree(tree: int) -> None:
    found = UsageWalk(tree, (), procfs.child_lookup()).go_on(time.monotonic() + 100)
    figures = procfs.read_figures(tree)
    assert found is not None and figures is not None
    assert found.tree_processes == 3
    assert found.rss_bytes == figures.rss_bytes < found.tree_rss_bytes
    assert found.vms_bytes == figures.vms_bytes and found.threads == figures.threads
    assert found.descriptors is not None and found.descriptors >= 40
    assert found.tree_cpu_s >= found.cpu_s > 0
    assert found.started_ticks == figures.started_ticks


def test_a_tree_is_read_in_parts(tree: int) -> None:
    walk = UsageWalk(tree, (), procfs.child_lookup())
    assert walk.go_on(0.0) is None and walk.go_on(0.0) is None
    found = walk.go_on(0.0)
    assert found is not None and found.tree_processes == 3


def test_strays_count_with_the_tree(tree: int) -> None:
    found = UsageWalk(tree, (os.getpid(),), lambda pid: []).go_on(time.monotonic() + 100)
    assert found is not None and found.tree_processes == 2


def test_a_process_that_has_ended(tree: int) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    for pid in (ended.pid, 2**22 + 1):
        with pytest.raises((ProcessLookupError, FileNotFoundError)):
            UsageWalk(pid, (), procfs.child_lookup()).go_on(time.monotonic() + 100)


def test_without_lists_of_children(tree: int) -> None:
    table = procfs.children_table()
    found = UsageWalk(tree, (), lambda pid: table.get(pid, [])).go_on(time.monotonic() + 100)
    assert found is not None and found.tree_processes == 3


def test_figures_of_ourselves() -> None:
    before = read_transferred(os.getpid())
    assert before is not None, "of ourselves it is always shown"
    # One that an earlier test has left may be closed between the two.
    counts = [(count_descriptors(os.getpid()), len(os.listdir("/proc/self/fd")) - 1) for _ in range(100)]
    assert any(ours == listed for ours, listed in counts)


def test_proportional_memory(tree: int) -> None:
    figures = procfs.read_figures(tree)
    assert figures is not None
    found = proportional_bytes(tree, figures.started_ticks, ())
    whole = proportional_bytes(tree, figures.started_ticks, (os.getpid(),))
    assert found is not None and whole is not None
    assert 100_000 < found < figures.rss_bytes * 3
    assert whole > found
    assert proportional_bytes(tree, figures.started_ticks + 1, ()) is None, "another with the same number"
    assert proportional_bytes(2**22 + 1, 1, ()) is None


def test_what_is_not_shown_is_none(tree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read = procfs.read_bytes

    def hidden(path: str) -> bytes:
        if path.endswith("/io"):
            raise PermissionError(13, "Permission denied")
        return read(path)

    def no_directory(path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(procfs, "read_bytes", hidden)
    monkeypatch.setattr(os, "stat", no_directory)
    found = UsageWalk(tree, (), procfs.child_lookup()).go_on(time.monotonic() + 100)
    monkeypatch.undo()
    assert found is not None
    assert found.descriptors is found.read_bytes is found.written_bytes is None
    assert found.tree_processes == 3
