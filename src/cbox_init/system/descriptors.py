"""What the daemon's own descriptors must look like before the first child is started."""

from __future__ import annotations

import os


def inherit_nothing() -> None:
    """Keep children from every descriptor above 2 that this process was started with.

    Called once at start. What Python opens later is closed on exec anyway (PEP 446), so that a child can
    be started without closing descriptors one by one: with 2,000 of them open that saves a fifth of the
    time a start takes.

    A standard descriptor that is missing is opened on /dev/null, so that no pipe or socket can get its
    number and be taken for standard output.
    """
    for standard in range(3):
        try:
            os.fstat(standard)
        except OSError:
            # The lowest free number is the one that is missing, as those below it are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for descriptor in _open_descriptors():
        try:
            os.set_inheritable(descriptor, False)
        except OSError:
            continue  # the one that listed the directory, or a number that is not in use


def _open_descriptors() -> list[int]:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:  # no /proc: try every number
        return list(range(3, os.sysconf("SC_OPEN_MAX")))
    return [int(name) for name in names if int(name) > 2]
