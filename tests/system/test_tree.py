from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.system import procfs
from cbox_init.system.reaper import ExitStatus, Reaper, become_subreaper
from cbox_init.system.spawn import Spawner
from cbox_init.system.tree import (
    Stray,
    find_strays,
    kill_tree,
    left_group,
    signal_group,
    signal_strays,
)

from .helpers import ENV, as_root, become_nobody, isolated, make_request, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE = "ID"


class Ground:
    """A daemon of its own with the parts that this layer has."""

    def __init__(self) -> None:
        assert become_subreaper()
        self.spawner = Spawner()
        self.reaper = Reaper()
        self.exits: dict[int, ExitStatus] = {}

    def start(self, script: str, marker: str = "web-0") -> int:
        pid = self.spawner.spawn(make_request("sh", "-c", script, env={**ENV, VARIABLE: marker}))
        self.reaper.watch(pid, lambda status: self.exits.update({pid: status}))
        return pid

    def end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.ended(pid)

    def ended(self, pid: int) -> None:
        until(lambda: (self.reaper.reap(), pid in self.exits)[1])

    def find(self, groups: Mapping[int, str] | None = None) -> dict[str, list[Stray]]:
        return find_strays(VARIABLE, self.reaper.watched, groups)

    def names(self, groups: Mapping[int, str] | None = None) -> dict[str, list[str]]:
        """The programs that were found."""
        return {marker: sorted(map(name, strays)) for marker, strays in self.find(groups).items()}

    def clear(self) -> None:
        """Kill all that is left, until nothing is."""

        def nothing_left() -> bool:
            for strays in self.find().values():
                signal_strays(strays, signal.SIGKILL)
            self.reaper.reap()
            return procfs.listed_children(os.getpid()) == []

        for pid in list(self.reaper.watched):
            self.end(pid)
        until(nothing_left)
        assert self.find() == {}


def name(stray: Stray) -> str:
    return command(stray.pid)


