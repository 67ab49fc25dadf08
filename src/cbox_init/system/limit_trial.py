"""Whether limits could be set here, found out by trying."""

from __future__ import annotations

import marshal
import os
from typing import TYPE_CHECKING

from cbox_init.system import apply_limits as confine
from cbox_init.system.limit_failure import reason

if TYPE_CHECKING:
    from cbox_init.system.limits import Limits


def refused(limits: Limits) -> list[tuple[str, str]]:
    """The keys of the limits that a child of this process could not set, each with the reason.

    Tries them in a fork, which it waits for: not for the daemon.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, marshal.dumps(_tried(limits)))
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as answer:
        failures = marshal.loads(answer.read() or marshal.dumps([]))
    os.waitpid(child, 0)
    return [(key, reason(limits, key, number, text)) for key, number, text in failures]


def _tried(limits: Limits) -> list[tuple[str, int, str]]:
    failures = []
    for step in limits.steps():
        try:
            confine.take(step)
        except OSError as error:
            failures.append((step[0], error.errno or 0, str(error.strerror)))
        except ValueError as error:
            failures.append((step[0], 0, str(error)))
    return failures
