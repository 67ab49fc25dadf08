"""Descriptors: what children must not inherit, what is reserved for the daemon, and the pipes of outputs."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from cbox_init.errors import SpawnError

if TYPE_CHECKING:
    from cbox_init.system.identity import Identity

RESERVED: Final = 16
"""The highest numbers below the limit that no child's pipe gets. Without a descriptor the daemon could not
look at /proc for what an instance has left, answer its API, or import the module that words an error."""


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


def in_reserve(descriptor: int) -> bool:
    """Whether too few descriptors are left to keep this one."""
    limit = _limit()
    return 0 <= limit <= descriptor + RESERVED


def out_of_descriptors(error: OSError) -> SpawnError:
    """The SpawnError for a descriptor that cannot be had (EMFILE, ENFILE or another reason).

    Imports nothing, since that takes a descriptor.
    """
    if error.errno == errno.EMFILE:
        limit = _limit()
        shown = "unlimited" if limit < 0 else limit
        return SpawnError(
            f"too many open files: raise the limit of the daemon (ulimit -n, now {shown})", shortage=True
        )
    if error.errno == errno.ENFILE:
        return SpawnError("too many open files in the whole system: raise fs.file-max", shortage=True)
    return SpawnError(f"cannot make a pipe: {error.strerror}", shortage=error.errno == errno.ENOMEM)


def output_pipe(owner: Identity | None) -> tuple[int, int]:
    """A pipe for one output of a child: ``(read end, write end)``, which the caller closes.

    The read end does not block; the write end does, as programs expect of their standard output. Both are
    closed on exec. To open /dev/stdout and /dev/stderr is to open the pipe again, which asks for permission:
    with an ``owner`` that is another user the pipe belongs to that user, and others may write to it, such as
    a child that has dropped its privileges by itself.

    Raises SpawnError when there are too many open files; the last few are left for the daemon itself.
    """
    try:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise out_of_descriptors(error) from error
    if in_reserve(max(read_fd, write_fd)):
        os.close(read_fd)
        os.close(write_fd)
        raise out_of_descriptors(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    os.set_blocking(read_fd, False)
    with contextlib.suppress(OSError):
        os.fchmod(write_fd, 0o622)
    if owner is not None and owner.uid != os.geteuid():
        # Where we may not give it away we may hardly start a child as that user either, and if we may,
        # then only /dev/stdout stays closed to it.
        with contextlib.suppress(OSError):
            os.fchown(write_fd, owner.uid, owner.gid)
    return read_fd, write_fd


def _limit() -> int:
    """How many descriptors this process may have now; -1 for no limit."""
    return os.sysconf("SC_OPEN_MAX")


def _open_descriptors() -> list[int]:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:  # no /proc: try every number
        return list(range(3, _limit()))
    return [int(name) for name in names if int(name) > 2]
