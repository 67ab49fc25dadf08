"""Whether something holds of all of many, when that is asked again after each of their changes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Every(Generic[T]):
    """Remembers who was the last of whom it did not hold: as long as that is so, nobody else is asked.

    A thousand that come up one after another are so asked a few times each, not a thousand times each.
    """

    def __init__(self, holds: Callable[[T], bool], members: Iterable[T] = ()) -> None:
        self._holds = holds
        self._members = deque(members)

    def reset(self, members: Iterable[T]) -> None:
        """It is about others now."""
        self._members = deque(members)

    def reached(self) -> bool:
        """Whether it holds of all of them now."""
        members = self._members
        for _ in range(len(members)):
            if not self._holds(members[0]):
                return False
            members.rotate(-1)
        return True
