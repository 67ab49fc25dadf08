"""How long turns of an event loop took: the histogram, and the selector that notes them."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.telemetry.loop_lag import WINDOW_S, LagFigures, LoopLag, TimedSelector, place, upper_s

if TYPE_CHECKING:
    from collections.abc import Callable


TICK_S = 1 / 16_384


@given(st.floats(0, 2**17))
def test_a_length_is_known_to_an_eighth_or_a_tick(length_s: float) -> None:
    upper = upper_s(place(length_s))
    known = min(length_s, 2**16)
    assert upper > known * 0.999_999
    assert upper <= known * 1.125 + TICK_S


def test_places_are_in_the_order_of_lengths() -> None:
    uppers = [upper_s(at) for at in range(place(2**17) + 1)]
    assert all(lower < upper for lower, upper in pairwise(uppers))
    assert all(place(upper * 0.999_999) == at for at, upper in enumerate(uppers[:-1]))


def test_without_turns_there_is_nothing() -> None:
    assert LoopLag().figures(5.0) == LagFigures()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_figures_are_those_of_all_turns(lengths: list[float]) -> None:
    lag = LoopLag()
    for length in lengths:
        lag.note(length, 100.0)
    figures = lag.figures(101.0)
    ordered = sorted(lengths)
    assert figures.turns == len(lengths)
    assert ordered[-1] <= figures.max_s <= ordered[-1] + TICK_S
    for share, found in ((0.5, figures.p50_s), (0.99, figures.p99_s)):
        exact = ordered[ceil(share * len(ordered)) - 1]
        assert exact * 0.999_999 <= found <= exact * 1.125 + TICK_S


def test_what_is_older_than_the_window_is_forgotten() -> None:
    lag = LoopLag()
    lag.note(0.5, 100.0)
    lag.note(0.001, 130.0)
    assert lag.figures(131.0).max_s == 0.5
    assert lag.figures(100.0 + WINDOW_S + 10).turns == 1
    assert lag.figures(100.0 + WINDOW_S + 10).max_s == pytest.approx(0.001, abs=TICK_S)
    assert lag.figures(1000.0) == LagFigures()
    lag.note(0.002, 1001.0)
    assert lag.figures(1002.0).turns == 1


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("cbox_init.telemetry.loop_lag.monotonic", clock)
    return clock


def waits(monkeypatch: pytest.MonkeyPatch, wait: Callable[[float | None], list[object]]) -> None:
    monkeypatch.setattr("selectors.EpollSelector.select", lambda self, timeout=None: wait(timeout))


def test_a_turn_is_what_comes_between_two_waits(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(timeout: float | None) -> list[object]:
        clock.now += 7.0
        return [object()]

    waits(monkeypatch, wait)
    lag = LoopLag()
    selector = TimedSelector(lag)
    selector.select(None)
    clock.now += 0.25
    selector.select(None)
    clock.now += 0.5
    selector.select(None)
    selector.close()
    figures = lag.figures(clock.now)
    assert (figures.turns, figures.max_s) == (2, 0.5)


def test_a_timer_that_rings_late_is_in_the_turn_that_it_begins(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(timeout: float | None) -> list[object]:
        assert timeout is not None
        clock.now += timeout + 0.101
        return []

    waits(monkeypatch, wait)
    lag = LoopLag()
    selector = TimedSelector(lag)
    selector.select(2.0)
    clock.now += 0.05
    selector.select(2.0)
    selector.close()
    assert lag.figures(clock.now).max_s == pytest.approx(0.15)


def test_a_real_loop_notes_a_turn_that_blocks_and_no_wait() -> None:
    lag = LoopLag()
    loop = asyncio.SelectorEventLoop(TimedSelector(lag))
    loop.call_soon(time.sleep, 0.2)
    loop.call_later(0.4, loop.stop)
    try:
        loop.run_forever()
    finally:
        loop.close()
    figures = lag.figures(time.monotonic())
    assert figures.max_s >= 0.2
    assert 1 <= figures.turns <= 5
