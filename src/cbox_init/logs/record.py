"""What a child has written: kept in blocks, told line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.levels import Level


class Source(NamedTuple):
    """Where lines come from. ``stream`` is stdout or stderr."""

    process: str
    instance: str
    stream: str


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a child. ``time_ns`` is Unix time in nanoseconds, of the read that completed the line.

    Bytes that are not UTF-8 stand in ``message`` as ``\\xNN``. ``partial`` marks every part but the last of
    a line that was too long for one record: the next record of the same instance and stream goes on.
    """

    time_ns: int
    process: str
    instance: str
    stream: str
    level: Level
    message: str
    partial: bool = False


class Block(Struct, frozen=True, gc=False):
    """The lines of one read: ``data`` is one line or more, without the last newline.

    A block is kept and handed on as a whole; only who wants single lines pays for splitting it.
    """

    time_ns: int
    source: Source
    level: Level
    data: bytes
    partial: bool = False

    def __len__(self) -> int:
        """Number of records."""
        return self.data.count(b"\n") + 1

    def records(self, *, newest_first: bool = False) -> Iterator[Record]:
        lines = self.data.split(b"\n")
        if newest_first:
            lines.reverse()
        for line in lines:
            yield Record(
                time_ns=self.time_ns,
                process=self.source.process,
                instance=self.source.instance,
                stream=self.source.stream,
                level=self.level,
                message=line.decode("utf-8", "backslashreplace"),
                partial=self.partial,
            )
