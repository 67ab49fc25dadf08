"""Measures the latency of the event loop, without waking it.

A turn of the loop is what it does between two waits. A request or the exit of a child that comes during a
turn waits until it ends, so nothing waited longer than the length of a turn. A turn that began with a timer
includes how late the kernel woke us, as happens in a container that has used up its CPU quota.
"""

from __future__ import annotations

import selectors
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from selectors import SelectorKey

#: Seconds that the figures cover, about: the last of the slots is not full yet.
WINDOW_S: Final = 60

_SLOTS: Final = 6
_SLOT_S: Final = WINDOW_S / _SLOTS

#: Lengths are counted in ticks of 61 µs. Up to ``_FINE`` ticks, 15.6 ms, each number has a bucket.
_TICKS_PER_S: Final = 16_384
_FINE: Final = 256

#: Longer turns count as this, about 18 hours.
_MOST_TICKS: Final = 2**30

#: How much longer than requested a wait may take, in seconds: epoll(7) counts in milliseconds.
_GRAIN_S: Final = 0.001


class LagFigures(Struct, frozen=True):
    """The turns of the last minute. Half of them took at most ``p50_s``, all but 1 in 100 ``p99_s``."""

    turns: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


class LoopLag:
    """The lengths of the turns of the last minute: six histograms of 10 s, 21 KB in all.

    The resolution is 61 µs up to 15.6 ms, and an eighth of the length beyond; the longest is exact.
    """

    def __init__(self) -> None:
        self.counts = _empty()
        """The turns of the present slot, by bucket."""
        self.ends_at = 0.0
        """The monotonic time at which that slot is over."""
        self._slots = deque((_empty() for _ in range(_SLOTS - 1)), maxlen=_SLOTS)
        self._slots.append(self.counts)
        self._longest = deque([0.0] * _SLOTS, maxlen=_SLOTS)

    def note(self, length_s: float, now: float) -> None:
        """A turn of this length has ended at the monotonic time ``now``."""
        if now >= self.ends_at:
            self._turn_slots(now)
        self.counts[place(length_s)] += 1
        if length_s > self._longest[-1]:
            self._longest[-1] = length_s

    def figures(self, now: float) -> LagFigures:
        """The figures of the last minute."""
        if now >= self.ends_at:
            self._turn_slots(now)
        counts = [sum(of_slots) for of_slots in zip(*self._slots, strict=True)]
        turns, longest = sum(counts), max(self._longest)
        if turns and longest < upper_s(_FINE - 1):  # short ones are not compared one by one
            longest = _quantile(counts, turns, 1.0)
        return LagFigures(
            turns=turns,
            p50_s=min(_quantile(counts, turns, 0.50), longest),
            p99_s=min(_quantile(counts, turns, 0.99), longest),
            max_s=longest,
        )

    def _turn_slots(self, now: float) -> None:
        """Advance to the slot of this time, and drop the old ones."""
        for _ in range(min(_SLOTS, int((now - self.ends_at) / _SLOT_S) + 1)):
            self.counts = _empty()
            self._slots.append(self.counts)
            self._longest.append(0.0)
        self.ends_at = now + _SLOT_S


class TimedSelector(selectors.EpollSelector):
    """The selector of an event loop that notes the length of each turn in ``lag``.

    That costs two looks at the clock a turn, and no system call.
    """

    def __init__(self, lag: LoopLag) -> None:
        super().__init__()
        self._lag = lag
        self._wait = super().select
        self._begun_at = inf

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        now = monotonic()
        length_s, lag = now - self._begun_at, self._lag
        if 0 <= length_s < _SHORT_S and now < lag.ends_at:
            lag.counts[int(length_s * _TICKS_PER_S)] += 1  # as ``note`` does, for nearly all of them
        elif length_s >= 0:
            lag.note(length_s, now)
        ready = self._wait(timeout)
        self._begun_at = monotonic()
        if not ready and timeout is not None and timeout > 0:
            self._begun_at -= max(0.0, self._begun_at - now - timeout - _GRAIN_S)
        return ready


def place(length_s: float) -> int:
    """The bucket of a length: one for each tick, then eight for each doubling."""
    ticks = min(int(length_s * _TICKS_PER_S), _MOST_TICKS)
    if ticks < _FINE:
        return ticks
    shift = ticks.bit_length() - 4
    return _FINE + ((shift - 5) << 3) + (ticks >> shift) - 8


def upper_s(place: int) -> float:
    """The upper bound of a bucket, in seconds."""
    if place < _FINE:
        return (place + 1) / _TICKS_PER_S
    shift, eighth = divmod(place - _FINE, 8)
    return ((eighth + 9) << (shift + 5)) / _TICKS_PER_S


_SHORT_S: Final = _FINE / _TICKS_PER_S


def _empty() -> list[int]:
    return [0] * (place(_MOST_TICKS / _TICKS_PER_S) + 1)


def _quantile(counts: list[int], total: int, share: float) -> float:
    """The length, in seconds, that this share of all turns does not exceed."""
    left = total * share
    for at, count in enumerate(counts):
        left -= count
        if count and left <= 0:
            return upper_s(at)
    return 0.0
