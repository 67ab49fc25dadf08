"""The command as a process of its own, and a daemon for it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 30.0

CONFIG = """
global:
  api_socket: SOCKET
processes:
  db:
    command: [sh, -c, "echo ready; exec sleep 1000"]
  web:
    command: [sh, -c, "echo hello from $PORT; echo trouble >&2; exec sleep 1000"]
    port_base: 8000
    scale: 2
  migrate:
    type: oneshot
    command: [sh, -c, "echo migrated"]
  late:
    command: [sleep, "1000"]
    initial_state: stopped
"""


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Done: ...


def environment(**values: str) -> dict[str, str]:
    """This process's environment, without what would lead a command to another daemon."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CBOX_INIT_")}
    return {**kept, "TZ": "UTC", **values}


def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
    """Run ``cbox-init`` to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(**(env or {})),
        timeout=DEADLINE_S,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cbox() -> Run:
    """The command, with no daemon but those that it is told of."""
    return run


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with CONFIG, for all tests of a module: each leaves its processes as they were."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("daemon"), CONFIG)
    try:
        daemon.until_said("Process instance exited")
        wait_for(lambda: len(daemon.lines("web")) == 4 and daemon.lines("db"), "db and web have spoken")
        yield daemon
    finally:
        daemon.end()


@pytest.fixture
def with_daemon(daemon: DaemonProcess) -> Run:
    """The command, which finds the daemon by its environment."""

    def run_with_daemon(*arguments: str, env: dict[str, str] | None = None) -> Done:
        return run(*arguments, env={"CBOX_INIT_API_SOCKET": str(daemon.socket), **(env or {})})

    return run_with_daemon
