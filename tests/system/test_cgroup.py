"""Cgroups: found by what the kernel tells, made in a tree of files, and for real where they can be had."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.system.cgroup import LEAF, Cgroup, Cgroups, CgroupUnusable, find_parent
from cbox_init.system.reaper import become_subreaper
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import Limits

from .helpers import isolated, make_request, until

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = "31 23 0:27 {root} {point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER = "30 23 0:26 / /sys rw - sysfs sysfs rw\n"
FILES = ("cgroup.controllers", "cgroup.procs", "cgroup.subtree_control")


class Tree:
    """What the kernel shows: /proc/self, and cgroups as directories of files."""

    def __init__(self, folder: Path, *, root: str = "/", own: str = "/") -> None:
        self.proc = folder / "proc"
        self.point = folder / "a cgroup"
        self.proc.mkdir()
        self.mount(self.point, root)
        self.be_in(own)
        self.cgroup(self.point / own.removeprefix(root).strip("/"))

    def mount(self, point: Path, root: str = "/") -> None:
        mount = MOUNT.format(root=root, point=str(point).replace(" ", r"\040"))
        (self.proc / "mountinfo").write_text(OTHER + mount)

    def be_in(self, path: str) -> None:
        (self.proc / "cgroup").write_text(f"4:memory:/x\n1:name=systemd:/y\n0::{path}\n")

    def cgroup(self, path: Path, **files: str) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        contents = {"cgroup.controllers": "cpu io memory pids", **files}
        for name in (*FILES, *files, "memory.max", "cpu.max"):
            (path / name).write_text(contents.get(name, ""))
        return path

    @property
    def cgroups(self) -> Cgroups:
        return Cgroups(str(self.proc))

    def unusable(self) -> str:
        with pytest.raises(CgroupUnusable) as caught:
            find_parent(str(self.proc))
        assert self.cgroups.lacks("memory") == str(caught.value)
        with pytest.raises(CgroupUnusable):
            self.cgroups.make("web-0", memory=1, cpu=None)
        return str(caught.value)


@pytest.mark.parametrize(
    ("root", "own", "below"),
    [
        ("/", "/", ""),
        ("/", "/system.slice/x.service", "system.slice/x.service"),
        ("/docker/abc", "/docker/abc", ""),
        ("/docker", "/docker/abc", "abc"),
    ],
)
def test_our_own_cgroup_is_where_it_is_mounted(tmp_path: Path, root: str, own: str, below: str) -> None:
    tree = Tree(tmp_path, root=root, own=own)
    parent = find_parent(str(tree.proc))
    assert parent.path == str(tree.point / below)
    assert parent.controllers == {"cpu", "io", "memory", "pids"}


def test_the_leaf_of_an_earlier_daemon_is_not_the_place(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.cgroup(tree.point, **{"cgroup.subtree_control": "cpu memory"})
    tree.cgroup(tree.point / LEAF)
    tree.be_in(f"/{LEAF}")
    assert find_parent(str(tree.proc)).path == str(tree.point)


def test_no_cgroup_v2_in_the_kernel(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.proc / "cgroup").write_text("4:memory:/x\n")
    assert tree.unusable() == "the kernel has no cgroup v2"


def test_none_is_mounted(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.proc / "mountinfo").write_text(OTHER)
    assert tree.unusable() == "no cgroup v2 is mounted"


def test_ours_is_outside_of_what_is_mounted(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.be_in("/../../init.scope")
    assert tree.unusable().startswith("our cgroup (/../../init.scope) is outside of what is mounted at ")


def test_ours_is_not_to_be_seen(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.be_in("/elsewhere")
    assert tree.unusable().endswith("/elsewhere is not visible from here")


def test_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container has it as a rule: mounted read-only."""
    tree = Tree(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert tree.unusable().endswith("cannot be written: it is mounted read-only or not delegated")


def test_a_controller_that_is_not_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.point / "cgroup.controllers").write_text("cpu pids\n")
    assert tree.cgroups.lacks("cpu") is None
    lack = tree.cgroups.lacks("memory")
    assert lack is not None
    assert lack.endswith("has no controller memory: not delegated, or of cgroup v1")


