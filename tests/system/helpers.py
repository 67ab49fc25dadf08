"""What the tests of this layer share: children with their output, and code in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.descriptors import output_pipe
from cbox_init.system.spawn_request import SpawnRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.system.identity import Identity
    from cbox_init.system.spawn import Spawner

NOBODY = 65534
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def make_request(
    *argv: str,
    env: Mapping[str, str] = ENV,
    cwd: str | None = None,
    identity: Identity | None = None,
    out: int = 1,
) -> SpawnRequest:
    return SpawnRequest(argv, env, cwd, identity, out, out)


def run(
    spawner: Spawner,
    *argv: str,
    env: Mapping[str, str] = ENV,
    cwd: str | None = None,
    identity: Identity | None = None,
) -> str:
    """All that a child writes to standard output and error, which succeeds."""
    read_fd, write_fd = output_pipe(identity)
    pid = spawner.spawn(make_request(*argv, env=env, cwd=cwd, identity=identity, out=write_fd))
    os.close(write_fd)
    os.set_blocking(read_fd, True)
    with open(read_fd, "rb") as pipe:
        text = pipe.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, text
    return text


def until(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def isolated(test: Callable[[], None]) -> None:
    """Run code that changes its process for good (user, limits, signals, descriptors) in a fork."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(40)
        code = 0
        try:
            test()
        except BaseException:  # noqa: BLE001 - nothing may get out of the fork
            os.write(write_fd, traceback.format_exc().encode()[-30_000:])
            code = 1
        finally:
            os._exit(code)
    os.close(write_fd)
    with open(read_fd, "rb") as pipe:
        report = pipe.read().decode()
    status = os.waitpid(pid, 0)[1]
    assert status == 0, report or f"ended with status {status}"


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def run_program(name: str, *arguments: str, prefix: Sequence[str] = ()) -> str:
    """Run one of ./programs under a command such as unshare; what it prints."""
    here = os.path.dirname(__file__)
    done = subprocess.run(
        [*prefix, sys.executable, os.path.join(here, "programs", name), *arguments],
        env={**os.environ, "PYTHONPATH": os.path.join(here, "..", "..", "src")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
