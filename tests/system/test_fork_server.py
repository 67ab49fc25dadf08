"""Children that are held to limits, which they have from their first instruction on."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from resource import RLIM_INFINITY
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.errors import SpawnError
from cbox_init.system.descriptors import inherit_nothing, output_pipe
from cbox_init.system.identity import Identity
from cbox_init.system.limit_errors import refused
from cbox_init.system.reaper import Reaper, become_subreaper
from cbox_init.system.signals import reset_inherited
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import Limits, SpawnRequest

from .helpers import ENV, NOBODY, as_root, isolated, make_request, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.system.fork_server import ForkServer

CAP_SYS_NICE = 23
CAP_SYS_RESOURCE = 24

HARMLESS = Limits(where="web.limits", core=(0, None))
LIMITS = Limits(
    where="web.limits", nofile=(90, 100), nproc=(1000, 1000), core=(0, 0), nice=7, oom_score_adj=60
)
#: What this machine runs its tests with.
NICE = os.getpriority(os.PRIO_PROCESS, 0)

#: What a shell says of itself: soft and hard limits, nice, oom_score_adj.
TELL = "ulimit -n; ulimit -Hn; ulimit -c; nice; cat /proc/self/oom_score_adj"


@contextmanager
def started() -> Iterator[Spawner]:
    """A spawner in a process that adopts orphans; for a fork of its own (`isolated`)."""
    assert become_subreaper()
    inherit_nothing()
    spawner = Spawner()
    yield spawner
    spawner.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def output(spawner: Spawner, request: SpawnRequest) -> str:
    read_fd, write_fd = output_pipe(request.identity)
    try:
        pid = spawner.spawn(replace(request, stdout_fd=write_fd, stderr_fd=write_fd))
    finally:
        os.close(write_fd)
    os.set_blocking(read_fd, True)
    with open(read_fd, "rb") as pipe:
        text = pipe.read().decode(errors="surrogateescape")
    assert os.waitpid(pid, 0)[1] == 0, text
    return text


def held(*argv: str, limits: Limits = LIMITS) -> SpawnRequest:
    return replace(make_request(*argv), limits=limits)


def test_a_child_and_its_children_have_the_limits() -> None:
    def test() -> None:
        with started() as spawner:
            told = ["90", "100", "0", "7", "60"]
            script = f"{TELL}; sh -c '{TELL}' & wait"
            assert output(spawner, held("sh", "-c", script)).split() == told * 2

    isolated(test)


def test_umask_and_standard_input() -> None:
    def test() -> None:
        with started() as spawner:
            stdin_fd, holder = os.pipe2(os.O_CLOEXEC)
            os.write(holder, b"said\n")
            os.close(holder)
            request = replace(held("sh", "-c", "umask; cat"), umask=0o027, stdin_fd=stdin_fd)
            assert output(spawner, request) == "0027\nsaid\n"
            os.close(stdin_fd)
            assert output(spawner, held("sh", "-c", "umask; cat")) == f"{umask:04o}\n"

    umask = os.umask(0o022)
    os.umask(umask)
    isolated(test)


def test_the_daemon_keeps_its_own() -> None:
    def test() -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with started() as spawner:
            output(spawner, held("true"))
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
            assert os.getpriority(os.PRIO_PROCESS, 0) == NICE
            assert output(spawner, make_request("nice")) == f"{NICE}\n"

    isolated(test)


@as_root
def test_as_another_user() -> None:
    def test() -> None:
        identity = Identity(NOBODY, 100, (100, 4, 24), "nobody", None)
        with started() as spawner:
            request = replace(held("sh", "-c", f"id -u; id -g; id -G; {TELL}"), identity=identity)
            text = output(spawner, request)
            assert text.split() == ["65534", "100", "100", "4", "24", "90", "100", "0", "7", "60"]

    isolated(test)


def test_all_else_is_as_without_limits() -> None:
    def test() -> None:
        odd = "\udcff ü"
        script = 'printf \'%s|\' "$@" "$ODD"; pwd; ls /proc/$$/fd; cat; ps -o pid=,pgid=,ppid= -p $$'
        with started() as spawner:
            plain = make_request(
                "sh", "-c", script, "sh", "a b", "", odd, env={**ENV, "ODD": odd}, cwd="/tmp"
            )
            first = output(spawner, plain).rsplit("\n", 2)
            second = output(spawner, replace(plain, limits=HARMLESS)).rsplit("\n", 2)
            assert first[0] == second[0]
            pid, group, parent = map(int, second[1].split())
            assert (pid, parent) == (group, os.getpid())

    isolated(test)


def test_no_signal_is_blocked_or_ignored() -> None:
    def test() -> None:
        reset_inherited()  # a shell starts what runs in its background with SIGQUIT ignored
        with started() as spawner:
            text = output(spawner, held("cat", "/proc/self/status"))
            fields = dict(line.split(":", 1) for line in text.splitlines())
            masks = {name: int(fields[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}
            glibc_signals = 0b11 << 31
            assert {name: mask & ~glibc_signals for name, mask in masks.items()} == dict.fromkeys(masks, 0)

    isolated(test)


@pytest.mark.parametrize(
    "request_",
    [
        make_request("no-such-program"),
        make_request("/no/such/program"),
        make_request("/etc/passwd"),
        make_request("/"),
        make_request("true", cwd="/no/such/directory"),
        make_request("true", cwd="/etc/passwd"),
        make_request("a\0b"),
        make_request("true", env={"A=B": "C"}),
        make_request("true", "x" * 200_000),
        make_request("passwd", env={"PATH": "/nowhere:/etc:/also-nowhere"}),
    ],
    ids=lambda request: f"{request.argv[0][:20]!r} {request.cwd or ''}",
)
def test_what_goes_wrong_is_said_as_without_limits(request_: SpawnRequest) -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        errors = []
        for limits in (None, HARMLESS):
            with pytest.raises(SpawnError) as caught:
                spawner.spawn(replace(request_, limits=limits))
            errors.append((str(caught.value), caught.value.exit_code))
        assert errors[0] == errors[1]
        spawner.close()

    isolated(test)


def test_a_failed_start_leaves_no_descriptor() -> None:
    def test() -> None:
        assert become_subreaper()
        spawner = Spawner()
        output(spawner, held("true"))
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(SpawnError):
                spawner.spawn(held("/nonexistent"))
        assert sorted(os.listdir("/proc/self/fd")) == before
        spawner.close()

    isolated(test)


def drop(*capabilities: int) -> None:
    """What is executed from now on does not have them, not even as root."""
    pr_capbset_drop = 24
    for capability in capabilities:
        assert ctypes.CDLL(None).prctl(pr_capbset_drop, capability, 0, 0, 0) == 0


ABOVE = resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1
REFUSED = [
    (
        Limits(where="web.limits", nofile=(5, ABOVE)),
        rf"nofile cannot be set: {ABOVE} is above the hard limit here",
    ),
    (
        Limits(where="web.limits", nice=NICE - 1),
        rf"nice cannot be set: a nice of {NICE - 1} is below the daemon's \({NICE}\), and only CAP_",
    ),
    (
        Limits(where="web.limits", oom_score_adj=-900),
        "oom_score_adj cannot be set: -900 is below what the daemon was",
    ),
]


@as_root
@pytest.mark.parametrize(("limits", "message"), REFUSED)
def test_a_limit_that_is_refused(limits: Limits, message: str) -> None:
    def test() -> None:
        drop(CAP_SYS_NICE, CAP_SYS_RESOURCE)
        assert become_subreaper()
        spawner = Spawner()
        with pytest.raises(SpawnError, match=rf"^web\.limits\.{message}") as caught:
            spawner.spawn(held("true", limits=limits))
        assert caught.value.exit_code == 1
        assert "\n" not in str(caught.value)
        output(spawner, held("true", limits=HARMLESS))
        spawner.close()

    isolated(test)


@pytest.mark.capable
@pytest.mark.parametrize(("limits", "message"), REFUSED)
def test_with_the_capability_it_is_not(limits: Limits, message: str) -> None:
    def test() -> None:
        with started() as spawner:
            output(spawner, held("true", limits=limits))
        assert refused(limits) == []

    isolated(test)


def test_more_files_than_the_kernel_has() -> None:
    def test() -> None:
        with open("/proc/sys/fs/nr_open") as file:
            most = int(file.read())
        assert become_subreaper()
        spawner = Spawner()
        for hard in (most + 1, RLIM_INFINITY):
            limits = Limits(where="web.limits", nofile=(10, hard))
            with pytest.raises(
                SpawnError, match=rf"web.limits.nofile cannot be set: .* fs.nr_open \({most}\)"
            ):
                spawner.spawn(held("true", limits=limits))
            ((key, why),) = refused(limits)
            assert (key, why.partition(" is ")[2]) == ("nofile", f"above fs.nr_open ({most}): lower it")
        spawner.close()

    isolated(test)


@as_root
def test_a_user_who_runs_too_many_processes_already() -> None:
    def test() -> None:
        identity = Identity(54321, 54321, (54321,), None, None)
        assert become_subreaper()
        spawner = Spawner()
        pid = spawner.spawn(replace(make_request("sleep", "100"), identity=identity))
        request = replace(held("true", limits=Limits(where="web.limits", nproc=(0, 0))), identity=identity)
        try:
            with pytest.raises(SpawnError, match=r"^web.limits.nproc: user 54321 .* as many processes as"):
                spawner.spawn(request)
        finally:
            os.kill(pid, signal.SIGKILL)
        spawner.close()

    isolated(test)


def server_of(spawner: Spawner) -> ForkServer:
    server = spawner._fork_server
    assert server is not None
    return server


def test_one_that_was_killed_is_replaced() -> None:
    def test() -> None:
        assert become_subreaper()
        spawner, reaper = Spawner(), Reaper()
        spawner.watch = reaper.watch
        output(spawner, held("true"))
        first = server_of(spawner).pid
        assert first in reaper.watched
        os.kill(first, signal.SIGKILL)
        output(spawner, held("true"))
        second = server_of(spawner).pid
        assert second != first
        until(lambda: reaper.reap() or first not in reaper.watched)
        assert set(reaper.watched) == {second}
        spawner.close()

    isolated(test)


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def test() -> None:
        assert become_subreaper()
        spawner, reaper = Spawner(), Reaper()
        spawner.watch = reaper.watch
        output(spawner, held("true"))
        os.kill(server_of(spawner).pid, signal.SIGSTOP)
        monkeypatch.setattr("cbox_init.system.fork_server._ANSWER_S", 0.2)
        with pytest.raises(SpawnError, match=r"limits and sandbox cannot be set: .* took 0.2 s"):
            spawner.spawn(held("true"))
        monkeypatch.setattr("cbox_init.system.fork_server._ANSWER_S", 20.0)
        output(spawner, held("true"))
        spawner.close()

    isolated(test)


def test_it_ends_with_the_daemon(tmp_path: object) -> None:
    """Whatever way that ends: its socket closes."""
    script = """
