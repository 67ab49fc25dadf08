"""Becoming the parent of orphans where we are not PID 1."""

from __future__ import annotations

import os

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Have descendants that lose their parent become our children, as PID 1 has by birth.

    True when they will. False only where the kernel refuses; they then go to PID 1, out of our sight.
    """
    if os.getpid() == 1:
        return True
    import ctypes  # 1.5 ms, and in a container, where we are PID 1, never needed

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):  # a libc that cannot be opened by itself
        return False
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
