"""Whether something holds of all, asked again and again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbox_init.core.every import Every


def test_of_nobody_it_holds() -> None:
    assert Every(bool, ()).reached()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_it_is_what_all_would_say(changes: list[tuple[int, bool]]) -> None:
    truth = dict.fromkeys(range(6), False)
    every = Every(truth.__getitem__, truth)
    for name, holds in changes:
        truth[name] = holds
        assert every.reached() == all(truth.values())


def test_a_thousand_that_come_up_one_after_another_are_asked_a_few_times_each() -> None:
    asked = 0
    up: set[int] = set()

    def is_up(name: int) -> bool:
        nonlocal asked
        asked += 1
        return name in up

    every = Every(is_up, range(1000))
    for name in range(1000):
        assert not every.reached()
        up.add(name)
    assert every.reached()
    assert asked < 5 * 1000


def test_others_may_take_their_place() -> None:
    every = Every(bool, (0,))
    assert not every.reached()
    every.reset((1, 2))
    assert every.reached()
