"""The terminal of the daemon, which a child with ``stdin: inherit`` has for itself while it runs.

The child is a process group of its own in the daemon's session, and the terminal's foreground group: Ctrl-C
reaches it and not the daemon, and a shell has job control. Imported when the first such child starts.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

STDIN = 0


def shared_outputs() -> tuple[bool, bool]:
    """Whether standard output and standard error are terminals too."""
    return os.isatty(1), os.isatty(2)


def lend(pid: int) -> None:
    """Make the group of a child the foreground group, if the daemon's own is."""
    with suppress(OSError):  # the terminal is another session's, or gone; or the child has ended already
        if os.tcgetpgrp(STDIN) == os.getpgrp():
            os.tcsetpgrp(STDIN, pid)
            os.killpg(pid, signal.SIGCONT)  # it may have read before it was the foreground group


def take_back(pid: int) -> None:
    """Make the daemon's group the foreground group again, after the child has ended."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
    try:
        with suppress(OSError):
            if os.tcgetpgrp(STDIN) == pid:
                os.tcsetpgrp(STDIN, os.getpgrp())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
