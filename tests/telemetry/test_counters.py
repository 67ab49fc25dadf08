"""What is counted of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.telemetry.counters import CHECK_BOUNDS_S, HOOK_BOUNDS_S, RUN_BOUNDS_S, Counters, Histogram


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_a_bucket_holds_what_is_no_longer_than_its_bound(durations: list[float]) -> None:
    histogram = Histogram(CHECK_BOUNDS_S)
    for one in durations:
        histogram.note(one)
    for bound, count in histogram.cumulative():
        assert count == sum(1 for one in durations if one <= bound)
    assert histogram.sum_s == pytest.approx(sum(durations))


def test_bounds_rise() -> None:
    for bounds in (CHECK_BOUNDS_S, HOOK_BOUNDS_S, RUN_BOUNDS_S):
        assert list(bounds) == sorted(set(bounds))


def test_checks_by_process_and_kind() -> None:
    counters = Counters()
    counters.checked("web", "tcp", 0.002, success=True)
    counters.checked("web", "tcp", 3.0, success=False)
    counters.checked("web", "http", 0.1, success=True)
    assert set(counters.checks("web")) == {"tcp", "http"}
    tcp = counters.checks("web")["tcp"]
    assert (tcp.successes, tcp.failures, tcp.durations.sum_s) == (1, 1, 3.002)
    assert counters.checks("other") == {}


def test_hooks_of_processes_and_of_the_stack() -> None:
    counters = Counters()
    counters.hooked(None, "migrate", "pre_start", 1.0, success=True)
    counters.hooked("web", "drain", "pre_stop", 2.0, success=False)
    counters.hooked("web", "drain", "pre_stop", 2.0, success=False)
    assert [(*one[:3], one[3].successes, one[3].failures) for one in counters.hooks()] == [
        (None, "migrate", "pre_start", 1, 0),
        ("web", "drain", "pre_stop", 0, 2),
    ]


def test_a_process_that_is_forgotten_begins_anew() -> None:
    counters = Counters()
    counters.checked("web", "tcp", 1.0, success=True)
    counters.hooked("web", "drain", "pre_stop", 1.0, success=True)
    counters.ran("web", 1.0)
    assert counters.runs("web").cumulative()[-1] == (float("inf"), 1)
    counters.forget("web")
    counters.forget("never known")
    assert (counters.checks("web"), list(counters.hooks())) == ({}, [])
    assert counters.runs("web").cumulative()[-1] == (float("inf"), 0)
