"""The outputs of one instance, from the pipe's end to whole lines."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from cbox_init.logs.framing import Framer
from cbox_init.logs.levels import Level
from cbox_init.logs.record import Block, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.logs.encode import BlockEncoder
    from cbox_init.logs.framing import Piece
    from cbox_init.logs.reader import Reader

READ_BYTES = 24 * 1024
"""One read. As JSON it becomes some 50 KB: larger blocks go back to the kernel each time they are freed and
fault in again, which costs a third of the throughput. It also bounds what a block of empty lines becomes."""


class Stream:
    """One descriptor, which it owns: closed at its end, or by close()."""

    __slots__ = ("_emit", "_fd", "_framer", "_held", "_reader", "encoder", "source")

    def __init__(
        self,
        fd: int,
        source: Source,
        encoder: BlockEncoder,
        reader: Reader,
        emit: Callable[[Sequence[Block], BlockEncoder], None],
        held: Callable[[], bool],
    ) -> None:
        self.source = source
        self.encoder = encoder
        self._fd = fd
        self._framer = Framer()
        self._reader = reader
        self._emit = emit
        self._held = held
        os.set_blocking(fd, False)
        reader.add(fd, self)

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def held(self) -> bool:
        return self._held()

    def read_block(self) -> int:
        """Hand on the lines of one block; return how many bytes there were, 0 when there is nothing now."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # what cannot be read has ended
        if not data:
            self.close()
            return 0
        self._hand_on(self._framer.feed(data))
        return len(data)

    def drain(self) -> None:
        """Hand on all that the pipe holds now, and the beginning of a line that nobody may ever end.

        Another writer can fill the pipe as fast as it is read: what counts was there before, no more than
        the pipe's size; one read behind that finds the end.
        """
        if self.closed:
            return
        left = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        while left >= 0 and (size := self.read_block()):
            left -= size
        self._hand_on(self._framer.flush())

    def close(self) -> None:
        """Hand on what has been read, and read no more."""
        if self.closed:
            return
        self._hand_on(self._framer.flush())
        self._reader.remove(self._fd)
        os.close(self._fd)
        self._fd = -1

    def _hand_on(self, pieces: list[Piece]) -> None:
        if pieces:
            now = time.time_ns()
            source = self.source
            blocks = [Block(now, source, Level.INFO, data, partial) for data, partial in pieces]
            self._emit(blocks, self.encoder)


class Capture:
    """What one instance writes, until all who hold its outputs have closed them."""

    __slots__ = ("streams",)

    def __init__(self, streams: tuple[Stream, ...]) -> None:
        self.streams = streams

    @property
    def closed(self) -> bool:
        """Whether nothing can come any more."""
        return all(stream.closed for stream in self.streams)

    def drain(self) -> None:
        """Read all that is there right now and hand it on: for the moment when the main child has exited.

        A last line without newline becomes a record. Where a grandchild still holds an output,
        reading goes on.
        """
        for stream in self.streams:
            stream.drain()

    def close(self) -> None:
        """Hand on what has been read, and close the descriptors."""
        for stream in self.streams:
            stream.close()
