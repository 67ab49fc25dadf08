"""How many instances a process may have."""

from __future__ import annotations


def scale_problem(count: int, limit: int, *, oneshot: bool) -> str | None:
    """Why a process cannot have ``count`` instances, with how to mend it; None when it can.

    ``limit`` is the largest number, 0 for none.
    """
    if count < 0:
        return f"scale must be at least 0, not {count}"
    if oneshot and count > 1:
        return f"a oneshot has one instance, not {count}"
    if limit and count > limit:
        return f"scale must be at most {limit}, not {count}: raise max_scale or global.max_process_scale"
    return None


def scaled_by(current: int, delta: int) -> int:
    """The scale after a change; a change below 0 stops at 0 and is no error."""
    return max(0, current + delta)
