from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.core import dependencies

if TYPE_CHECKING:
    from cbox_init.core.dependencies import Gate

CLOSED = dependencies.new_gate(("db", "cache"), now=100.0, timeout_s=30.0)


def test_nothing_to_wait_for_is_open() -> None:
    gate = dependencies.new_gate((), now=100.0, timeout_s=30.0)
    assert gate.open
    assert gate.deadline is None
    assert gate.reason is None


def test_closed_says_what_it_waits_for_and_until_when() -> None:
    assert not CLOSED.open
    assert CLOSED.deadline == 130.0
    assert CLOSED.reason == "waiting for db, cache"


def test_the_wait_goes_on_for_those_that_are_left_from_when_it_began() -> None:
    gate = dependencies.updated_gate(CLOSED, ("cache",), now=129.9)
    assert gate.reason == "waiting for cache"
    assert gate.deadline == 130.0


def test_opens_when_all_are_ready_and_stays_open() -> None:
    gate = dependencies.updated_gate(CLOSED, (), now=101.0)
    assert gate.open
    again = dependencies.updated_gate(gate, ("db",), now=1e9)
    assert again.open
    assert not again.expired
    assert again.deadline is None


@pytest.mark.parametrize(("now", "expired"), [(129.9, False), (130.0, True), (1e9, True)])
def test_expires(now: float, expired: bool) -> None:
    gate = dependencies.updated_gate(CLOSED, ("db",), now=now)
    assert not gate.open
    assert gate.expired is expired


def test_expired_says_so_and_has_no_deadline() -> None:
    gate = dependencies.updated_gate(CLOSED, ("db",), now=130.0)
    assert gate.reason == "gave up after 30 s: not ready: db"
    assert gate.deadline is None


def test_expired_stays_expired_whatever_is_waited_for() -> None:
    gate = dependencies.updated_gate(CLOSED, ("db",), now=130.0)
    assert dependencies.updated_gate(gate, ("cache",), now=131.0).expired


def test_all_ready_at_the_deadline_opens() -> None:
    assert dependencies.updated_gate(CLOSED, (), now=130.0).open


def test_opens_late() -> None:
    late = dependencies.updated_gate(dependencies.updated_gate(CLOSED, ("db",), now=130.0), (), now=500.0)
    assert late.open
    assert not late.expired
    assert late.reason is None


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_without_a_timeout_it_waits_for_ever(timeout_s: float) -> None:
    gate = dependencies.new_gate(("db",), now=0.0, timeout_s=timeout_s)
    assert gate.deadline is None
    assert not dependencies.updated_gate(gate, ("db",), now=1e12).expired


def test_a_new_start_begins_a_new_wait() -> None:
    expired: Gate = dependencies.updated_gate(CLOSED, ("db",), now=130.0)
    again = dependencies.new_gate(expired.waiting_for, now=200.0, timeout_s=expired.timeout_s)
    assert not again.expired
    assert again.deadline == 230.0
