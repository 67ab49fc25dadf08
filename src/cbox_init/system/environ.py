"""A variable in the environment that another process was started with."""

from __future__ import annotations

import os

from cbox_init.system.procfs import read_bytes

_PR_SET_DUMPABLE = 4


def read_variable(pid: int, name: str) -> str | None:
    """The value of ``name`` in the environment of a process, as it was at its last exec.

    None when the variable is not there, when the process has overwritten its environment (programs that
    set their title do), is a zombie or gone, or when we may not look.
    """
    path = f"/proc/{pid}/environ"
    try:
        data = read_bytes(path)
    except PermissionError:
        data = _read_as_owner(pid, path)
    except OSError:
        return None
    prefix = os.fsencode(name) + b"="
    start = 0 if data.startswith(prefix) else data.find(b"\0" + prefix) + 1
    if not data.startswith(prefix, start):
        return None
    end = data.find(b"\0", start)
    return os.fsdecode(data[start + len(prefix) : end if end >= 0 else len(data)])


def _read_as_owner(pid: int, path: str) -> bytes:
    """Read as root what its owner may read.

    Root in a container lacks CAP_SYS_PTRACE as a rule, and without it may not see the environment of
    another user's process, while that user may. setfsuid(2) changes who this one thread is for files
    and nothing else. It makes the process undumpable, which would hide our own /proc from an equal root.
    """
    if os.geteuid() != 0:
        return b""
    import ctypes

    try:
        owner = os.stat(f"/proc/{pid}")
        libc = ctypes.CDLL(None)
        libc.setfsgid(owner.st_gid)
        libc.setfsuid(owner.st_uid)
        try:
            return read_bytes(path)
        finally:
            libc.setfsuid(0)
            libc.setfsgid(os.getegid())
            libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return b""
