from __future__ import annotations

import pytest

from cbox_init.core.states import scale_problem, scaled_by


@pytest.mark.parametrize(
    ("count", "limit", "oneshot"),
    [(0, 0, False), (0, 5, True), (1, 0, True), (5, 5, False), (10**6, 0, False)],
)
def test_can_be_had(count: int, limit: int, oneshot: bool) -> None:
    assert scale_problem(count, limit, oneshot=oneshot) is None


@pytest.mark.parametrize(
    ("count", "limit", "oneshot", "problem"),
    [
        (-1, 5, False, "scale must be at least 0, not -1"),
        (-1, 0, True, "scale must be at least 0, not -1"),
        (2, 0, True, "a oneshot has one instance, not 2"),
        (6, 5, False, "scale must be at most 5, not 6: raise max_scale or global.max_process_scale"),
    ],
)
def test_cannot_be_had_and_why(count: int, limit: int, oneshot: bool, problem: str) -> None:
    assert scale_problem(count, limit, oneshot=oneshot) == problem


@pytest.mark.parametrize(
    ("current", "delta", "then"), [(2, 3, 5), (2, -1, 1), (2, -2, 0), (2, -3, 0), (0, 0, 0)]
)
def test_a_delta_stops_at_0(current: int, delta: int, then: int) -> None:
    assert scaled_by(current, delta) == then
