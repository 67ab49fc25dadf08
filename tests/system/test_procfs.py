from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from cbox_init.system import procfs

from .helpers import isolated, make_request, run_program, until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from cbox_init.system.spawn import Spawner


def test_our_own_figures() -> None:
    figures = procfs.read_figures(os.getpid())
    assert figures is not None
    assert figures.state == "R"
    assert figures.alive
    assert (figures.ppid, figures.pgid) == (os.getppid(), os.getpgid(0))
    assert abs(figures.cpu_s - time.process_time()) < 0.5
    assert 1_000_000 < figures.rss_bytes < figures.vms_bytes


def test_our_own_threads() -> None:
    def threads() -> int:
        figures = procfs.read_figures(os.getpid())
        return figures.threads if figures else 0

    # One of an earlier test may end between the two.
    until(lambda: threads() == len(os.listdir("/proc/self/task")))


def test_a_name_with_parentheses_and_blanks(spawner: Spawner, tmp_path: Path) -> None:
    program = shutil.copy("/bin/sleep", tmp_path / "a) R 1 (b")
    pid = spawner.spawn(make_request(str(program), "100"))
    until(lambda: getattr(procfs.read_figures(pid), "state", None) == "S")
    figures = procfs.read_figures(pid)
    assert figures is not None
    assert (figures.ppid, figures.pgid, figures.threads) == (os.getpid(), pid, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert procfs.read_figures(pid) is None


def test_a_zombie_is_not_alive(spawner: Spawner) -> None:
    pid = spawner.spawn(make_request("true"))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    figures = procfs.read_figures(pid)
    assert figures is not None
    assert (figures.state, figures.alive) == ("Z", False)
    os.waitpid(pid, 0)


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    def test() -> None:
        import _thread
        import ctypes

        libc = ctypes.CDLL(None)
        pid = os.fork()
        if pid == 0:
            _thread.start_new_thread(time.sleep, (100,))
            libc.pthread_exit(None)  # ends this thread alone
        until(lambda: getattr(procfs.read_figures(pid), "state", None) == "Z")
        figures = procfs.read_figures(pid)
        assert figures is not None
        assert figures.alive
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    isolated(test)


def test_started_ticks_tell_processes_apart(spawner: Spawner) -> None:
    first = spawner.spawn(make_request("sleep", "100"))
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    second = spawner.spawn(make_request("sleep", "100"))
    figures = [procfs.read_figures(pid) for pid in (first, second)]
    assert figures[0] is not None
    assert figures[1] is not None
    assert figures[0].started_ticks < figures[1].started_ticks
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_children_by_both_ways(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    others = set(procfs.listed_children(os.getpid()))
    # More than fit on one page of the kernel's list.
    pids = [spawner.spawn(make_request("sleep", "100")) for _ in range(700)]
    try:
        assert set(procfs.listed_children(os.getpid())) - others == set(pids)
        assert set(procfs.children_table()[os.getpid()]) - others == set(pids)
        assert procfs.listed_children(pids[0]) == []
        assert set(procfs.child_lookup()(os.getpid())) - others == set(pids)
        monkeypatch.setattr(os.path, "exists", lambda _: False)  # a kernel without such lists
        assert set(procfs.child_lookup()(os.getpid())) - others == set(pids)
        assert procfs.child_lookup()(pids[0]) == []
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
    assert procfs.listed_children(pids[0]) == []


def test_whose_proc_it_is() -> None:
    assert procfs.is_ours()
    # A pid namespace without a /proc of its own: the numbers there are other processes'.
    assert run_program("foreign_proc.py", prefix=("unshare", "--pid", "--fork")) == "1 False {} []\n"
