"""Whether a pattern can take exponential time.

Python's ``re`` tries one way after another. When a repeat can divide the same text in more than one way, as
in ``(a+)+b``, there are as many ways as there are subsets of the text, and all of them are tried before a
text that does not match is given up.

The pattern becomes an automaton whose states are its characters (Glushkov's), with the number of ways from
each to the next. It is ambiguous without bound where a state comes back to itself in two ways over the same
text: over an edge of two ways, or over two different states. This is so for patterns without references, and
Go's syntax has none. A repeat at the very end of a pattern is harmless: nothing behind it can fail.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.patterns.tree import Alt, Anchor, Cat, Group, Repeat, Set

if TYPE_CHECKING:
    from cbox_init.patterns.tree import Node, Ranges

_A_LOOP: Final = 10
"""A repeat of a changing number that may happen so often has ways enough to take for ever."""

_MOST_STATES: Final = 400
"""Of larger patterns only the first kind of ambiguity is looked for: the other costs the square."""


class _Segment(Struct):
    """How a part of the pattern is entered and left: by which states, in how many ways.

    ``empty`` is in how many ways it can be nothing; ``free`` whether it can be nothing wherever it stands.
    """

    first: Counter[int]
    last: Counter[int]
    empty: int
    free: bool
    ends: set[int]


class _Loop(Struct):
    start: int
    end: int
    text: str


def exponential_part(tree: Node) -> str | None:
    """The part of a pattern that makes it take exponential time, None when it does not."""
    automaton = _Automaton()
    whole = automaton.add(tree)
    for state in automaton.ambiguous():
        if not automaton.component(state) <= whole.ends:
            return automaton.loop_of(state)
    return None


class _Automaton:
    def __init__(self) -> None:
        self._sets: list[Ranges] = []
        self._next: list[Counter[int]] = []
        self._loops: list[_Loop] = []

    def add(self, node: Node) -> _Segment:
        match node:
            case Set():
                self._sets.append(node.ranges)
                self._next.append(Counter())
                here = len(self._sets) - 1
                return _Segment(Counter([here]), Counter([here]), empty=0, free=False, ends={here})
            case Anchor():
                return _Segment(Counter(), Counter(), empty=1, free=False, ends=set())
            case Group():
                return self.add(node.item)
            case Cat():
                return self._cat(node)
            case Alt():
                parts = [self.add(branch) for branch in node.branches]
                return _Segment(
                    sum((part.first for part in parts), Counter()),
                    sum((part.last for part in parts), Counter()),
                    empty=sum(part.empty for part in parts),
                    free=any(part.free for part in parts),
                    ends=set().union(*(part.ends for part in parts)),
                )
            case Repeat():
                return self._repeat(node)

    def _cat(self, node: Cat) -> _Segment:
        whole = _Segment(Counter(), Counter(), empty=1, free=True, ends=set())
        for item in node.items:
            part = self.add(item)
            self._join(whole.last, part.first)
            whole = _Segment(
                whole.first + _times(part.first, whole.empty),
                part.last + _times(whole.last, part.empty),
                empty=whole.empty * part.empty,
                free=whole.free and part.free,
                ends=part.ends | whole.ends if part.free else part.ends,
            )
        return whole

    def _repeat(self, node: Repeat) -> _Segment:
        start = len(self._sets)
        part = self.add(node.item)
        if node.most is None or (node.most >= _A_LOOP and node.most > node.least):
            self._loops.append(_Loop(start, len(self._sets), node.text))
            self._join(part.last, part.first)
            part.empty = min(part.empty, 1)  # an empty turn ends the repeat
        if node.least == 0:
            part.empty, part.free = max(part.empty, 1), True
        return part

    def _join(self, last: Counter[int], first: Counter[int]) -> None:
        for state, ways in last.items():
            self._next[state] += _times(first, ways)

    def ambiguous(self) -> list[int]:
        """States that come back to themselves in two ways over the same text."""
        found = [
            state
            for state, following in enumerate(self._next)
            for other, ways in following.items()
            if ways > 1 and state in self._reach(other)
        ]
        if found or len(self._sets) > _MOST_STATES:
            return found
        return [state for state in self._in_loops() if self._comes_back_by_another(state)]

    def component(self, state: int) -> set[int]:
        """The states on ways from ``state`` to itself."""
        return {other for other in self._reach(state) if state in self._reach(other)}

    def loop_of(self, state: int) -> str:
        """The largest repeat around a state, as the pattern has it."""
        loops = [loop for loop in self._loops if loop.start <= state < loop.end]
        return max(loops, key=lambda loop: loop.end - loop.start + len(loop.text) / 1e6).text

    def _in_loops(self) -> list[int]:
        return sorted({state for loop in self._loops for state in range(loop.start, loop.end)})

    def _reach(self, start: int) -> set[int]:
        """The states that follow ``start``, itself among them when there is a way back."""
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            for other in self._next[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return seen

    def _comes_back_by_another(self, state: int) -> bool:
        """Whether two ways from ``state`` to itself are over the same text and part between."""
        inside = self.component(state)
        if len(inside) < 2:
            return False
        seen: set[tuple[int, int, bool]] = set()
        waiting = [(state, state, False)]
        while waiting:
            left, right, parted = waiting.pop()
            for one in self._next[left].keys() & inside:
                for other in self._next[right].keys() & inside:
                    now = (min(one, other), max(one, other), parted or one != other)
                    if now in seen or not _meet(self._sets[one], self._sets[other]):
                        continue
                    if now == (state, state, True):
                        return True
                    seen.add(now)
                    waiting.append(now)
        return False


def _times(states: Counter[int], ways: int) -> Counter[int]:
    """Limit the number to 2, which is enough to know, so that it does not grow."""
    return Counter({state: min(count * ways, 2) for state, count in states.items() if ways})


def _meet(left: Ranges, right: Ranges) -> bool:
    """Whether a character is in both sets."""
    return any(low <= top and bottom <= high for low, high in left for bottom, top in right)
