"""A file system that never answers: FUSE without a server. Needs root with CAP_SYS_ADMIN, and /dev/fuse."""

from __future__ import annotations

import ctypes
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MNT_DETACH: Final = 2


@contextmanager
def never_answers(folder: Path) -> Iterator[None]:
    """Whoever asks for something in ``folder`` waits until the context ends, and then gets an error.

    Raises OSError where that cannot be mounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"cbox-init-test", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except BaseException:
        os.close(server)
        raise
    try:
        yield
    finally:
        os.close(server)  # what waits gets ENOTCONN
        libc.umount2(os.fsencode(folder), _MNT_DETACH)


def can_hang() -> bool:
    """Whether there can be such a file system here."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with never_answers(Path(folder)):
                return True
        except OSError:
            return False
