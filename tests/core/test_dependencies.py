from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.core.dependencies import CycleError, dependents, not_ready, order_up

STACK = {
    "web": ["app", "migrate"],
    "db": [],
    "app": ["db", "cache"],
    "migrate": ["db"],
    "cache": [],
    "cron": ["migrate"],
}


def test_up_in_ranks_that_keep_the_order_of_the_file() -> None:
    assert order_up(STACK) == [["db", "cache"], ["app", "migrate"], ["web", "cron"]]


def test_nothing_at_all() -> None:
    assert order_up({}) == []
    assert dependents({}) == {}


def test_names_that_are_absent_or_repeated_do_not_count() -> None:
    assert order_up({"web": ["gone", "db", "db"], "db": ["gone"]}) == [["db"], ["web"]]


def test_dependents_are_direct_in_the_order_of_the_file_and_once() -> None:
    assert dependents({**STACK, "late": ["db", "db", "gone"]}) == {
        "web": (),
        "db": ("app", "migrate", "late"),
        "app": ("web",),
        "migrate": ("web", "cron"),
        "cache": ("app",),
        "cron": (),
        "late": (),
    }


def test_not_ready_in_their_order() -> None:
    assert not_ready(["a", "b", "c"], {"a": False, "b": True, "c": False}.__getitem__) == ("a", "c")
    assert not_ready([], lambda _: False) == ()


@pytest.mark.parametrize(
    ("depends_on", "cycle"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, ["b", "c", "d", "b"]),
        ({"ok": [], "x": ["ok", "y"], "y": ["x", "gone"]}, ["x", "y", "x"]),
        ({"a": ["b"], "b": ["a"], "c": ["c"]}, ["a", "b", "a"]),
    ],
)
def test_a_cycle_is_named_whole(depends_on: dict[str, list[str]], cycle: list[str]) -> None:
    with pytest.raises(CycleError) as caught:
        order_up(depends_on)
    assert caught.value.cycle == cycle
    assert str(caught.value) == f"dependency cycle: {' -> '.join(cycle)}"


def test_a_long_chain_is_no_burden() -> None:
    chain = {f"p{n}": [f"p{n + 1}"] for n in range(2000)}
    assert len(order_up(chain)) == 2000
    chain["p1999"] = ["p0"]
    with pytest.raises(CycleError) as caught:
        order_up(chain)
    assert len(caught.value.cycle) == 2001


NAMES = "abcdefg"
graphs = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4))


@given(depends_on=graphs)
@settings(deadline=None)
def test_any_graph_has_an_order_or_a_cycle(depends_on: dict[str, list[str]]) -> None:
    try:
        ranks = order_up(depends_on)
    except CycleError as error:
        assert len(error.cycle) > 1
        assert error.cycle[0] == error.cycle[-1]
        assert len(set(error.cycle)) == len(error.cycle) - 1
        assert all(second in depends_on[first] for first, second in pairwise(error.cycle))
        return
    rank_of = {name: number for number, rank in enumerate(ranks) for name in rank}
    assert sorted(rank_of) == sorted(depends_on)
    for name, deps in depends_on.items():
        # as early as its dependencies allow, and no earlier
        assert rank_of[name] == max((rank_of[dep] + 1 for dep in deps if dep in depends_on), default=0)
    file_order = list(depends_on)
    assert all(rank == sorted(rank, key=file_order.index) for rank in ranks)
