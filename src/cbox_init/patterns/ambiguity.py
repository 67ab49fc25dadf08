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
    from collections.abc import Callable, Iterable, Iterator

    from cbox_init.patterns.tree import Node, Ranges, WorkBudget

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


def exponential_part(tree: Node, budget: WorkBudget) -> str | None:
    """The part of a pattern that makes it take exponential time, None when it does not.

    Raises PatternError when the work to find that out is more than ``budget`` has left.
    """
    automaton = _Automaton(budget)
    whole = automaton.add(tree)
    for state in automaton.ambiguous():
        if not automaton.component(state) <= whole.ends:
            return automaton.loop_of(state)
    return None


class _Automaton:
    def __init__(self, budget: WorkBudget) -> None:
        self._budget = budget
        self._sets: list[Ranges] = []
        self._next: list[Counter[int]] = []
        self._loops: list[_Loop] = []
        self._components: list[int] = []

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
                return self._alt(node)
            case Repeat():
                return self._repeat(node)

    def _alt(self, node: Alt) -> _Segment:
        whole = _Segment(Counter(), Counter(), empty=0, free=False, ends=set())
        for branch in node.branches:
            part = self.add(branch)
            self._budget.spend(len(part.first) + len(part.last) + len(part.ends))
            whole.first.update(part.first)
            whole.last.update(part.last)
            whole.ends.update(part.ends)
            whole.empty = min(whole.empty + part.empty, 2)
            whole.free = whole.free or part.free
        return whole

    def _cat(self, node: Cat) -> _Segment:
        """One part after another; only what changes is copied, so that a long text takes linear time."""
        whole = _Segment(Counter(), Counter(), empty=1, free=True, ends=set())
        for item in node.items:
            part = self.add(item)
            self._join(whole.last, part.first)
            self._budget.spend(1 + len(part.first) + len(part.last) + len(part.ends))
            if whole.empty:
                whole.first.update(_times(part.first, whole.empty))
            if part.empty:
                self._budget.spend(len(whole.last))
                part.last.update(_times(whole.last, part.empty))
            if part.free:
                self._budget.spend(len(whole.ends))
                part.ends |= whole.ends
            whole.last, whole.ends = part.last, part.ends
            whole.empty = min(whole.empty * part.empty, 2)
            whole.free = whole.free and part.free
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
            self._budget.spend(len(first))
            following = self._next[state]
            for other, more in first.items():
                following[other] = min(following[other] + more * ways, 2)

    def ambiguous(self) -> Iterator[int]:
        """States that come back to themselves in two ways over the same text."""
        self._components = _components(range(len(self._sets)), self._following, len(self._sets))
        found = False
        for state, following in enumerate(self._next):
            for other, ways in following.items():
                if ways > 1 and self._components[state] == self._components[other]:
                    found = True
                    yield state
        if not found and len(self._sets) <= _MOST_STATES:
            yield from self._by_two_ways()

    def component(self, state: int) -> set[int]:
        """The states on ways from ``state`` to itself."""
        inside = self._components[state]
        return {other for other, component in enumerate(self._components) if component == inside}

    def loop_of(self, state: int) -> str:
        """The largest repeat around a state, as the pattern has it."""
        loops = [loop for loop in self._loops if loop.start <= state < loop.end]
        return max(loops, key=lambda loop: loop.end - loop.start + len(loop.text) / 1e6).text

    def _following(self, state: int) -> Iterable[int]:
        self._budget.spend(1 + len(self._next[state]))
        return self._next[state]

    def _by_two_ways(self) -> Iterator[int]:
        """States from which two ways over the same text part, and that both lead back to.

        The two ways are followed at once: as pairs of states. A way from a state back to itself that leaves
        the pairs of equal states is a component of the graph of pairs that has both kinds.
        """
        count = len(self._sets)
        inside = sorted({state for loop in self._loops for state in range(loop.start, loop.end)})
        equal = [state * count + state for state in inside]
        components = _components(equal, self._pairs_after, count * count)
        parted = {
            component
            for pair, component in enumerate(components)
            if component >= 0 and pair // count != pair % count
        }
        yield from (state for state in inside if components[state * count + state] in parted)

    def _pairs_after(self, pair: int) -> Iterable[int]:
        """The pairs that follow a pair over one character, within the component of both states."""
        count = len(self._sets)
        left, right = divmod(pair, count)
        component = self._components[left]
        lefts = [one for one in self._next[left] if self._components[one] == component]
        rights = [other for other in self._next[right] if self._components[other] == component]
        found: list[int] = []
        for place, one in enumerate(lefts):
            others = rights[place:] if left == right else rights
            self._budget.spend(1 + len(others))
            for other in others:
                if _meet(self._sets[one], self._sets[other]):
                    found.append(min(one, other) * count + max(one, other))
        return found


def _components(starts: Iterable[int], following: Callable[[int], Iterable[int]], count: int) -> list[int]:
    """The strongly connected component of each node that is reached from ``starts``; -1 for others.

    Tarjan's algorithm, without recursion. Nodes are numbers below ``count``.
    """
    component = [-1] * count
    order: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_: list[int] = []
    for start in starts:
        if start in order:
            continue
        order[start] = lowest[start] = len(order)
        open_.append(start)
        path = [(start, iter(following(start)))]
        while path:
            node, rest = path[-1]
            for other in rest:
                if other not in order:
                    order[other] = lowest[other] = len(order)
                    open_.append(other)
                    path.append((other, iter(following(other))))
                    break
                if component[other] < 0:
                    lowest[node] = min(lowest[node], order[other])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == order[node]:
                    while component[node] < 0:
                        component[open_.pop()] = order[node]
    return component


def _times(states: Counter[int], ways: int) -> Counter[int]:
    """Limit the number to 2, which is enough to know, so that it does not grow."""
    return Counter({state: min(count * ways, 2) for state, count in states.items() if ways})


def _meet(left: Ranges, right: Ranges) -> bool:
    """Whether a character is in both sets."""
    if left is right or left == right:
        return bool(left)
    return any(low <= top and bottom <= high for low, high in left for bottom, top in right)
