"""How many instances a load needs, and when fewer are wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.core.autoscale import AutoscaleRules, Load, Needs, autoscale, held, rests

RULES = AutoscaleRules(least=1, most=10, target=100.0, stabilization_s=60.0)
ZERO = AutoscaleRules(least=0, most=10, target=100.0, stabilization_s=60.0)


@pytest.mark.parametrize(
    ("scale", "load", "expected"),
    [
        # of the whole process
        (2, Load(500), 5),
        (2, Load(501), 6),
        (2, Load(210), 2),  # within the tolerance
        (2, Load(220), 2),
        (2, Load(221), 3),
        (2, Load(180), 2),
        (2, Load(179), 2),  # rounded up
        (3, Load(199), 2),
        (2, Load(0), 1),
        (1, Load(5_000), 5),  # one decision adds 4, or doubles
        (5, Load(5_000), 10),
        (5, Load(1e300), 10),
        # of instances, all of which are measured
        (2, Load(300, 2), 3),
        (2, Load(215, 2), 2),
        (4, Load(100, 4), 1),
        # of which some are not: the figure that changes least
        (4, Load(390, 2), 4),
        (4, Load(500, 2), 5),
        (4, Load(150, 2), 4),
        (4, Load(20, 2), 3),
        (4, Load(0, 0), 4),
        (4, Load(200, 2), 4),
        # outside the limits
        (15, Load(1_500), 10),
        (0, Load(100), 1),
    ],
)
def test_of_a_load(scale: int, load: Load, expected: int) -> None:
    assert autoscale(RULES, scale, load, Needs(), 0.0).scale == expected


@pytest.mark.parametrize(("load", "expected"), [(0, 0), (1, 1), (100, 1), (101, 2), (1_000, 4)])
def test_from_none(load: float, expected: int) -> None:
    assert autoscale(ZERO, 0, Load(load), Needs(), 0.0).scale == expected


def test_to_none() -> None:
    assert autoscale(ZERO, 3, Load(0), Needs(), 0.0).scale == 0


def test_zero_by_hand_stays() -> None:
    assert rests(RULES, 0)
    assert not rests(ZERO, 0)
    assert not rests(RULES, 1)


def test_fewer_only_after_the_window() -> None:
    needs, scale, seen = held(4, 0.0), 4, []
    for now, load in (
        (0.0, 800),
        (30.0, 300),
        (59.0, 300),
        (61.0, 300),
        (89.0, 100),
        (120.0, 100),
        (200.0, 100),
    ):
        verdict = autoscale(RULES, scale, Load(load), needs, now)
        scale, needs = verdict.scale, verdict.needs
        seen.append(scale)
    assert seen == [8, 8, 8, 3, 3, 3, 1]


def test_without_a_window_at_once() -> None:
    rules = AutoscaleRules(least=1, most=10, target=100.0, stabilization_s=0.0)
    verdict = autoscale(rules, 8, Load(100), held(8, 0.0), 0.0)
    assert verdict.scale == 1


LOADS = st.tuples(st.floats(0, 1e18, allow_nan=False), st.none() | st.integers(0, 20), st.floats(0.1, 100.0))


@given(
    least=st.integers(0, 5),
    more=st.integers(0, 20),
    target=st.floats(0.001, 1e15),
    window=st.floats(0, 3600),
    start=st.integers(0, 30),
    loads=st.lists(LOADS, max_size=30),
)
def test_any_history(
    least: int,
    more: int,
    target: float,
    window: float,
    start: int,
    loads: list[tuple[float, int | None, float]],
) -> None:
    rules = AutoscaleRules(least=least, most=least + more, target=target, stabilization_s=window)
    now, scale, needs = 0.0, start, held(start, 0.0)
    needed: list[tuple[float, int]] = []
    for total, measured, step in loads:
        now += step
        verdict = autoscale(rules, scale, Load(total, measured), needs, now)
        needed.append((now, verdict.needed))
        assert rules.least <= verdict.scale <= rules.most
        assert rules.least <= verdict.needed <= rules.most
        inside = max(least, min(scale, rules.most))
        if verdict.scale > inside:
            assert verdict.scale <= verdict.needed
        if verdict.scale < inside:
            recent = [need for at, need in needed if at > now - window] or [verdict.needed]
            assert verdict.scale >= max(recent)
            assert now >= window or inside != start or start > rules.most or verdict.scale >= start
        assert len(verdict.needs.entries) <= rules.most + 2
        scale, needs = verdict.scale, verdict.needs
