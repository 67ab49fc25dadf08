"""Whether a condition holds for all members of a group, evaluated again after each change."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Every(Generic[T]):
    """Remembers the last member for which the condition did not hold, and evaluates that one first.

    When a thousand members change one after another, each is evaluated a few times, not a thousand times.
    """

    def __init__(self, holds: Callable[[T], bool], members: Iterable[T] = ()) -> None:
        self._holds = holds
        self._members = deque(members)

    def reset(self, members: Iterable[T]) -> None:
        """Replace the members."""
        self._members = deque(members)

    def reached(self) -> bool:
        """Evaluate whether the condition holds for all members now."""
        members = self._members
        for _ in range(len(members)):
            if not self._holds(members[0]):
                return False
            members.rotate(-1)
        return True
