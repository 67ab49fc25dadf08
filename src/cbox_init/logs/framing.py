"""Splits bytes into lines, as blocks. Pure: the result is the same however the bytes are cut into reads.

- A line ends with ``\\n``; one ``\\r`` before it is part of the line end.
- A line of more than LINE_LIMIT bytes is cut into parts of that size, never inside a UTF-8 character. A
  caller that looks for something across cuts can move them forward.
- At most twice LINE_LIMIT and the look-ahead of a cut are held, however long a line is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

LINE_LIMIT = 64 * 1024
"""Bytes in one record. A longer line becomes several records; nothing is lost."""

_LONGEST_CHARACTER = 4


class Frame(NamedTuple):
    """One line or more, without the last newline. With ``partial``, a part of a line that is not its last."""

    data: bytes
    partial: bool


Cut = tuple[Callable[[bytes, int], int], int]
"""Where to cut a long line: a function of its beginning and the limit that gives a position above 0 and at
most the limit, and how many bytes behind the limit the function needs to see."""


class Framer:
    """Splits one stream. ``limit`` is in bytes, at least 4 (the longest UTF-8 character)."""

    __slots__ = ("_cut_at", "_limit", "_look_ahead", "_rest")

    def __init__(self, limit: int = LINE_LIMIT, cut: Cut | None = None) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._cut_at: Callable[[bytes, int], int] | None
        self.cut_by(cut)

    def cut_by(self, cut: Cut | None) -> None:
        """Cut long lines by ``cut`` from now on; None cuts at the limit."""
        self._cut_at, self._look_ahead = cut or (None, 0)

    def feed(self, data: bytes) -> list[Frame]:
        """The lines that ``data`` completes. The unfinished line is held."""
        if len(data) <= self._limit:
            return self._feed(data)
        frames: list[Frame] = []
        for start in range(0, len(data), self._limit):
            frames += self._feed(data[start : start + self._limit])
        return frames

    def flush(self) -> list[Frame]:
        """The unfinished line, if any. Afterwards nothing is held."""
        if not self._rest:
            return []
        frames = self._cut(self._rest, whole=True)
        line = bytes(self._rest)
        self._rest.clear()
        return [*frames, Frame(_without_cr(line), partial=False)]

    def _feed(self, data: bytes) -> list[Frame]:
        rest = self._rest
        end = data.rfind(b"\n")
        if end < 0:
            rest += data
            return self._cut(rest, whole=False)
        frames: list[Frame] = []
        if rest:
            # Only the first line, which began in an earlier read, can be longer than the limit.
            first = data.find(b"\n")
            if len(rest) + first > self._limit:
                rest += memoryview(data)[:first]
                frames = self._cut(rest, whole=True)
                block = b"".join((rest, memoryview(data)[first:end]))
            else:
                block = b"".join((rest, memoryview(data)[:end]))
            rest.clear()
        else:
            block = data[:end]
        rest += memoryview(data)[end + 1 :]
        frames.append(Frame(_without_cr(block), partial=False))
        return frames

    def _cut(self, line: bytearray, *, whole: bool) -> list[Frame]:
        """Cut parts off ``line`` that cannot be its last part. With ``whole`` the line is complete.

        A ``\\r`` right behind the limit may be half of a line end: the next read will tell.
        """
        frames: list[Frame] = []
        seen = self._limit + self._look_ahead
        least = self._limit if whole else seen
        while len(line) - line.endswith(b"\r") > least:
            end = _character_start(line, self._limit)
            if self._cut_at is not None:
                end = self._cut_at(bytes(line[:seen]), end)
            frames.append(Frame(bytes(line[:end]), partial=True))
            del line[:end]
        return frames


def _character_start(line: bytearray, at: int) -> int:
    """The start of the UTF-8 character around ``at``; ``at`` itself when there is none."""
    for start in range(at, at - _LONGEST_CHARACTER, -1):
        if line[start] & 0xC0 != 0x80:
            return start
    return at


def _without_cr(block: bytes) -> bytes:
    if b"\r" in block:
        return block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return block
