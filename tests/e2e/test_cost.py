"""What the daemon costs in counts that no machine changes: system calls of a spawn, and what churn leaves."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.client import DaemonEntry
    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess

#: Calls of the daemon for one child with both outputs captured. A change of these is to be meant.
OF_A_SPAWN = {
    "vfork": 1,
    "pipe2": 3,  # its two outputs, and the one by which subprocess learns of a failed exec
    "epoll_ctl": 2,
    "ioctl": 4,  # the read ends do not block: the pipe is made so, and its reader makes sure
    "close": 4,  # the write ends of the three pipes, and the read end of the last
    "read": 1,
    "rt_sigprocmask": 2,
}
_VARIANTS = {"clone": "vfork", "clone3": "vfork", "fork": "vfork"}
_WATCHED = (*OF_A_SPAWN, *_VARIANTS, "fcntl", "ioctl", "dup", "dup2", "dup3", "wait4", "waitid", "pidfd_open")


def _calls_of_starting(serve: Serve, children: int, folder: Path) -> Counter[str]:
    """The calls of the daemon's main thread from the first spawn until all children are there."""
    trace = folder / f"trace-{children}"
    config = f"global: {{api_socket: SOCKET}}\nprocesses: {{web: {{command: [sleep, '1000'], scale: {children}}}}}"
    # -D: the daemon is the child of this process, and strace beside it.
    tracer = ("strace", "-D", "-qq", "-o", str(trace), "-e", f"trace={','.join(map('?'.__add__, _WATCHED))}")
    daemon = serve(config, command=(*tracer, *COMMAND))
    daemon.until_said("All processes started successfully")
    wait_for(lambda: trace.read_text().count("fork()") + trace.read_text().count("clone") >= children)
    daemon.stop()
    names = re.findall(r"^(\w+)\(", trace.read_text().partition("--- SIGTERM")[0], re.MULTILINE)
    return Counter(_VARIANTS.get(name, name) for name in names)


@pytest.mark.traced
def test_system_calls_of_a_spawn(serve: Serve, tmp_path: Path) -> None:
    few, many = (_calls_of_starting(serve, children, tmp_path) for children in (3, 23))
    many.subtract(few)
    of_one = {name: count / 20 for name, count in many.items() if count}
    assert of_one == OF_A_SPAWN


CHURN = """
global: {api_socket: SOCKET, max_restart_attempts: 0, restart_backoff_initial: 0.01, restart_backoff_max: 0.01}
processes:
  crashing: {command: [sh, -c, 'echo once more; exit 1'], scale: 20}
  steady: {command: [sleep, '1000'], scale: 5}
"""

#: Restarts before the first look: by then the ring and what else is bounded is full.
_WARM = 800
_MORE = 1_600


def _after(daemon: DaemonProcess, restarts: int) -> DaemonEntry:
    """The vitals when there have been so many restarts."""
    with Client.connect(socket=str(daemon.socket)) as client:
        wait_for(lambda: client.daemon().counts.restarts >= restarts, f"{restarts} restarts", 50.0)
        return client.daemon()


def test_crashes_and_restarts_leave_nothing(serve: Serve) -> None:
    daemon = serve(CHURN)
    daemon.until_said("Process instance exited with error")
    before, after = (_after(daemon, restarts) for restarts in (_WARM, _WARM + _MORE))
    assert after.counts.instances == 25
    # Three for each instance that is being started or read just now.
    assert after.file_descriptors - before.file_descriptors <= 3 * 20
    assert after.memory_rss_bytes - before.memory_rss_bytes < 4 * 2**20
    assert after.threads == before.threads
    assert daemon.stop() == 0
