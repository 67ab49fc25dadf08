"""What one instance writes to its standard output and standard error, from the pipes to whole lines."""

from __future__ import annotations

import fcntl
import os
from math import inf
from time import thread_time
from typing import TYPE_CHECKING, Final

from cbox_init.logs.framing import Framer
from cbox_init.logs.pace import ReadSize, keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.logs.lines import LineHandler
    from cbox_init.logs.reader import PipeReader
    from cbox_init.logs.stages.pipeline import Stages

#: CPU time, in seconds, for which the last output of a child is read at once. The 64 KiB of a pipe take 2 ms
#: with usual lines. A child can write single bytes, and make its pipe hold a megabyte: that takes a second.
DRAIN_S: Final = 0.008


class PipeStream:
    """The reading end of one pipe. It owns the descriptor and closes it at the end of the stream, or in
    close()."""

    __slots__ = ("_appetite", "_fd", "_framer", "_held", "_reader", "lines")

    def __init__(
        self,
        fd: int,
        lines: LineHandler,
        reader: PipeReader,
        held: Callable[[], bool],
        *,
        may_grow: bool = True,
    ) -> None:
        self.lines = lines
        self._fd = fd
        self._appetite = ReadSize(may_grow=may_grow)
        self._framer = Framer(cut=lines.cut)
        self._reader = reader
        self._held = held
        os.set_blocking(fd, False)
        reader.add(fd, self)

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def held(self) -> bool:
        return self._held()

    def failed(self, error: Exception) -> None:
        """Log an error of this stream, at intervals."""
        self.lines.failed(error)

    def read_at_once(self, *, may_grow: bool) -> None:
        """Go back to reads of the usual size; ``may_grow`` says whether they may become larger."""
        self._appetite = ReadSize(may_grow=may_grow)

    def use(self, stages: Stages | None) -> None:
        """Send lines through ``stages`` from now on. What the old stages hold is handed on first."""
        self.lines.use(stages)
        self._framer.cut_by(self.lines.cut)

    def read_block(self) -> int:
        """Read one block and hand on its lines. Returns its size, 0 when there is nothing to read now."""
        try:
            data = os.read(self._fd, self._appetite.size)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # a pipe that cannot be read has ended
        if not data:
            self.close()
            return 0
        self.lines.hand_on(self._framer.feed(data))
        if len(data) >= self._appetite.size and self._appetite.grows(data):
            keep_freed_memory()
        return len(data)

    def drain(self, until: float = inf) -> bool:
        """Hand on all that the pipe holds now, and an unfinished last line; False when the time is over
        before, at ``until`` of the CPU time of the thread. What is left then is read like other output.

        Another writer may fill the pipe as fast as it is read, so no more than the pipe's size is read, and
        one more read to find the end.
        """
        if self.closed:
            return True
        try:
            left = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
            while left >= 0 and (size := self.read_block()):
                left -= size
                if thread_time() >= until:
                    return False
        except Exception as error:  # noqa: BLE001  # an exit is handled whatever its log does
            self.failed(error)
        self._flush()
        return True

    def close(self) -> None:
        """Hand on what has been read, then stop reading."""
        if self.closed:
            return
        self._flush()
        self.lines.watch = None  # else it and this stream would be a cycle
        fd, self._fd = self._fd, -1
        try:
            self._reader.remove(fd)
        except OSError as error:
            self.failed(error)
        os.close(fd)

    def _flush(self) -> None:
        """Hand on an unfinished line, and a record that waits for more lines."""
        self.lines.hand_on(self._framer.flush())
        self.lines.flush()


class Capture:
    """The streams of one instance, until every process that holds their writing ends has closed them."""

    __slots__ = ("streams",)

    def __init__(self, streams: tuple[PipeStream, ...]) -> None:
        self.streams = streams

    @property
    def closed(self) -> bool:
        """Whether both streams have ended."""
        return all(stream.closed for stream in self.streams)

    def drain(self, most_s: float = DRAIN_S) -> bool:
        """Read what is in the pipes now and hand it on; False when that takes longer than ``most_s``, and
        more may be left. Called when the main process has exited.

        A last line without newline becomes a record. When a grandchild still holds the pipe, reading goes on.
        """
        until = thread_time() + most_s
        drained = [stream.drain(until) for stream in self.streams]
        return all(drained)

    def close(self) -> None:
        """Hand on what has been read and close the descriptors."""
        for stream in self.streams:
            stream.close()