def command(pid: int) -> str:
    """Its command line; empty when it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return " ".join(file.read().split("\0")).strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def state(pid: int) -> str | None:
    figures = procfs.read_figures(pid)
    return figures.state if figures else None


def on_ground(test: Callable[[Ground], None]) -> None:
    """Run a test in a fork that is a subreaper; in the end nothing may be left of what it started."""

    def body() -> None:
        ground = Ground()
        test(ground)
        ground.clear()

    isolated(body)


def test_a_group_can_be_told_as_long_as_it_has_a_member() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("sleep 1001 & exit 0")
        assert signal_group(main, 0)
        ground.ended(main)
        assert signal_group(main, signal.SIGKILL)  # sleep
        until(lambda: (ground.reaper.reap(), not signal_group(main, 0))[1])

    on_ground(test)


@pytest.mark.parametrize("pgid", [1, 0, -1])
def test_a_group_that_would_mean_us_or_all_is_refused(pgid: int) -> None:
    with pytest.raises(ValueError, match="not the process group of a child"):
        signal_group(pgid, 0)


@as_root
def test_a_group_of_another_user_is_out_of_reach() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("sleep 1001")

        def stranger() -> None:
            become_nobody()
            assert not signal_group(main, signal.SIGKILL)

        isolated(stranger)
        assert not ground.exits

    on_ground(test)


def test_nothing_is_found_where_nothing_strayed() -> None:
    def test(ground: Ground) -> None:
        for index in range(5):
            ground.start("sleep 1001 & sleep 1002 & wait", f"web-{index}")
        assert ground.find() == {}

    on_ground(test)


def test_a_daemon_that_forked_twice_is_found_while_its_main_lives() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("(setsid sleep 1001 &) ; sleep 1002 & exec sleep 1003")
        ground.start("exec sleep 1004", "api-0")
        until(lambda: ground.names() == {"web-0": ["sleep 1001"]})
        (stray,) = ground.find()["web-0"]
        assert stray.pgid != main
        assert left_group(main) == []

    on_ground(test)


def test_what_left_the_group_below_a_living_main() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("setsid sh -c 'sleep 1001; true' & sleep 1002 & wait")
        until(lambda: sorted(map(name, left_group(main))) == ["sh -c sleep 1001; true", "sleep 1001"])
        until(lambda: "sleep 1002" in map(command, procfs.listed_children(main)))
        assert ground.find() == {}
        # It comes to us when its parent ends.
        ground.end(main)
        assert ground.names() == {"web-0": ["sh -c sleep 1001; true", "sleep 1001", "sleep 1002"]}

    on_ground(test)


def test_what_leaves_the_group_while_that_is_killed_is_killed_too() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("sh -c 'kill -STOP $$; exec setsid sleep 1001' & wait")
        until(lambda: [state(pid) for pid in procfs.listed_children(main)] == ["T"])
        (child,) = procfs.listed_children(main)
        killpg = os.killpg

        def too_late(pgid: int, signum: int) -> None:
            os.kill(child, signal.SIGCONT)
            until(lambda: os.getsid(child) == child)
            killpg(pgid, signum)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "killpg", too_late)
            kill_tree(main)
        until(lambda: (ground.reaper.reap(), procfs.listed_children(os.getpid()) == [])[1])

    on_ground(test)


def test_all_that_is_left_of_a_dead_main_is_found_and_nothing_of_others() -> None:
    def test(ground: Ground) -> None:
        script = "sleep 1001 & setsid sleep 1002 & exit 0"
        mains = [ground.start(script, f"web-{index}") for index in range(3)]
        ground.start("sleep 1003 & wait", "api-0")
        for main in mains:
            ground.ended(main)
        left = ["sleep 1001", "sleep 1002"]
        until(lambda: ground.names() == {"web-0": left, "web-1": left, "web-2": left})
        assert signal_strays(ground.find()["web-1"], signal.SIGTERM) == 2
        # One that is ending has no environment any more before it is a zombie: for a moment it is nobody's.
        until(lambda: (ground.reaper.reap(), ground.names() == {"web-0": left, "web-2": left})[1])

    on_ground(test)


def test_a_marker_of_a_supervisor_within_does_not_hide_whose_it_is() -> None:
    def test(ground: Ground) -> None:
        ground.ended(ground.start("setsid sh -c 'ID=inner-0 sleep 1001; true' & exit 0"))
        until(lambda: ground.names() == {"web-0": ["sh -c ID=inner-0 sleep 1001; true", "sleep 1001"]})

    on_ground(test)


def test_a_process_without_its_environment() -> None:
    def test(ground: Ground) -> None:
        in_group = ground.start("env -i sleep 1001 & exit 0", "web-0")
        ground.ended(in_group)
        ground.ended(ground.start("env -i setsid sleep 1002 & exit 0", "web-1"))
        ground.ended(ground.start("env -i setsid /bin/sh -c 'ID=web-2 sleep 1003; true' & exit 0", "web-2"))
        expected = {
            "web-0": ["sleep 1001"],  # by its group
            "": ["sleep 1002"],
            "web-2": ["/bin/sh -c ID=web-2 sleep 1003; true", "sleep 1003"],  # by its child
        }
        until(lambda: ground.names({in_group: "web-0"}) == expected)
        assert sorted(ground.names()[""]) == ["sleep 1001", "sleep 1002"]

    on_ground(test)


def test_zombies_are_nobodys() -> None:
    def test(ground: Ground) -> None:
        main = ground.start("sleep 1001 & setsid sleep 1002 & exit 0")
        os.waitid(os.P_PID, main, os.WEXITED | os.WNOWAIT)
        ground.ended(main)
        until(lambda: len(ground.names().get("web-0", [])) == 2)
        strays = ground.find()["web-0"]
        signal_strays(strays, signal.SIGKILL)
        for stray in strays:
            os.waitid(os.P_PID, stray.pid, os.WEXITED | os.WNOWAIT)
        assert ground.find() == {}
        assert len(procfs.listed_children(os.getpid())) == 2

    on_ground(test)


def test_children_that_come_to_us_while_we_look_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def test(ground: Ground) -> None:
        ground.ended(ground.start("setsid sh -c 'sleep 1001; true' & exit 0"))
        until(lambda: ground.names() == {"web-0": ["sh -c sleep 1001; true", "sleep 1001"]})
        parent = ground.find()["web-0"][0]
        read_figures = procfs.read_figures

        def die_first(pid: int) -> procfs.ProcFigures | None:
            if pid == parent.pid:
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return read_figures(pid)

        monkeypatch.setattr(procfs, "read_figures", die_first)
        assert ground.names() == {"web-0": ["sleep 1001"]}

    on_ground(test)


def test_a_tree_that_forks_while_it_is_killed_ends() -> None:
    def test(ground: Ground) -> None:
        script = "while :; do setsid sh -c 'sleep 0.01; sleep 1001' & sleep 0.005; done"
        main = ground.start(script)
        until(lambda: len(left_group(main)) > 20)
        ground.end(main)

        def nothing_left() -> bool:
            for strays in ground.find().values():
                signal_strays(strays, signal.SIGKILL)
            ground.reaper.reap()
            return procfs.listed_children(os.getpid()) == []

        until(nothing_left)

    on_ground(test)


@pytest.mark.parametrize("refusal", [None, errno.ENOSYS, errno.EPERM])
def test_a_number_that_is_used_again_is_not_hit(monkeypatch: pytest.MonkeyPatch, refusal: int | None) -> None:
    """Also on a kernel, or in a sandbox, that has no descriptors of processes."""

    def refuse(_: int) -> int:
        assert refusal is not None
        raise OSError(refusal, "refused")

    def test(ground: Ground) -> None:
        if refusal is not None:
            monkeypatch.setattr(os, "pidfd_open", refuse)
        ground.ended(ground.start("setsid sleep 1001 & exit 0"))
        until(lambda: ground.names() == {"web-0": ["sleep 1001"]})
        (stray,) = ground.find()["web-0"]
        descriptors = os.listdir("/proc/self/fd")
        another = Stray(stray.pid, stray.pgid, stray.started_ticks - 1)
        assert signal_strays([another], signal.SIGKILL) == 0
        assert ground.names() == {"web-0": ["sleep 1001"]}
        assert signal_strays([stray], signal.SIGKILL) == 1
        until(ground.reaper.reap)
        assert signal_strays([stray], signal.SIGKILL) == 0
        assert os.listdir("/proc/self/fd") == descriptors

    on_ground(test)


@as_root
def test_a_process_that_we_may_not_signal() -> None:
    def test(ground: Ground) -> None:
        figures = procfs.read_figures(os.getpid())
        assert figures is not None
        us = Stray(os.getpid(), figures.pgid, figures.started_ticks)

        def stranger() -> None:
            become_nobody()
            assert signal_strays([us], signal.SIGKILL) == 0

        isolated(stranger)

    on_ground(test)


def test_a_kernel_without_lists_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    def test(ground: Ground) -> None:
        with monkeypatch.context() as patch:
            exists = os.path.exists
            patch.setattr(os.path, "exists", lambda path: not path.endswith("/children") and exists(path))
            main = ground.start("setsid sh -c 'sleep 1001; true' & sleep 1002 & wait")
            until(lambda: sorted(map(name, left_group(main))) == ["sh -c sleep 1001; true", "sleep 1001"])
            ground.end(main)
            left = {"web-0": ["sh -c sleep 1001; true", "sleep 1001", "sleep 1002"]}
            until(lambda: ground.names() == left)

    on_ground(test)
