"""Pipes that children write their output to."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from cbox_init.system.descriptors import in_reserve, out_of_descriptors

if TYPE_CHECKING:
    from cbox_init.system.identity import Identity


def output_pipe(owner: Identity | None) -> tuple[int, int]:
    """A pipe for one output of a child: ``(read end, write end)``, which the caller closes.

    The read end does not block; the write end does, as programs expect of their standard output. Both are
    closed on exec. With an ``owner`` that is another user the pipe belongs to that user, so that the child
    can open /dev/stdout and /dev/stderr, which opens the pipe anew and asks for permission.

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
    if owner is not None and owner.uid != os.geteuid():
        # Where we may not give it away we may hardly start a child as that user either, and if we may,
        # then only /dev/stdout stays closed to it.
        with contextlib.suppress(OSError):
            os.fchown(write_fd, owner.uid, owner.gid)
    return read_fd, write_fd
