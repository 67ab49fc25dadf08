"""Drops records that a pattern of ``exclude`` matches and, with an ``include``, those that none of its
patterns match.

A dropped record is discarded everywhere, also in the API. A record whose message was taken out of JSON is
searched both as its message and as the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.logs.stages.batch import LineBatch, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.record import Block
    from cbox_init.logs.stages.finder import Finder


class Filters:
    """The patterns of one process. A pattern that takes too long drops nothing."""

    key: Final = "filters"

    def __init__(self, exclude: Sequence[Finder], include: Sequence[Finder]) -> None:
        self._exclude = tuple(exclude)
        self._include = tuple(include)

    def __call__(self, batch: LineBatch) -> list[LineBatch]:
        if batch.single or batch.line is not None:
            return [batch] if self.keeps(batch) else []
        texts = [batch.text]
        if self._exclude:
            texts = _without(batch.text, _lines(self._exclude, batch.text))
        if self._include:
            texts = [kept for text in texts for kept in _only(text, _lines(self._include, text))]
        if len(texts) == 1 and len(texts[0]) == len(batch.text):
            return [batch]
        return [batch.with_text(text) for text in texts]

    def keeps(self, batch: LineBatch) -> bool:
        """Whether one record is kept."""
        texts = (batch.text,) if batch.line is None else (batch.text, batch.line)
        if any(finder.matches(text) for finder in self._exclude for text in texts):
            return False
        return not self._include or any(finder.matches(text) for finder in self._include for text in texts)


class BlockFilter:
    """The filters of an output: drops blocks' records on the way to one destination only."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    def __call__(self, blocks: Sequence[Block]) -> list[Block]:
        return [kept for block in blocks for kept in self._kept(block)]

    def _kept(self, block: Block) -> list[Block]:
        text = block.data.decode("utf-8", "surrogateescape")
        batch = LineBatch(text, block.time_ns, block.single, block.level, block.fields)
        return [
            block if kept is batch else replace(block, data=kept.text.encode("utf-8", "surrogateescape"))
            for kept in self._filters(batch)
        ]


def _lines(finders: Sequence[Finder], text: str) -> list[int]:
    found: set[int] = set()
    for finder in finders:
        found.update(finder.lines(text))
    return sorted(found)


def _without(text: str, starts: Sequence[int]) -> list[str]:
    return [kept for is_match, kept in runs(text, starts, others=True) if not is_match]


def _only(text: str, starts: Sequence[int]) -> list[str]:
    return [kept for _, kept in runs(text, starts, others=False)]