import os
from cbox_init.system.spawn_request import Limits
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import SpawnRequest
from cbox_init.system.reaper import become_subreaper
become_subreaper()
spawner = Spawner()
spawner.spawn(SpawnRequest(["true"], dict(os.environ), None, None, 2, 2, Limits(where="", nice=1)))
print(spawner._fork_server.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    until(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in _state(pid))


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_where_orphans_go_elsewhere_nothing_is_left_behind() -> None:
    def test() -> None:
        spawner = Spawner()
        with pytest.raises(SpawnError, match="does not give orphans to this daemon"):
            spawner.spawn(held("sleep", "1000"))
        spawner.close()

    isolated(test)


def test_it_imports_little() -> None:
    script = """
import sys
sys.path.append(sys.argv[1])
before = set(sys.modules)
import cbox_init.system.fork_server_main
print(*sorted(set(sys.modules) - before))
"""
    root = os.path.join(os.path.dirname(__file__), "../../src")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True
    )
    allowed = {"__future__", "_socket", "gc", "resource", "cbox_init", "cbox_init.system"}
    allowed |= {"os", "os.path", "posixpath", "genericpath", "stat", "_stat", "_collections_abc"}
    allowed |= {"cbox_init.system.apply_limits", "cbox_init.system.fork_server_main"}
    assert set(done.stdout.split()) <= allowed
