"""Drops records above a rate: a token bucket for all instances of a process."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.logs.stages.batch import LineBatch

REPORT_S: Final = 1.0
"""Seconds between two messages that say how many records were dropped."""


class RecordRateLimit:
    """``lines`` a second, and ``burst`` at once. ``report`` is called with the number dropped since its
    last call.

    ``held_back`` counts all dropped records.
    """

    key: Final = "rate_limit"

    def __init__(
        self,
        lines: float,
        burst: int,
        *,
        report: Callable[[int], None],
        later: Callable[[float, Callable[[], None]], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.held_back = 0
        self._rate = lines
        self._burst = burst
        self._report = report
        self._later = later
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._dropped = 0

    def __call__(self, batch: LineBatch) -> list[LineBatch]:
        wanted = len(batch)
        allowed = self.take(wanted)
        if allowed == wanted:
            return [batch]
        if not allowed:
            return []
        lines = batch.text.split("\n", allowed)
        return [batch.with_text("\n".join(lines[:allowed]))]

    def take(self, wanted: int) -> int:
        """How many of ``wanted`` records may pass now; the others are counted as dropped."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        allowed = min(wanted, int(self._tokens))
        self._tokens -= allowed
        if allowed < wanted:
            if not self._dropped:
                self._later(REPORT_S, self.tell)
            self._dropped += wanted - allowed
            self.held_back += wanted - allowed
        return allowed

    def tell(self) -> None:
        """Report what was dropped since the last report, if anything was."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._report(dropped)