def test_limits_are_written(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    web = tree.cgroup(tree.point / "web-0")
    cgroup = tree.cgroups.make("web-0", memory=64 << 20, cpu=0.5)
    assert cgroup.path == str(web)
    assert (tree.point / "cgroup.subtree_control").read_text() == "+cpu +memory"
    assert (web / "memory.max").read_text() == str(64 << 20)
    assert (web / "cpu.max").read_text() == "50000 100000"


@pytest.mark.parametrize(
    ("cpu", "written"), [(None, "max 100000"), (0.01, "1000 100000"), (2.5, "250000 100000")]
)
def test_shares_of_cpu(tmp_path: Path, cpu: float | None, written: str) -> None:
    tree = Tree(tmp_path)
    web = tree.cgroup(tree.point / "web-0")
    tree.cgroups.make("web-0", memory=None, cpu=cpu)
    assert (web / "cpu.max").read_text() == written
    assert (web / "memory.max").read_text() == "max"


def test_who_is_there_moves_into_a_leaf_first(tmp_path: Path) -> None:
    """But for the root of all cgroups, which has no type, and where the kernel's own threads are."""
    tree = Tree(tmp_path)
    tree.cgroup(tree.point, **{"cgroup.type": "domain", "cgroup.procs": "1"})
    leaf, _ = tree.cgroup(tree.point / LEAF), tree.cgroup(tree.point / "web-0")
    tree.cgroups.make("web-0", memory=1, cpu=None)
    assert (leaf / "cgroup.procs").read_text() == "1"


def test_nobody_moves_where_the_controllers_are_handed_down_already(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    files = {"cgroup.type": "domain", "cgroup.procs": "1", "cgroup.subtree_control": "memory cpu"}
    tree.cgroup(tree.point, **files)
    tree.cgroup(tree.point / "web-0")
    tree.cgroups.make("web-0", memory=1, cpu=None)
    assert not (tree.point / LEAF).exists()


def test_what_cannot_be_made_says_where(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    with pytest.raises(CgroupUnusable, match=r"web-0/memory.max: No such file or directory$"):
        tree.cgroups.make("web-0", memory=1, cpu=None)
    with pytest.raises(CgroupUnusable, match=r"File name too long$"):
        tree.cgroups.make("x" * 300, memory=1, cpu=None)


def test_kills_are_counted_from_the_beginning_of_the_run(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    cgroup = Cgroup(str(tmp_path))
    assert cgroup.oom_kills == 0
    events.write_text("low 0\noom 4\noom_kill 3\noom_group_kill 0\n")
    assert cgroup.oom_kills == 1


def test_without_a_count_there_were_none(tmp_path: Path) -> None:
    assert Cgroup(str(tmp_path)).oom_kills == 0


def test_what_is_not_empty_is_removed_later(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    web = tree.cgroup(tree.point / "web-0")
    cgroups = tree.cgroups
    cgroup = cgroups.make("web-0", memory=1, cpu=None)
    cgroups.remove(cgroup)
    assert web.exists()
    for file in web.iterdir():
        file.unlink()
    tree.cgroup(tree.point / "web-1")
    cgroups.remove(cgroups.make("web-1", memory=1, cpu=None))
    assert not web.exists()


@pytest.mark.cgroup
def test_for_real() -> None:
    """A child in a cgroup of its own is killed above its memory, and its cgroup can be removed."""

    def test() -> None:
        assert become_subreaper()
        spawner, cgroups = Spawner(), Cgroups()
        cgroup = cgroups.make(f"test-cbox-init-{os.getpid()}", memory=16 << 20, cpu=0.5)
        limits = Limits(where="web.limits", cgroup=cgroup.path)
        pid = spawner.spawn(replace(make_request("tail", "/dev/zero"), limits=limits))
        with open(f"{cgroup.path}/cgroup.procs") as file:
            assert file.read().split() == [str(pid)]
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert cgroup.oom_kills == 1
        cgroups.remove(cgroup)
        until(lambda: not os.path.exists(cgroup.path))
        spawner.close()

    isolated(test)
