"""System calls that a sandbox refuses: each has a way without it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
from typing import Final

import pytest

from cbox_init.system.procfs import read_figures
from cbox_init.system.spawn import Spawner
from cbox_init.system.tree import Stray, signal_strays
from tests.system.helpers import isolated, make_request

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

#: The same numbers on x86_64 and aarch64.
PIDFD_SEND_SIGNAL: Final = 424
PIDFD_OPEN: Final = 434

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="numbers of system calls are of these two"
)


def refuse(call: int, error: int) -> None:
    """Have a system call fail in this process, as a sandbox does, from now on."""
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),
            (_JUMP_IF_EQUAL, 0, 1, call),
            (_RETURN, 0, 0, _ERRNO | error),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0) == 0, ctypes.get_errno()


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS, errno.EACCES])
@pytest.mark.parametrize("call", [PIDFD_OPEN, PIDFD_SEND_SIGNAL])
def test_signals_arrive_without_handles(call: int, error: int) -> None:
    def test() -> None:
        pid = Spawner().spawn(make_request("sleep", "1000"))
        figures = read_figures(pid)
        assert figures
        refuse(call, error)
        assert signal_strays([Stray(pid, pid, figures.started_ticks)], signal.SIGTERM) == 1
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM

    isolated(test)
