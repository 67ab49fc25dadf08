"""Texts of which every match of a pattern holds one: to look for them first is some twenty times as fast.

Only who has searched for ``password`` in vain needs no expression to know that nothing is to be masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.patterns.tree import Alt, Cat, Group, Repeat, Set

if TYPE_CHECKING:
    from cbox_init.patterns.tree import Node

_SHORTEST: Final = 2
_RARE: Final = "@#$%^&*~`|<>\\!?;"
"""Characters that are worth a look by themselves."""

_MOST: Final = 4
"""To look for more than these takes as long as the expression."""

_MOST_COMPARED: Final = 64
"""Among more alternatives than these, none is looked for that others contain."""


class Needles(Struct, frozen=True):
    """``texts`` of which one must be there; with ``folded`` they are lower case, and either case counts."""

    texts: tuple[str, ...]
    folded: bool

    def may_match(self, text: str) -> bool:
        """False when there surely is no match in ``text``."""
        if self.folded:
            text = text.lower()
        return any(needle in text for needle in self.texts)


def needles_of(node: Node) -> Needles | None:
    """What must be there for ``node`` to match; None when nothing of use is known."""
    if _begins_with_literal(node):
        return None  # ``re`` looks for that itself
    found = _needles(node)
    is_folded = any(is_folded for _, is_folded in found)
    texts = {text.lower() if is_folded else text for text, _ in found}
    shortest = {text for text in texts if not any(other != text and other in text for other in texts)}
    if not shortest or len(shortest) > _MOST or not all(map(_is_worth_a_look, shortest)):
        return None
    return Needles(tuple(sorted(shortest)), is_folded)


def _is_worth_a_look(text: str) -> bool:
    return len(text) >= _SHORTEST or text in _RARE


def _begins_with_literal(node: Node) -> bool:
    match node:
        case Set():
            letter = _letter(node)
            return letter is not None and not letter[1]
        case Cat():
            return bool(node.items) and _begins_with_literal(node.items[0])
        case Group():
            return _begins_with_literal(node.item)
    return False


def _needles(node: Node) -> list[tuple[str, bool]]:
    """Alternatives, each with whether it is in either case; empty when nothing must be there."""
    match node:
        case Set():
            letter = _letter(node)
            return [letter] if letter else []
        case Group():
            return _needles(node.item)
        case Repeat():
            return _needles(node.item) if node.least else []
        case Alt():
            branches = [_needles(branch) for branch in node.branches]
            found = [one for branch in branches for one in branch] if all(branches) else []
            return found if len(found) <= _MOST_COMPARED else []
        case Cat():
            return _of_run(node)
    return []


def _of_run(node: Cat) -> list[tuple[str, bool]]:
    """The best of what stands one after another: of literals the longest run, of alternatives the fewest."""
    best: list[tuple[str, bool]] = []
    run, folded = "", False
    for item in (*node.items, None):
        letter = _letter(item) if isinstance(item, Set) else None
        if letter:
            run, folded = run + letter[0], folded or letter[1]
            continue
        candidates = [[(run, folded)] if run else [], _needles(item) if item is not None else []]
        best = max([best, *candidates], key=_worth)
        run, folded = "", False
    return best


def _worth(found: list[tuple[str, bool]]) -> tuple[int, bool, int]:
    """The longer the shortest text, the better; then the rarer, and the fewer."""
    if not found:
        return (0, False, 0)
    return min(len(text) for text, _ in found), all(text in _RARE for text, _ in found), -len(found)


def _letter(node: Set) -> tuple[str, bool] | None:
    """The one character of a set, and whether it is there in both cases.

    Of those beyond ASCII only what has one case: ``lower`` of a text may change their number.
    """
    codes = [code for low, high in node.ranges[:3] for code in range(low, min(high, low + 2) + 1)]
    letters = [chr(code) for code in codes]
    if len(letters) == 1:
        return letters[0], False
    if len(letters) == 2 and letters[0].isascii() and letters[0].lower() == letters[1]:
        return letters[1], True
    return None
