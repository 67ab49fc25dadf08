"""Trying in a fork what a child could not be given, for check-config."""

from __future__ import annotations

import marshal
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Failure = tuple[str, int, str]
"""A key that was refused, the error number, and its text."""


def failures_in_fork(attempt: Callable[[], list[Failure]]) -> list[Failure]:
    """What ``attempt`` returns in a fork, which changes nothing here. Waits for it: not for the daemon."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, marshal.dumps(attempt()))
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as answer:
        failures: list[Failure] = marshal.loads(answer.read() or marshal.dumps([]))
    os.waitpid(child, 0)
    return failures
