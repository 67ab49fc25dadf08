"""TCP ports for servers that cannot be asked which port they got.

A port that the kernel hands out (``bind`` to port 0) and that is closed again may be given to any
connection on the machine before the server of the test has it. These ports are below those that the kernel
hands out, and each test process has a block of them for itself.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST, _LAST, _BLOCK = 10_000, 32_000, 200


def free_port() -> int:
    """A port on which nothing listens, and that no other test process is given."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of ``count`` neighbouring free ports."""
    for _ in range(_BLOCK):
        first = _blocks.take(count)
        if all(map(_is_free, range(first, first + count))):
            return first
    raise AssertionError("every port of this process is in use")


class _Blocks:
    """The block of this process, reserved by the name of a socket for as long as the process lives."""

    def __init__(self) -> None:
        self._pid = 0
        self._reserved: socket.socket
        self._ports: Iterator[int]

    def take(self, count: int) -> int:
        """The first of the next ``count`` ports of the block, which are given again only after all others."""
        if self._pid != os.getpid():
            self._reserve()
        first = next(self._ports)
        run = [first, *(next(self._ports) for _ in range(count - 1))]
        return first if run[-1] == first + count - 1 else self.take(count)

    def _reserve(self) -> None:
        for first in random.sample(range(_FIRST, _LAST, _BLOCK), (_LAST - _FIRST) // _BLOCK):
            reserved = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                reserved.bind(f"\0cbox-init-tests-ports-{first}")
            except OSError:
                reserved.close()
                continue
            self._pid, self._reserved, self._ports = (
                os.getpid(),
                reserved,
                cycle(range(first, first + _BLOCK)),
            )
            return
        raise AssertionError("every block of ports is taken by another test process")


_blocks = _Blocks()


def _is_free(port: int) -> bool:
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True
