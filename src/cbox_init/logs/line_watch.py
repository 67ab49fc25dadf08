"""Searches the lines of one run of an instance for a pattern, until one matches.

Imported where a process has ``ready_when``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.logs.capture import PipeStream
    from cbox_init.logs.framing import Frame
    from cbox_init.logs.stages.finder import Finder
    from cbox_init.logs.stages.guard import BlockBudget


class LineWatch:
    """Calls ``on_match`` once, for the first line of ``streams`` that ``finder`` finds.

    Lines are searched as they were written, before any stage. One that takes too long does not match.
    """

    def __init__(
        self,
        finder: Finder,
        budget: BlockBudget,
        streams: Sequence[PipeStream],
        on_match: Callable[[], object],
    ) -> None:
        self._finder = finder
        self._budget = budget
        self._streams = streams
        self._on_match = on_match
        for stream in streams:
            stream.lines.watch = self._look

    def _look(self, frames: Sequence[Frame]) -> None:
        self._budget.begin()
        for data, _ in frames:
            if self._finder.lines(data.decode("utf-8", "surrogateescape")):
                for stream in self._streams:
                    stream.lines.watch = None
                self._on_match()
                return
