"""Limits that cannot be set: which, why, and what to do. Imported when a limit fails, and by check-config."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

from cbox_init.system import apply_limits
from cbox_init.system.trial import failures_in_fork

if TYPE_CHECKING:
    from cbox_init.system.spawn_request import Limits
    from cbox_init.system.trial import Failure

_FORBIDDEN = (errno.EPERM, errno.EACCES)


def refused(limits: Limits) -> list[tuple[str, str]]:
    """The keys of the limits that a child of this process could not set, each with the reason.

    Tries them in a fork, which it waits for: not for the daemon.
    """
    failures = failures_in_fork(lambda: _tried(limits))
    return [(key, reason(limits, key, number, text)) for key, number, text in failures]


def reason(limits: Limits, key: str, number: int, text: str) -> str:
    """Why this process may not set the limit ``key``: the error number, and its text."""
    if key == "nice" and number in _FORBIDDEN:
        return (
            f"a nice of {limits.nice} is below the daemon's ({os.getpriority(os.PRIO_PROCESS, 0)}), "
            "and only CAP_SYS_NICE may go down: raise it, or give the container that capability"
        )
    if key == "oom_score_adj" and number in _FORBIDDEN:
        return (
            f"{limits.oom_score_adj} is below what the daemon was started with, "
            "and only CAP_SYS_RESOURCE may go down: raise it, or give the container that capability"
        )
    if key in apply_limits.RLIMITS and number in (*_FORBIDDEN, 0, errno.EINVAL):
        return _of_rlimit(limits, key)
    return text


def too_many_processes(limits: Limits, user: str) -> str:
    """Why exec has failed with EAGAIN for a child that has a limit of processes."""
    return f"{limits.where}.nproc: user {user} runs as many processes as it allows already; raise it"


def _of_rlimit(limits: Limits, key: str) -> str:
    """What Python's setrlimit refuses (ValueError, without a number) and what the kernel does."""
    wanted: apply_limits.Pair = getattr(limits, key)
    present = resource.getrlimit(apply_limits.RLIMITS[key])
    _, hard = apply_limits.completed(wanted, present)
    if key == "nofile" and (most := _most_files()) is not None and not 0 <= hard <= most:
        return f"{_shown(hard)} is above fs.nr_open ({most}): lower it"
    return (
        f"{_shown(hard)} is above the hard limit here ({_shown(present[1])}), and only CAP_SYS_RESOURCE may "
        "go above: lower it, or start the container with a higher one (docker run --ulimit)"
    )


def _most_files() -> int | None:
    try:
        with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def _tried(limits: Limits) -> list[Failure]:
    failures: list[Failure] = []
    for step in limits.steps():
        try:
            apply_limits.apply(step)
        except OSError as error:
            failures.append((step[0], error.errno or 0, str(error.strerror)))
        except ValueError as error:
            failures.append((step[0], 0, str(error)))
    return failures
