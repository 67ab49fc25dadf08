"""Trails of records for tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cbox_init.audit.chain import START, ChainLink, seal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def body(number: int = 0, figures: Mapping[str, object] | None = None) -> bytes:
    context = {"n": number, **(figures or {})}
    return json.dumps({"event_type": "process.start", "context": context}).encode()


def sealed(count: int, last: ChainLink = START) -> tuple[list[bytes], ChainLink]:
    """The lines of ``count`` records behind ``last``, and the link of the last of them."""
    lines = []
    for number in range(count):
        line, last = seal(body(number), last)
        lines.append(line)
    return lines, last


def records(path: Path) -> list[dict[str, object]]:
    """Every record of a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
