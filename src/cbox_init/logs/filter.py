"""Which lines a client of the API asks for. Whole blocks are tested first, so that those that cannot match
are not split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from cbox_init.config.model.enums import LogLevel  # noqa: TC001  # fields of a Struct

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from cbox_init.logs.record import Block, Record

#: How many matching lines of a block are counted: half a millisecond.
_MOST_COUNTED: Final = 1000


class TextSearch(Struct, frozen=True):
    """A text to find in messages. Made by ``of``.

    ``needle`` are the bytes to look for in a block first; None when only the messages can tell.
    """

    text: str
    ignore_case: bool
    needle: bytes | None

    @classmethod
    def of(cls, text: str, *, ignore_case: bool = False) -> Self:
        """A search for ``text``; with ``ignore_case``, upper and lower case are equal."""
        if not ignore_case:
            return cls(text, ignore_case, text.encode())
        folded = text.casefold()
        # Beyond ASCII, some letters fold to one of ASCII.
        return cls(folded, ignore_case, folded.encode() if text.isascii() else None)

    def may_be_in(self, data: bytes) -> bool:
        """False when no message of these lines can contain the text."""
        if self.needle is None:
            return True
        if data.isascii():
            return self.needle in (data.lower() if self.ignore_case else data)
        # Bytes that are not UTF-8 are shown as digits and letters, which may contain the text.
        return self.ignore_case or self.needle in data or not _is_utf_8(data)

    def count_in(self, data: bytes, *, single: bool = False) -> int | None:
        """How many of these lines contain the text; ``single``: they are one record.

        None when the answer would take long: when only their messages can tell, and when there are many.
        """
        if self.needle is None or not (data.isascii() or (not self.ignore_case and _is_utf_8(data))):
            return None
        if self.ignore_case:
            data = data.lower()
        if single:
            return int(self.needle in data)
        if b"\n" in self.needle:
            return 0
        count = 0
        at = data.find(self.needle)
        while at >= 0:
            count += 1
            if count > _MOST_COUNTED:
                return None
            end = data.find(b"\n", at)
            at = data.find(self.needle, end) if end >= 0 else -1
        return count

    def is_in(self, message: str) -> bool:
        return self.text in (message.casefold() if self.ignore_case else message)

    def lines_in(self, data: bytes, start: int = 0) -> Iterator[int]:
        """The indexes of the lines that contain the text, from line ``start`` on.

        All of them are searched at once. To search each would take a hundred times as long for short ones.
        """
        if "\n" in self.text:
            return
        messages = data.decode("utf-8", "backslashreplace")
        if start:
            messages = messages.split("\n", start)[-1] if messages.count("\n") >= start else ""
        if self.ignore_case:
            messages = messages.casefold()
        index, begin = start, 0
        at = messages.find(self.text)
        while at >= 0:
            index += messages.count("\n", begin, at)
            yield index
            begin = messages.find("\n", at)
            at = messages.find(self.text, begin) if begin >= 0 else -1


class LogFilter(Struct, frozen=True, kw_only=True):
    """Conditions on a line; None and empty sets are no condition. ``processes`` can be hashed.

    ``since_ns`` and ``until_ns`` are Unix times in nanoseconds, both inclusive.
    """

    processes: Container[str] | None = None
    instances: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()
    min_level: LogLevel | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    text: TextSearch | None = None

    def may_take(self, block: Block) -> bool:
        """Whether the block may have matching lines; without ``text`` all its lines match then."""
        source = block.source
        return not (
            (self.processes is not None and source.process not in self.processes)
            or (self.min_level is not None and block.level.rank < self.min_level.rank)
            or (self.instances and source.instance not in self.instances)
            or (self.streams and source.stream not in self.streams)
            or (self.since_ns is not None and block.time_ns < self.since_ns)
            or (self.until_ns is not None and block.time_ns > self.until_ns)
            or (self.text is not None and not self.text.may_be_in(block.data))
        )

    def lines(self, block: Block, start: int = 0) -> Iterator[tuple[int, Record]]:
        """The matching lines of a block from line ``start`` on, each with its index. For blocks that
        ``may_take`` accepts."""
        lines = block.lines()
        return ((index, block.record(lines[index])) for index in self.indexes(block, start))

    def newest_first(self, block: Block) -> Iterator[Record]:
        """The matching lines of a block, last line first. For blocks that ``may_take`` accepts."""
        lines = block.lines()
        return (block.record(lines[index]) for index in reversed(tuple(self.indexes(block))))

    def indexes(self, block: Block, start: int = 0) -> Iterable[int]:
        """The indexes of the matching lines from line ``start`` on. For blocks that ``may_take`` accepts."""
        if self.text is None:
            return range(start, len(block))
        if not block.single:
            return self.text.lines_in(block.data, start)
        (record,) = block.records()
        return range(start, int(self.text.is_in(record.message)))

    def count(self, block: Block) -> int | None:
        """The number of matching lines, None when it is not known soon. For blocks that ``may_take``
        accepts."""
        return len(block) if self.text is None else self.text.count_in(block.data, single=block.single)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
