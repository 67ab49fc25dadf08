"""Nothing that a measurement has started outlives it, whatever happens."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection

from bench import procfs
from bench.errors import BenchError

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 30.0


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none gets lost."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise BenchError(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


def reap_orphans(keep: Collection[int]) -> None:
    """Reap adopted processes that have ended, as the first process of a container does; not those of `keep`.

    Until then a supervisor that watches them by their pid takes them for living.
    """
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in keep:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def kill_descendants() -> None:
    """Kill and reap every process below this one; parents first, since a supervisor would start successors.

    An interrupt waits until this is done.
    """
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while left := procfs.descendants(os.getpid()):
            if time.monotonic() > deadline:
                raise BenchError(f"cannot end the processes {left}")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            time.sleep(0.005)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
