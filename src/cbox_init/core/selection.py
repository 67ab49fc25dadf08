"""Which processes ``web``, ``queue-*``, ``@workers`` and ``all`` select. Pure."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from cbox_init.errors import NothingSelected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

EVERY: Final = "all"
_GROUP: Final = "@"
_WILD: Final = "*?["

#: More of them in one selector could take long to match.
_MOST_WILD: Final = 8


def is_name(selector: str, names: Iterable[str]) -> bool:
    """Whether a selector means the one process of that name, which may be called ``all``, too."""
    return selector in names or not (
        selector == EVERY or selector.startswith(_GROUP) or any(sign in selector for sign in _WILD)
    )


def select(
    selectors: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    *,
    permitted: Callable[[str], bool] = lambda name: True,
) -> tuple[str, ...]:
    """The names of ``groups`` (each process with its groups) that are selected, in their order, each once.

    Patterns, groups and ``all`` select only what is ``permitted``; for a plain name the caller checks that.
    Raises NothingSelected for a selector that selects nothing.
    """
    chosen: set[str] = set()
    for selector in selectors:
        found = _selected(selector, groups, permitted)
        if not found:
            visible = tuple(filter(permitted, groups))
            if selector.startswith(_GROUP):
                of = dict.fromkeys(group for name in visible for group in groups[name])
                raise NothingSelected(selector, tuple(f"{_GROUP}{group}" for group in of))
            raise NothingSelected(selector, visible)
        chosen.update(found)
    return tuple(name for name in groups if name in chosen)


def _selected(
    selector: str, groups: Mapping[str, Sequence[str]], permitted: Callable[[str], bool]
) -> list[str]:
    if is_name(selector, groups):
        return [selector] if selector in groups else []
    visible = filter(permitted, groups)
    if selector == EVERY:
        return list(visible)
    if selector.startswith(_GROUP):
        return [name for name in visible if selector[1:] in groups[name]]
    if sum(selector.count(sign) for sign in _WILD) > _MOST_WILD:
        return []
    # Clients choose selectors, and `fnmatchcase` would keep many thousands of them in memory.
    return list(filter(re.compile(translate(selector)).match, visible))
