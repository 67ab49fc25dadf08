"""Reads the children's pipes, a limited amount in each turn of the event loop.

All pipes are in one epoll set, and the event loop watches only that set. So a thousand pipes cost the loop
one descriptor, pipes can be taken over before there is a loop, and reading is stopped by not watching one
descriptor.
"""

from __future__ import annotations

import select
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from cbox_init.logs.pace import READ_BYTES, ReadPace

if TYPE_CHECKING:
    import asyncio

    from cbox_init.logs.descriptor_writer import DescriptorWriter

TURN_S = 0.002
"""Time for reading in one turn of the loop, in seconds, give or take one block: an API request may have to
wait for it."""

_EVENTS = 256


class ReadablePipe(Protocol):
    """Reads one descriptor of the set."""

    @property
    def held(self) -> bool:
        """Whether reading should stop because an output is full."""

    def failed(self, error: Exception) -> None:
        """Log what ``read_block`` has raised."""

    def read_block(self) -> int:
        """Read one block, if there is one, and return its size in bytes. From ``READ_BYTES`` on there may
        be more."""


class PipeReader:
    """Shares the time of the loop fairly among all descriptors, and stops while standard output is full.

    When some process does not depend on standard output alone, ``singly`` is set, and each descriptor that
    is ``held`` is left out by itself.
    """

    def __init__(self, stdout: DescriptorWriter) -> None:
        self.singly = False
        self._stdout = stdout
        self._epoll = select.epoll()
        self._readables: dict[int, ReadablePipe] = {}
        self._ready: deque[int] = deque()
        self._parked: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching = False
        self._pace = ReadPace()
        self._rest: asyncio.TimerHandle | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read in ``loop`` from now on."""
        self._loop = loop
        self.resume()

    def add(self, fd: int, readable: ReadablePipe) -> None:
        """Watch ``fd``, a non-blocking pipe or socket, until it is removed."""
        self._epoll.register(fd, select.EPOLLIN)
        self._readables[fd] = readable

    def remove(self, fd: int) -> None:
        """Stop watching ``fd``. Call it before ``fd`` is closed: the set knows the open file, not the
        number."""
        del self._readables[fd]
        if fd in self._parked:
            self._parked.remove(fd)
        else:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Stop reading. The descriptors stay open."""
        self._unwatch()
        if self._rest is not None:
            self._rest.cancel()
        self._loop = None
        self._readables.clear()
        self._parked.clear()
        self._epoll.close()

    def _turn(self) -> None:
        ready = self._ready
        if not ready:
            ready.extend(fd for fd, _ in self._epoll.poll(0, _EVENTS))
        self._stdout.cork()
        try:
            self._read()
        finally:
            self._stdout.uncork()
        if not ready and self._loop is not None and (rest_s := self._pace.rest()):
            self._unwatch()
            self._rest = self._loop.call_later(rest_s, self.resume)

    def _read(self) -> None:
        """Read from the ready descriptors until nothing is left, standard output is full, or the turn is
        over."""
        ready, stdout = self._ready, self._stdout
        began = now = monotonic()
        reads = size = 0
        while ready:
            if stdout.full and not self.singly:
                self._unwatch()
                break
            fd = ready.popleft()
            readable = self._readables.get(fd)
            if readable is not None and self.singly and readable.held:
                self._park(fd)
            elif readable is not None:
                try:
                    got = readable.read_block()
                except Exception as error:  # noqa: BLE001  # contained at the pipe
                    got = 0
                    readable.failed(error)
                if got >= READ_BYTES:
                    ready.append(fd)
                reads += 1
                size += got
                now = monotonic()
                if now >= began + TURN_S:
                    break
        self._pace.note(reads, size, began, now)

    def resume(self) -> None:
        """Read on: an output has room again."""
        for fd in [fd for fd in self._parked if not self._readables[fd].held]:
            self._parked.remove(fd)
            self._epoll.register(fd, select.EPOLLIN)
        if self._loop is not None and not self._watching:
            self._watching = True
            self._loop.add_reader(self._epoll.fileno(), self._turn)

    def _park(self, fd: int) -> None:
        """Leave ``fd`` out until ``resume``."""
        if fd not in self._parked:
            self._parked.add(fd)
            self._epoll.unregister(fd)

    def _unwatch(self) -> None:
        if self._loop is not None and self._watching:
            self._watching = False
            self._loop.remove_reader(self._epoll.fileno())
