from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.system.reaper import ExitStatus, Reaper, become_subreaper

from .helpers import as_root, isolated, make_request, run_program, until

if TYPE_CHECKING:
    from cbox_init.system.spawn import Spawner


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (0, 0, "exit code 0"),
        (3 << 8, 3, "exit code 3"),
        (9, 137, "killed by SIGKILL"),
        (15, 143, "killed by SIGTERM"),
        (11 | 0x80, 139, "killed by SIGSEGV (core dumped)"),
        (40, 168, "killed by signal 40"),
    ],
)
def test_what_a_status_means(status: int, code: int, text: str) -> None:
    found = ExitStatus.from_wait(status)
    assert (found.exit_code, found.describe()) == (code, text)


@given(st.integers(0, 255), st.integers(1, 64), st.booleans(), st.booleans())
@settings(deadline=None)
def test_exactly_one_of_code_and_signal(code: int, signum: int, core: bool, killed: bool) -> None:
    found = ExitStatus.from_wait(signum | core << 7 if killed else code << 8)
    assert found == (ExitStatus(None, signum, core) if killed else ExitStatus(code, None))
    assert 0 <= found.exit_code < 256


def test_nothing_to_reap() -> None:
    assert Reaper().reap() == 0


def test_each_exit_goes_to_who_watches_it(spawner: Spawner) -> None:
    reaper = Reaper()
    seen: dict[str, ExitStatus] = {}
    for name, script in (("three", "exit 3"), ("killed", "kill -9 $$")):
        pid = spawner.spawn(make_request("sh", "-c", script))
        reaper.watch(pid, lambda status, name=name: seen.update({name: status}))  # type: ignore[misc]
    sleeper = spawner.spawn(make_request("sleep", "100"))
    reaper.watch(sleeper, lambda status: seen.update(sleeper=status))
    until(lambda: (reaper.reap(), len(seen) == 2)[1])
    assert seen == {"three": ExitStatus(3, None), "killed": ExitStatus(None, signal.SIGKILL)}
    assert set(reaper.watched) == {sleeper}
    assert reaper.reap() == 0
    os.kill(sleeper, signal.SIGTERM)
    until(reaper.reap)
    assert seen["sleeper"].describe() == "killed by SIGTERM"
    assert not reaper.watched


def test_strangers_are_reaped_and_told(spawner: Spawner) -> None:
    strangers: list[int] = []
    reaper = Reaper(strangers.append)
    pid = spawner.spawn(make_request("true"))
    until(reaper.reap)
    assert strangers == [pid]
    unwatched = spawner.spawn(make_request("true"))
    until(Reaper().reap)
    with pytest.raises(ProcessLookupError):
        os.kill(unwatched, 0)


def test_a_callback_may_start_the_next_one(spawner: Spawner) -> None:
    reaper = Reaper()
    codes: list[int] = []

    def again(status: ExitStatus) -> None:
        codes.append(status.exit_code)
        if len(codes) < 5:
            start()

    def start() -> None:
        reaper.watch(spawner.spawn(make_request("sh", "-c", f"exit {len(codes)}")), again)

    start()
    until(lambda: (reaper.reap(), len(codes) == 5)[1])
    assert codes == [0, 1, 2, 3, 4]


def test_a_callback_that_fails_does_not_cost_others_their_news(spawner: Spawner) -> None:
    reaper = Reaper()
    told: list[int] = []

    def failing(status: ExitStatus) -> None:
        told.append(status.exit_code)
        raise LookupError(status.exit_code)

    pids = [spawner.spawn(make_request("sh", "-c", f"exit {code}")) for code in (1, 2, 3)]
    for pid in pids:
        reaper.watch(pid, failing)
        # Ended, and still to be reaped.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ExceptionGroup) as caught:
        reaper.reap()
    assert sorted(told) == [1, 2, 3]
    assert len(caught.value.exceptions) == 3
    assert not reaper.watched


def test_a_slice_takes_one_at_least_and_leaves_the_rest_as_they_are(spawner: Spawner) -> None:
    reaper = Reaper()
    told: list[int] = []
    for code in (1, 2, 3):
        pid = spawner.spawn(make_request("sh", "-c", f"exit {code}"))
        reaper.watch(pid, lambda status: told.append(status.exit_code))
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert reaper.reap(stop_at=0.0) == 1
    assert reaper.unfinished
    assert len(told) == 1
    for pid in reaper.watched:
        os.kill(pid, 0)  # a zombie that nobody has waited for: its number is nobody else's
    assert reaper.reap() == 2
    assert sorted(told) == [1, 2, 3]
    assert not reaper.unfinished


def test_a_subreaper_gets_the_orphans(spawner: Spawner) -> None:
    def test() -> None:
        assert become_subreaper()
        strangers: list[int] = []
        reaper = Reaper(strangers.append)
        exits: list[ExitStatus] = []
        pid = spawner.spawn(make_request("sh", "-c", "for i in 1 2 3; do sleep 0.05 & done"))
        reaper.watch(pid, exits.append)
        until(lambda: (reaper.reap(), len(strangers) == 3 and exits)[1])
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, 0)

    isolated(test)


PID_1 = ("unshare", "--pid", "--fork", "--mount-proc")


@as_root
def test_as_pid_1_it_leaves_no_zombie_of_2000_orphans() -> None:
    assert json.loads(run_program("orphans.py", "2000", prefix=PID_1)) == {
        "pid": 1,
        "strangers": 2000,
        "watched": "exit code 0",
        "left": ["1"],
    }


@as_root
def test_a_pid_that_is_used_again_at_once_goes_to_its_new_watcher() -> None:
    assert json.loads(run_program("pid_reuse.py", prefix=PID_1)) == {"same": True, "codes": [7, 8]}
