"""Finds the lines of a block, and the records, that a pattern matches."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cbox_init.logs.stages.guard import TooSlow, pieces

if TYPE_CHECKING:
    from cbox_init.logs.stages.guard import SearchGuard
    from cbox_init.patterns.compile import Pattern


class Finder:
    """Searches with one pattern. ``if_slow`` is the result for a record that cannot be searched in time."""

    __slots__ = ("_guard", "_if_slow", "_lines", "_needles", "_probe", "_record")

    def __init__(self, pattern: Pattern, guard: SearchGuard, *, if_slow: bool = False) -> None:
        self._guard = guard
        self._if_slow = if_slow
        self._lines = pattern.lines
        self._record = pattern.record
        self._needles = pattern.needles
        self._probe = pattern.probe

    def lines(self, text: str) -> list[int]:
        """The start of each matching line, in order."""
        if self._needles is not None and not self._needles.may_match(text):
            return []
        try:
            return self._guard.block(self._starts, text, self._probe)
        except TooSlow:
            return self._in_pieces(text)

    def matches(self, record: str) -> bool:
        """Whether one record matches."""
        if self._needles is not None and not self._needles.may_match(record):
            return False
        return self._guard.record(
            lambda text: self._record.search(text) is not None, record, self._if_slow, self._probe
        )

    def _starts(self, text: str) -> list[int]:
        search = self._lines.search
        found = search(text)
        starts: list[int] = []
        while found is not None:
            place = found.start()
            starts.append(text.rfind("\n", 0, place) + 1)
            end = text.find("\n", place)
            if end < 0:
                break
            found = search(text, end + 1)
        return starts

    def _in_pieces(self, text: str) -> list[int]:
        starts: list[int] = []
        at = 0
        for piece in pieces(text):
            found: list[int] | None = None
            if "\n" in piece:
                with suppress(TooSlow):
                    found = self._guard.block(self._starts, piece, self._probe)
            if found is None:
                found = self._one_by_one(piece)
            starts += [at + start for start in found]
            at += len(piece) + 1
        return starts

    def _one_by_one(self, text: str) -> list[int]:
        starts: list[int] = []
        at = 0
        for line in text.split("\n"):
            if self.matches(line):
                starts.append(at)
            at += len(line) + 1
        return starts
