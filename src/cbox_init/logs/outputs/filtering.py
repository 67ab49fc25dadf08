"""The filters of an output: records that go elsewhere, but not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.logs.stages.part import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.record import Block
    from cbox_init.logs.stages.filters import Filters


class BlockFilter:
    """Lets through what ``filters`` keep."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters

    def __call__(self, blocks: Sequence[Block]) -> list[Block]:
        return [kept for block in blocks for kept in self._kept(block)]

    def _kept(self, block: Block) -> list[Block]:
        text = block.data.decode("utf-8", "surrogateescape")
        part = Part(text, block.time_ns, block.single, block.level, block.fields)
        return [
            block if kept is part else replace(block, data=kept.text.encode("utf-8", "surrogateescape"))
            for kept in self._filters(part)
        ]
