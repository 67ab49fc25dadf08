"""Records of children's output: kept in blocks, read one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Raw, Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.config.model.enums import LogLevel

BLOCK_OVERHEAD: Final = 160
"""Memory that a block needs beyond its bytes: the objects around them and an entry in a queue."""


class RecordSource(NamedTuple):
    """Where lines come from. ``stream`` is stdout, stderr or file."""

    process: str
    instance: str
    stream: str


class Encoded(NamedTuple):
    """Encoded records, and their number."""

    data: bytes
    records: int


def joined(parts: Sequence[Encoded]) -> Encoded:
    """The parts as one. There is at least one."""
    if len(parts) == 1:
        return parts[0]
    return Encoded(b"".join([part.data for part in parts]), sum([part.records for part in parts]))


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """One record of a child: a line, or several that multiline has joined.

    ``time_ns`` is Unix time in nanoseconds, of the read that completed the first line. A record that waits
    for more lines enters the ring later than that.

    Bytes that are not UTF-8 are ``\\xNN`` in ``message``. ``partial`` marks every part but the last of a
    line that was too long for one record; the next record of the same instance and stream continues it.
    ``fields`` are the members of a line that was JSON, as a JSON object; None when there are none.
    """

    time_ns: int
    process: str
    instance: str
    stream: str
    level: LogLevel
    message: str
    partial: bool = False
    fields: Raw | None = None


class Block(Struct, frozen=True, gc=False):
    """Records of one source with the same time and level, in the order in which they were written.

    ``data`` is one line or more, without the last newline; each line is a record. A block is kept and
    handed on as a whole; it is split only where single records are needed. With ``single``, all of
    ``data`` is one record, newlines included.

    ``fields`` is a JSON object with at least one member, for a block that is ``single``; empty for none.
    """

    time_ns: int
    source: RecordSource
    level: LogLevel
    data: bytes
    partial: bool = False
    single: bool = False
    fields: bytes = b""

    def __len__(self) -> int:
        """Number of records."""
        return 1 if self.single else self.data.count(b"\n") + 1

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.data) + len(self.fields) + BLOCK_OVERHEAD

    def split(self) -> list[Block]:
        """A block for each record."""
        if self.single:
            return [self]
        return [replace(self, data=line) for line in self.data.split(b"\n")]

    def without_fields(self) -> Block:
        return replace(self, fields=b"")

    def records(self, *, newest_first: bool = False) -> Iterator[Record]:
        lines = self.lines()
        if newest_first:
            lines.reverse()
        return map(self.record, lines)

    def lines(self) -> list[bytes]:
        """The data of each record."""
        return [self.data] if self.single else self.data.split(b"\n")

    def record(self, line: bytes) -> Record:
        """One of the records, from its data."""
        return Record(
            time_ns=self.time_ns,
            process=self.source.process,
            instance=self.source.instance,
            stream=self.source.stream,
            level=self.level,
            message=line.decode("utf-8", "backslashreplace"),
            partial=self.partial,
            fields=Raw(self.fields) if self.fields else None,
        )
