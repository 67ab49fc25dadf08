"""The two forms of a record on stdout: what both promise, and the choice between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cbox_init.logs.encode_json import JsonFormat
from cbox_init.logs.encode_text import TextFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.logs.colours import Colours
    from cbox_init.logs.levels import Level
    from cbox_init.logs.record import Block, Source

Field = str | int | float | bool | None
"""The value of a member of a daemon's message."""


class BlockEncoder(Protocol):
    """Writes the blocks of one source: a line of output for each record, the last newline included."""

    def __call__(self, block: Block) -> bytes: ...


class Format(Protocol):
    """One form of output, json or text."""

    def encoder(self, source: Source, labels: Mapping[str, str]) -> BlockEncoder: ...

    def message(self, time_ns: int, level: Level, message: str, fields: Mapping[str, Field]) -> bytes:
        """A message of the daemon's own, newline included. Fields that are None are left out."""


def output_format(name: str, *, timestamps: bool, colours: Colours | None = None) -> Format:
    """The format called ``name``: json or text. Without ``timestamps`` records have no ``time``.

    ``colours`` are for text alone.
    """
    if name == "json":
        return JsonFormat(timestamps=timestamps)
    if name == "text":
        return TextFormat(timestamps=timestamps, colours=colours)
    raise ValueError(f"unknown log format {name!r}: use json or text")
