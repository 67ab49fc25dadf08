"""What an instance wrote last: the first that one wants to see of one that has failed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbox_init.logs.ring import LogRing

#: Lines that are kept of an instance that has failed, and characters of each.
LAST_LINES = 20
LONGEST_LINE = 500


def last_lines(ring: LogRing, instance: str) -> tuple[str, ...]:
    """The last lines of ``instance`` that ``ring`` still has, oldest first; long ones are cut."""
    newest_first = (
        record.message
        for block in ring.newest_first()
        if block.source.instance == instance
        for record in block.records(newest_first=True)
    )
    lines = [_cut(line) for line in islice(newest_first, LAST_LINES)]
    return tuple(reversed(lines))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
