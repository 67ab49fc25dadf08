"""The dependency graph: what waits for what, and in which order processes can start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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
