"""What waits for what: the graph of dependencies, the order of the start, and how long one process waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Gate(Struct, frozen=True, kw_only=True):
    """``waiting_for`` names what is not ready; ``since`` is the monotonic time when the wait began.

    Once open it stays open until the process is started again: a dependency that goes down later neither
    stops the process nor prevents its restarts.
    """

    waiting_for: tuple[str, ...] = ()
    since: float = 0.0
    timeout_s: float = 0.0
    expired: bool = False

    @property
    def open(self) -> bool:
        return not self.waiting_for

    @property
    def deadline(self) -> float | None:
        """When the wait is given up; None when there is no wait or it has no end."""
        if self.open or self.expired or self.timeout_s <= 0:
            return None
        return self.since + self.timeout_s

    @property
    def reason(self) -> str | None:
        if self.open:
            return None
        names = ", ".join(self.waiting_for)
        if self.expired:
            return f"gave up after {self.timeout_s:g} s: not ready: {names}"
        return f"waiting for {names}"


def new_gate(waiting_for: tuple[str, ...], *, now: float, timeout_s: float) -> Gate:
    """The gate of a process that is started now. ``timeout_s`` of 0 or less waits for ever."""
    return Gate(waiting_for=waiting_for, since=now, timeout_s=timeout_s)


def updated_gate(gate: Gate, waiting_for: tuple[str, ...], *, now: float) -> Gate:
    """The gate after the readiness of dependencies has changed. A late dependency still opens it."""
    if gate.open or not waiting_for:
        return Gate(since=gate.since, timeout_s=gate.timeout_s)
    deadline = gate.deadline
    expired = gate.expired or (deadline is not None and deadline <= now)
    return Gate(waiting_for=waiting_for, since=gate.since, timeout_s=gate.timeout_s, expired=expired)


class CycleError(ValueError):
    """The dependencies go round in a circle; ``cycle`` names all of it, the first name again at the end."""

    def __init__(self, cycle: list[str]) -> None:
        super().__init__(f"dependency cycle: {' -> '.join(cycle)}")
        self.cycle = cycle


def order_up(depends_on: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Ranks in which processes can start: each depends on earlier ranks alone.

    Within a rank the order of the mapping (of the file) is kept. Names that are not keys are ignored. A
    cycle raises CycleError.
    """
    left = {name: {dep for dep in deps if dep in depends_on} for name, deps in depends_on.items()}
    place = {name: number for number, name in enumerate(left)}
    needed_by = dependents(depends_on)
    ranks: list[list[str]] = []
    rank = [name for name, deps in left.items() if not deps]
    while rank:
        ranks.append(rank)
        free: list[str] = []
        for name in rank:
            del left[name]
            for other in needed_by[name]:
                left[other].discard(name)
                if not left[other]:
                    free.append(other)
        rank = sorted(free, key=place.__getitem__)
    if left:
        raise CycleError(_cycle_in(left))
    return ranks


def dependents(depends_on: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """For each name the names that depend on it directly, in the order of the mapping."""
    found: dict[str, list[str]] = {name: [] for name in depends_on}
    for name, deps in depends_on.items():
        for dep in dict.fromkeys(deps):
            if dep in found:
                found[dep].append(name)
    return {name: tuple(names) for name, names in found.items()}


def not_ready(deps: Sequence[str], is_ready: Callable[[str], bool]) -> tuple[str, ...]:
    """The dependencies that are still waited for, in their order."""
    return tuple(dep for dep in deps if not is_ready(dep))


def _cycle_in(left: Mapping[str, set[str]]) -> list[str]:
    """One whole cycle of a graph in which every node has an edge to another of it."""
    path: list[str] = []
    name = next(iter(left))
    while name not in path:
        path.append(name)
        name = min(left[name])
    return [*path[path.index(name) :], name]
