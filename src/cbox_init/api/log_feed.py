"""Log lines as server-sent events. What several readers follow is encoded once."""

from __future__ import annotations

from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import UNSET

from cbox_init.api.replies import encode
from cbox_init.api.schemas import MissedEvent
from cbox_init.api.views import log_entries
from cbox_init.api.waiting import SLICE_S
from cbox_init.logs.past import Position, name_of
from cbox_init.logs.subscription import Missed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.filter import LogFilter, TextSearch
    from cbox_init.logs.past import BlockSlice
    from cbox_init.logs.record import Record
    from cbox_init.logs.subscription import Subscription

#: Events that are encoded at a time: about 0.3 ms.
_PIECE_EVENTS: Final = 128

#: Bytes that are sent at a time, give or take a piece: no more than the buffer of a connection holds.
_CHUNK_BYTES: Final = 64 * 1024

#: Pieces that are kept for the next reader: readers that keep up need the same ones within a moment.
_KEPT_PIECES: Final = 16


class Piece(NamedTuple):
    """Some events of a block; ``end`` is the position after them, ``left`` whether the block has more."""

    data: bytes
    end: Position
    left: bool


class EventWriter:
    """Encodes the lines of one run of the daemon as events, and caches the latest pieces."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._pieces: dict[tuple[int, int, TextSearch | None], Piece] = {}

    def id_of(self, position: Position) -> bytes:
        """The field ``id`` with which a reader can resume at a position."""
        return f"id: {name_of(position, self._run)}\n".encode()

    def missed(self, missed: Missed) -> bytes:
        """The event for lines that are missing."""
        data = encode(MissedEvent(UNSET if missed.count is None else missed.count))
        return b"%bevent: missed\ndata: %b\n\n" % (self.id_of(missed.upto), data)

    def piece(self, cursor: BlockCursor) -> Piece:
        """The next events of a block from ``cursor`` on, which is advanced."""
        key = (cursor.part.entry.number, cursor.line, cursor.chosen.text)
        piece = self._pieces.get(key)
        if piece is None:
            piece = self._pieces[key] = self._write(cursor)
            if len(self._pieces) > _KEPT_PIECES:
                del self._pieces[next(iter(self._pieces))]
        cursor.line = piece.end.line
        return piece

    def forget(self) -> None:
        """Clear the cache; call when there is no reader."""
        self._pieces.clear()

    def _write(self, cursor: BlockCursor) -> Piece:
        number = cursor.part.entry.number
        lines, left = cursor.next_lines(_PIECE_EVENTS)
        end = Position(number, lines[-1][0] + 1) if left else Position(number + 1)
        places = [*(Position(number, index + 1) for index, _ in lines[:-1]), end]
        entries = log_entries(record for _, record in lines)
        data = b"".join(
            b"%bevent: log\ndata: %b\n\n" % (self.id_of(place), encode(entry))
            for place, entry in zip(places, entries, strict=False)
        )
        return Piece(data, end, left)


class BlockCursor:
    """The position of one reader in a block; ``line`` is the next."""

    def __init__(self, part: BlockSlice, chosen: LogFilter) -> None:
        self.part = part
        self.chosen = chosen
        self.line = part.start
        self._lines: Iterator[tuple[int, Record]] = iter(())
        self._ahead: list[tuple[int, Record]] = []
        self._at = -1

    def next_lines(self, count: int) -> tuple[list[tuple[int, Record]], bool]:
        """At most ``count`` matching lines from ``line`` on, with indexes, and whether there are more."""
        if self._at != self.line:  # the last piece was another reader's
            self._lines = self.chosen.lines(self.part.entry.block, self.line)
            self._ahead = []
        lines = [*self._ahead, *islice(self._lines, count + 1 - len(self._ahead))]
        lines, self._ahead = lines[:count], lines[count:]
        self._at = lines[-1][0] + 1 if lines else self.line
        return lines, bool(self._ahead)


class Feed:
    """The events for one reader."""

    def __init__(self, lines: Subscription, writer: EventWriter) -> None:
        self._lines = lines
        self._writer = writer
        self._cursor: BlockCursor | None = None
        self._sent_position: Position | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to send."""
        return self._cursor is not None or self._lines.pending

    def chunk(self) -> bytes:
        """The next events, as many as are sent at a time; may be empty although something was pending."""
        pieces: list[bytes] = []
        size = 0
        until = monotonic() + SLICE_S
        while size < _CHUNK_BYTES:
            data = self._next()
            if data is None:
                break
            pieces.append(data)
            size += len(data)
            if monotonic() >= until:
                break
        return b"".join(pieces)

    def mark(self, position: Position) -> bytes:
        """The ``id`` of ``position`` for a reader that has all before it; empty when it was sent already."""
        if self.pending or position == self._sent_position:
            return b""
        self._sent_position = position
        return self._writer.id_of(position) + b"\n"

    def _next(self) -> bytes | None:
        if self._cursor is None:
            item = self._lines.take()
            if item is None:
                return None
            if isinstance(item, Missed):
                self._sent_position = item.upto
                return self._writer.missed(item)
            self._cursor = BlockCursor(item, self._lines.chosen)
        piece = self._writer.piece(self._cursor)
        if not piece.left:
            self._cursor = None
        if piece.data:
            self._sent_position = piece.end
        return piece.data
