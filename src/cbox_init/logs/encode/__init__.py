"""The forms of a record on standard output and in files: JSON and text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.encode.json_format import JsonFormat
from cbox_init.logs.encode.text_format import TextFormat

if TYPE_CHECKING:
    from cbox_init.logs.encode.base import Format
    from cbox_init.logs.encode.colours import Colours


def output_format(name: str, *, timestamps: bool, colours: Colours | None = None) -> Format:
    """The format called ``name``: json or text. Without ``timestamps`` records have no ``time``.

    ``colours`` are for text alone.
    """
    if name == "json":
        return JsonFormat(timestamps=timestamps)
    if name == "text":
        return TextFormat(timestamps=timestamps, colours=colours)
    raise ValueError(f"unknown log format {name!r}: use json or text")
