"""A variable in the environment that another process was started with."""

from __future__ import annotations

import os
import time
from typing import Final

from cbox_init.system.procfs import read_bytes

_EXEC_TAKES_S: Final = 0.02
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


def read_variable(pid: int, name: str) -> str | None:
    """The value of ``name`` in the environment of a process, as it was at its last exec.

    None when the variable is not there, when the process has overwritten its environment (programs that
    set their title do), is a zombie or gone, or when we may not look. One that is in the middle of an exec
    has no environment yet: this waits for it, up to 20 ms.
    """
    end_s = time.monotonic() + _EXEC_TAKES_S
    while (environment := _environment(pid)) is None:
        if time.monotonic() > end_s:
            return None
        os.sched_yield()
    prefix = os.fsencode(name) + b"="
    start = 0 if environment.startswith(prefix) else environment.find(b"\0" + prefix) + 1
    if not environment.startswith(prefix, start):
        return None
    end = environment.find(b"\0", start)
    return os.fsdecode(environment[start + len(prefix) : end if end >= 0 else len(environment)])


def forbid_dumps() -> str | None:
    """Make this process undumpable: its memory and environment reach no core dump and no other process.

    Only root with CAP_SYS_PTRACE may look at them from then on. Gives what is wrong, None when nothing is.
    """
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
            return None
        return os.strerror(ctypes.get_errno())
    except (OSError, AttributeError) as error:
        return str(error)


def _environment(pid: int) -> bytes | None:
    try:
        return _look(pid)
    except PermissionError:
        return _look_as_owner(pid)
    except OSError:
        return b""


def _look(pid: int) -> bytes | None:
    """The environment; None when the process is in the middle of an exec. Raises OSError."""
    path = f"/proc/{pid}/environ"
    environment = read_bytes(path)
    if environment:
        return environment
    data = read_bytes(f"/proc/{pid}/stat")
    fields = data[data.rfind(b")") + 2 :].split()
    state, environment_end = fields[0], fields[48]
    if environment_end == b"0" and state not in b"ZX":
        return None
    return read_bytes(path)  # it may have been set between the two


def _look_as_owner(pid: int) -> bytes | None:
    """Look as root at what its owner may see.

    Root in a container lacks CAP_SYS_PTRACE as a rule, and without it may not see the environment of
    another user's process, while that user may. setfsuid(2) changes the user of this one thread for files
    and nothing else. It makes the process undumpable, which would hide our own /proc from an equal root; so
    that is set back to what it was.
    """
    if os.geteuid() != 0:
        return b""
    import ctypes

    try:
        owner = os.stat(f"/proc/{pid}")
        libc = ctypes.CDLL(None)
        dumpable = libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
        libc.setfsgid(owner.st_gid)
        libc.setfsuid(owner.st_uid)
        try:
            return _look(pid)
        finally:
            libc.setfsuid(0)
            libc.setfsgid(os.getegid())
            libc.prctl(_PR_SET_DUMPABLE, dumpable, 0, 0, 0)
    except (OSError, AttributeError):
        return b""
