"""From the text of a pattern to what can be run."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from cbox_init.errors import PatternError
from cbox_init.patterns.ambiguity import exponential_part
from cbox_init.patterns.needles import needles_of
from cbox_init.patterns.render import rendered
from cbox_init.patterns.replacement import template
from cbox_init.patterns.syntax import parse
from cbox_init.patterns.tree import WorkBudget, may_backtrack

if TYPE_CHECKING:
    from cbox_init.patterns.needles import Needles

_MOST_KEPT: Final = 1024


class Pattern:
    """A valid pattern. Everything derived from it is made at first use.

    It is for text in which bytes that are not UTF-8 are lone surrogates.
    """

    def __init__(self, source: str) -> None:
        """Raises PatternError."""
        self.source = source
        budget = WorkBudget()
        self._parsed = parse(source, budget)
        part = exponential_part(self._parsed.tree, budget)
        if part is not None:
            raise PatternError(f"can take exponential time: {part} can divide the same text in many ways")
        self.steps = budget.spent

    @cached_property
    def lines(self) -> re.Pattern[str]:
        """Over many lines, each a record: no match goes beyond its line."""
        return self._compiled(lines=True)

    @cached_property
    def record(self) -> re.Pattern[str]:
        """Over one record, which may hold newlines."""
        return self._compiled(lines=False)

    @cached_property
    def needles(self) -> Needles | None:
        """What a text must hold for a match, None when nothing is known."""
        return needles_of(self._parsed.tree)

    @cached_property
    def probe(self) -> re.Pattern[str] | None:
        """``record`` when a search may take more time than the length of the text, otherwise None."""
        return self.record if may_backtrack(self._parsed.tree) else None

    def template(self, replacement: str) -> tuple[str, list[str]]:
        """See `replacement.template`."""
        return template(replacement, self._parsed.groups, self._parsed.names)

    def _compiled(self, *, lines: bool) -> re.Pattern[str]:
        try:
            return re.compile(rendered(self._parsed.tree, lines=lines))
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"cannot be compiled: {error}") from None


@lru_cache(_MOST_KEPT)
def compiled(source: str) -> Pattern:
    """The pattern with all that is derived from it. Raises PatternError.

    The last ones are kept: what a thread has checked is not compiled again in the event loop.
    """
    pattern = Pattern(source)
    assert pattern.lines and pattern.record
    _ = pattern.needles, pattern.probe
    return pattern
