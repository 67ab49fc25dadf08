"""What a process does to itself, before its exec, to be held to limits.

Imported by the fork server, which has nothing but the standard library, and little of that.
"""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

#: Soft and hard limit; None leaves it as it is, `resource.RLIM_INFINITY` is no limit.
Pair: TypeAlias = "tuple[int | None, int | None]"

#: What to limit, and how: the key of an rlimit with a Pair, "nice" or "oom_score_adj" with a number, "cgroup"
#: with the path of its directory.
Step: TypeAlias = "tuple[str, Pair | int | str]"

RLIMITS: Final = {
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "core": resource.RLIMIT_CORE,
}


def apply(step: Step) -> None:
    """Take one step. Raises OSError or ValueError (setrlimit) when this process may not."""
    key, value = step
    if key == "cgroup":
        _write(f"{value}/cgroup.procs", "0")
    elif key == "oom_score_adj":
        _write("/proc/self/oom_score_adj", str(value))
    elif key == "nice":
        assert isinstance(value, int)
        os.setpriority(os.PRIO_PROCESS, 0, value)
    else:
        assert isinstance(value, tuple)
        number = RLIMITS[key]
        resource.setrlimit(number, completed(value, resource.getrlimit(number)))


def completed(wanted: Pair, present: tuple[int, int]) -> tuple[int, int]:
    """Both limits, where ``wanted`` may leave one of them as it is in ``present``.

    A hard limit that is left raises itself to the soft one that is wanted; a soft one comes down to the hard.
    """
    soft, hard = wanted
    if hard is None:
        hard = present[1] if soft is None else max(soft, present[1], key=_height)
    if soft is None:
        soft = min(present[0], hard, key=_height)
    return soft, hard


def _height(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
