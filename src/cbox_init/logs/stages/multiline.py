"""Joins lines into records: a line that matches the pattern begins a record.

A record ends before the next such line, when it has as many lines or bytes as allowed, when no line comes
for a while, or with the stream. Lines before the first match are a record too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.framing import LINE_LIMIT
from cbox_init.logs.stages.batch import LineBatch

if TYPE_CHECKING:
    from collections.abc import Callable


class Joiner:
    """The unfinished record of one stream.

    ``first_lines`` gives the start of each first line in a text, in order.
    """

    __slots__ = ("_first_lines", "_lines", "_most", "_since_ns", "_size")

    def __init__(self, first_lines: Callable[[str], list[int]], max_lines: int) -> None:
        self._first_lines = first_lines
        self._most = max_lines
        self._lines: list[str] = []
        self._size = 0
        self._since_ns = 0

    @property
    def open(self) -> bool:
        """Whether a record waits for more lines."""
        return bool(self._lines)

    def feed(self, text: str, now_ns: int) -> list[LineBatch]:
        """The records that the lines of ``text`` complete. The last one is held."""
        batches: list[LineBatch] = []
        starts = self._first_lines(text)
        if not starts:
            self._extend(text, now_ns, batches)
            return batches
        if starts[0] > 0:
            self._extend(text[: starts[0] - 1], now_ns, batches)
        plain_from = -1
        for start, following in zip(starts, [*starts[1:], len(text) + 1], strict=True):
            end = following - 1
            is_last = following > len(text)
            if text.find("\n", start, end) < 0 and not is_last:
                # A record of one line: it goes on together with its neighbours of that kind.
                if plain_from < 0:
                    self._close(batches)
                    plain_from = start
                continue
            if plain_from >= 0:
                batches.append(LineBatch(text[plain_from : start - 1], now_ns))
                plain_from = -1
            self._close(batches)
            self._extend(text[start:end], now_ns, batches)
        return batches

    def flush(self) -> list[LineBatch]:
        """The record that waits for more lines."""
        batches: list[LineBatch] = []
        self._close(batches)
        return batches

    def _extend(self, text: str, now_ns: int, batches: list[LineBatch]) -> None:
        for line in text.split("\n"):
            size = len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
            if self._lines and (len(self._lines) >= self._most or self._size + size >= LINE_LIMIT):
                self._close(batches)
            if not self._lines:
                self._since_ns = now_ns
            self._lines.append(line)
            self._size += size + 1

    def _close(self, batches: list[LineBatch]) -> None:
        if self._lines:
            single = len(self._lines) > 1
            batches.append(LineBatch("\n".join(self._lines), self._since_ns, single))
            self._lines.clear()
            self._size = 0
