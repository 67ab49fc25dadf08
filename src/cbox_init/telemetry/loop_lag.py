"""How long the event loop keeps others waiting: noted by the loop itself, which is never woken for it.

A turn of the loop is what it does between two waits: what comes meanwhile (a request, the end of a child)
waits for its end. The length of a turn is therefore the most that anybody waited in it. A turn that began
with a timer also has in it how late the kernel woke us, as a container without CPU time left is late.
"""

from __future__ import annotations

import selectors
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from selectors import SelectorKey

#: Seconds that the figures look back, about: the last of the slots is not full yet.
WINDOW_S: Final = 60

_SLOTS: Final = 6
_SLOT_S: Final = WINDOW_S / _SLOTS

_LARGEST_US: Final = 2**36
"""Longer turns count as this, some 19 hours."""

#: By how much a wait may be longer than it was asked to be, in seconds: epoll(7) counts in milliseconds.
_GRAIN_S: Final = 0.001


class LagFigures(Struct, frozen=True):
    """The turns of the last minute. Half of them took at most ``p50_s``, all but 1 in 100 ``p99_s``."""

    turns: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


class LoopLag:
    """Keeps the lengths of the turns of the last minute: six histograms of 10 s, 14 KB in all.

    A length is known to an eighth of itself, the longest exactly.
    """

    def __init__(self) -> None:
        self._counts = [_empty() for _ in range(_SLOTS)]
        self._longest = [0.0] * _SLOTS
        self._slot = 0
        self._slot_ends_at = 0.0

    def note(self, length_s: float, now: float) -> None:
        """A turn of this length has ended at the monotonic time ``now``."""
        if now >= self._slot_ends_at:
            self._turn_slots(now)
        self._counts[self._slot][bucket(int(length_s * 1e6))] += 1
        if length_s > self._longest[self._slot]:
            self._longest[self._slot] = length_s

    def figures(self, now: float) -> LagFigures:
        """What the turns of the last minute add up to."""
        if now >= self._slot_ends_at:
            self._turn_slots(now)
        counts = [sum(of_slots) for of_slots in zip(*self._counts, strict=True)]
        turns, longest = sum(counts), max(self._longest)
        return LagFigures(
            turns=turns,
            p50_s=min(_quantile(counts, turns, 0.50), longest),
            p99_s=min(_quantile(counts, turns, 0.99), longest),
            max_s=longest,
        )

    def _turn_slots(self, now: float) -> None:
        """Go on to the slot of this time, and empty those that are old."""
        old = min(_SLOTS, int((now - self._slot_ends_at) / _SLOT_S) + 1)
        for _ in range(old):
            self._slot = (self._slot + 1) % _SLOTS
            self._counts[self._slot] = _empty()
            self._longest[self._slot] = 0.0
        self._slot_ends_at = now + _SLOT_S


class TimedSelector(selectors.EpollSelector):
    """The selector of an event loop that notes the length of each turn in ``lag``.

    That costs two looks at the clock a turn, and no system call.
    """

    def __init__(self, lag: LoopLag) -> None:
        super().__init__()
        self._note = lag.note
        self._begun_at = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        now = monotonic()
        if self._begun_at:
            self._note(now - self._begun_at, now)
        ready = super().select(timeout)
        self._begun_at = woken_at = monotonic()
        if not ready and timeout is not None and timeout > 0:
            late_s = woken_at - now - timeout - _GRAIN_S
            if late_s > 0:
                self._begun_at = woken_at - late_s
        return ready


def bucket(length_us: int) -> int:
    """The place of a length in a histogram: one for each µs below 16, then eight for each doubling."""
    if length_us > _LARGEST_US:
        length_us = _LARGEST_US
    shift = length_us.bit_length() - 4
    if shift <= 0:
        return length_us
    return (shift << 3) + (length_us >> shift)


def upper_s(place: int) -> float:
    """The seconds that no length at this place of a histogram reaches."""
    shift = max(0, (place >> 3) - 1)
    return ((place - (shift << 3) + 1) << shift) / 1e6


def _empty() -> list[int]:
    return [0] * (bucket(_LARGEST_US) + 1)


def _quantile(counts: list[int], total: int, share: float) -> float:
    """The seconds that this share of all lengths stays below."""
    left = total * share
    for place, count in enumerate(counts):
        left -= count
        if count and left <= 0:
            return upper_s(place)
    return 0.0
