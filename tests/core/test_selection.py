"""Which processes a name, a pattern, a group and ``all`` select."""

from __future__ import annotations

import pytest

from cbox_init.core.selection import select
from cbox_init.errors import NothingSelected

GROUPS = {"web": ["http"], "queue-a": ["workers"], "queue-b": ["workers", "slow"], "db": []}


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["web"], ("web",)),
        (["db", "web", "web"], ("web", "db")),
        (["queue-*"], ("queue-a", "queue-b")),
        (["queue-?", "@http"], ("web", "queue-a", "queue-b")),
        (["@slow"], ("queue-b",)),
        (["all"], ("web", "queue-a", "queue-b", "db")),
        (["[qd]*"], ("queue-a", "queue-b", "db")),
    ],
)
def test_selectors(selectors: list[str], names: tuple[str, ...]) -> None:
    assert select(selectors, GROUPS) == names


@pytest.mark.parametrize("selector", ["wbe", "x*", "@none", "@", "", "*" * 9])
def test_what_selects_nothing_is_an_error(selector: str) -> None:
    there = "@http, @workers, @slow" if selector.startswith("@") else "web, queue-a, queue-b, db"
    with pytest.raises(NothingSelected, match=f"there are {there}"):
        select(["web", selector], GROUPS)


def test_processes_may_be_called_like_a_selector() -> None:
    groups: dict[str, list[str]] = {"all": [], "@a": [], "w*": [], "web": []}
    for name in ("all", "@a", "w*"):
        assert select([name], groups) == (name,)


def test_only_what_is_permitted() -> None:
    def permitted(name: str) -> bool:
        return name != "db"

    assert "db" not in select(["all"], GROUPS, permitted=permitted)
    with pytest.raises(NothingSelected) as caught:
        select(["d*"], GROUPS, permitted=permitted)
    assert "db" not in str(caught.value)
