"""What the daemon costs in counts that no machine changes: system calls of a spawn, and what churn leaves."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
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
    "fchmod": 2,  # a child that has become another user may open its outputs again
    "prlimit64": 4,  # the limit is read for each output; the child's is set, and the daemon's own again
    "pwrite64": 2,  # the same for oom_score_adj
}
_VARIANTS = {"clone": "vfork", "clone3": "vfork", "fork": "vfork"}
_WATCHED = (*OF_A_SPAWN, *_VARIANTS, "fcntl", "ioctl", "dup", "dup2", "dup3", "wait4", "waitid", "pidfd_open")


_CHILDREN = 30


@pytest.mark.traced
def test_system_calls_of_a_spawn(serve: Serve, tmp_path: Path) -> None:
    """From one spawn to the next: most often nothing comes between (an import, a look at a signal)."""
    trace = tmp_path / "trace"
    text = (
        f"global: {{api_socket: SOCKET}}\nprocesses: {{web: {{command: [sleep, '99'], scale: {_CHILDREN}}}}}"
    )
    # -D: the daemon is the child of this process, and strace beside it.
    tracer = ("strace", "-D", "-qq", "-o", str(trace), "-e", f"trace={','.join(map('?'.__add__, _WATCHED))}")
    lower = ("sh", "-c", 'ulimit -S -n 256 && exec "$@"', "sh")
    daemon = serve(text, command=(*lower, *tracer, *COMMAND))
    daemon.until_said("All processes started successfully")
    assert daemon.stop() == 0
    calls = [line for line in trace.read_text().splitlines() if "CLONE_THREAD" not in line]
    found = [call[1] for line in calls if (call := re.match(r"(\w+)\(", line))]
    names = [_VARIANTS.get(name, name) for name in found]
    spawns = [at for at, name in enumerate(names) if name == "vfork"]
    assert len(spawns) == _CHILDREN
    of_each = Counter(tuple(sorted(names[at:following])) for at, following in pairwise(spawns))
    ((usual, times),) = of_each.most_common(1)
    assert Counter(usual) == OF_A_SPAWN
    assert times > _CHILDREN / 3


CHURN = """
global: {api_socket: SOCKET, max_restart_attempts: 0, restart_backoff: 0.01, restart_backoff_max: 0.01}
processes:
  crashing: {command: [sh, -c, 'echo once more; exit 1'], scale: 20}
  steady: {command: [sleep, '1000'], scale: 5}
"""

#: Restarts before the first look: by then the ring and what else is bounded is full.
_WARM = 800
_MORE = 1_600


def _after(daemon: DaemonProcess, restarts: int) -> DaemonEntry:
    """The vitals once there have been ``restarts`` restarts."""
    with Client.connect(socket=str(daemon.socket)) as client:
        wait_for(lambda: client.daemon().counts.restarts >= restarts, f"{restarts} restarts", 150.0)
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
