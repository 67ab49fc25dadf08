from __future__ import annotations

import gc
import os
import signal

import pytest
from msgspec.structs import replace

from cbox_init.errors import SpawnError
from cbox_init.system import exec_failure  # noqa: F401 - a fork that has become nobody may not read it any more
from cbox_init.system.descriptors import inherit_nothing, output_pipe
from cbox_init.system.identity import Identity, resolve
from cbox_init.system.signals import SignalPipe, reset_inherited
from cbox_init.system.spawn import Spawner

from .helpers import ENV, NOBODY, as_root, become_nobody, isolated, make_request, run, until


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def status_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def test_standard_input_is_the_null_device(spawner: Spawner) -> None:
    assert run(spawner, "readlink", "/proc/self/fd/0") == "/dev/null\n"
    assert run(spawner, "cat") == ""


def test_umask_and_standard_input_of_its_own(spawner: Spawner) -> None:
    stdin_fd, holder = os.pipe2(os.O_CLOEXEC)
    read_fd, write_fd = output_pipe(None)
    request = make_request("sh", "-c", "umask; cat; echo end", out=write_fd)
    before = os.umask(0o022)
    os.umask(before)
    pid = spawner.spawn(replace(request, umask=0o027, stdin_fd=stdin_fd))
    os.close(stdin_fd)
    os.close(write_fd)
    os.write(holder, b"said\n")
    os.close(holder)
    os.set_blocking(read_fd, True)
    with open(read_fd, "rb") as pipe:
        assert pipe.read() == b"0027\nsaid\nend\n"
    os.waitpid(pid, 0)
    assert os.umask(before) == before, "the daemon keeps its own"


def test_arguments_and_environment_arrive_as_they_are(spawner: Spawner) -> None:
    assert run(spawner, "printf", "%s|", "a b", "", "ü", "$HOME") == "a b||ü|$HOME|"
    assert run(spawner, "env", env={**ENV, "ONE": "1 2"}).splitlines() == [f"PATH={ENV['PATH']}", "ONE=1 2"]


def test_working_directory(spawner: Spawner, tmp_path: object) -> None:
    assert run(spawner, "pwd", cwd=str(tmp_path)) == f"{tmp_path}\n"


def test_a_command_is_sought_in_the_path_of_the_child(spawner: Spawner, tmp_path: object) -> None:
    program = f"{tmp_path}/hello"
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho here\n")
    os.chmod(program, 0o755)
    assert run(spawner, "hello", env={"PATH": f"/nowhere:{tmp_path}"}) == "here\n"


def test_a_session_and_a_process_group_of_its_own(spawner: Spawner) -> None:
    pid = spawner.spawn(make_request("sleep", "100"))
    assert os.getpgid(pid) == os.getsid(pid) == pid != os.getpgid(0)
    end(pid)


def test_the_exit_is_left_to_the_reaper(spawner: Spawner) -> None:
    pid = spawner.spawn(make_request("sh", "-c", "exit 3"))
    gc.collect()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_no_descriptor_above_2_even_of_those_that_the_daemon_inherited() -> None:
    def test() -> None:
        for _ in range(3):
            os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
        inherit_nothing()
        pipe = SignalPipe()
        spawner = Spawner()
        pid = spawner.spawn(make_request("sleep", "100"))
        # For a moment it may have open what its dynamic linker reads.
        until(lambda: sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"])
        end(pid)
        pipe.close()

    isolated(test)


def test_no_signal_is_blocked_or_ignored() -> None:
    # glibc keeps 32 and 33 for itself, and ``make`` starts its children with one of them ignored
    glibc_signals = 0b11 << 31

    def test() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
        for ignored in (signal.SIGHUP, signal.SIGCHLD, signal.SIGINT, signal.SIGRTMIN):
            signal.signal(ignored, signal.SIG_IGN)
        reset_inherited()
        pipe = SignalPipe()
        spawner = Spawner()
        pid = spawner.spawn(make_request("sleep", "100"))
        status = status_of(pid)
        masks = (int(status[field], 16) for field in ("SigBlk", "SigIgn", "SigCgt"))
        assert {mask & ~glibc_signals for mask in masks} == {0}
        end(pid)
        pipe.close()

    isolated(test)


@as_root
def test_another_user_with_its_groups(spawner: Spawner) -> None:
    identity = Identity(NOBODY, 100, (100, 4, 24), "nobody", None)
    assert run(spawner, "sh", "-c", "id -u; id -g; id -G", identity=identity) == "65534\n100\n100 4 24\n"


@as_root
def test_our_own_identity_needs_no_switch(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbox_init.system.identity.may_switch", lambda: False)
    own = Identity(os.geteuid(), os.getegid(), (os.getegid(), *os.getgroups()), None, None)
    assert run(spawner, "id", "-u", identity=own) == "0\n"


@as_root
def test_only_root_may_switch() -> None:
    def test() -> None:
        become_nobody()
        spawner = Spawner()
        with pytest.raises(
            SpawnError, match=r"cannot become user root \(uid 0, gid 0\): .* uid 65534, and only root may"
        ):
            spawner.spawn(make_request("true", identity=Identity(0, 0, (0,), "root", "/root")))
        assert (
            run(spawner, "id", "-u", identity=Identity(NOBODY, NOBODY, (NOBODY, 4), None, None)) == "65534\n"
        )

    isolated(test)


@as_root
def test_a_user_by_name(spawner: Spawner) -> None:
    assert run(spawner, "id", "-un", identity=resolve("nobody", None)) == "nobody\n"


@pytest.mark.parametrize("argv", [[], ["", "x"]])
def test_an_empty_command(spawner: Spawner, argv: list[str]) -> None:
    with pytest.raises(SpawnError, match="no command") as caught:
        spawner.spawn(make_request(*argv))
    assert caught.value.exit_code == 127


def test_a_failed_start_leaves_nothing_behind(spawner: Spawner) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(SpawnError):
        spawner.spawn(make_request("/nonexistent"))
    assert set(os.listdir("/proc/self/fd")) <= before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
