"""When a process is restarted with others: a table, and histories of crashes in any order."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.core.instance import Instance
from cbox_init.core.restart_with import (
    Bond,
    Companion,
    RestartDecision,
    decide_restart,
    last_start_again,
    restarted,
    restarts_in_a_row,
)
from cbox_init.core.states import State
from tests.core.cases import NOW, ended, idle, running, stopping, waiting, want

BOND = Bond(answered_at=0.0)
NONE = RestartDecision()
PENDING = RestartDecision(pending=True)


def since(up_at: float, instance: Instance | None = None) -> Instance:
    return replace(instance or running(), up_at=up_at)


def db(again_at: float, name: str = "db", **facts: bool) -> Companion:
    return Companion(name=name, again_at=again_at, **facts)


OLD = since(NOW - 50)
Case = tuple[str, list[Instance], list[Companion], RestartDecision]
CASES: list[Case] = [
    ("nothing was replaced", [OLD], [db(0.0)], NONE),
    ("it was, and has lasted", [OLD], [db(NOW - 5)], RestartDecision(("db",), None, True)),
    ("it has just begun", [OLD], [db(NOW - 0.5)], RestartDecision((), NOW + 0.5, True)),
    ("a check knows better", [OLD], [db(NOW - 0.5, checked=True)], RestartDecision(("db",), None, True)),
    ("it is not ready", [OLD], [db(NOW - 5, ready=False, coming=True)], PENDING),
    ("it was given up since", [OLD], [db(NOW - 5, ready=False)], NONE),
    ("it was replaced before we started", [OLD], [db(NOW - 51)], NONE),
    ("we have started since", [since(NOW - 1)], [db(NOW - 5)], NONE),
    ("one of two has", [OLD, since(NOW - 1)], [db(NOW - 5)], RestartDecision(("db",), None, True)),
    ("nothing of it runs", [], [db(NOW - 5)], NONE),
    ("it waits for its restart", [since(NOW - 50, waiting())], [db(NOW - 5)], NONE),
    ("it is going to start", [since(NOW - 50, idle())], [db(NOW - 5)], NONE),
    ("it is being stopped", [since(NOW - 50, stopping())], [db(NOW - 5)], NONE),
    ("it has failed", [since(NOW - 50, ended())], [db(NOW - 5)], RestartDecision(("db",), None, True)),
    ("it has ended by itself", [since(NOW - 50, ended(outcome=State.STOPPED))], [db(NOW - 5)], NONE),
    (
        "a oneshot has completed",
        [since(NOW - 50, ended(outcome=State.COMPLETED))],
        [db(NOW - 5)],
        RestartDecision(("db",), None, True),
    ),
    (
        "both were replaced",
        [OLD],
        [db(NOW - 5), db(NOW - 3, "cache")],
        RestartDecision(("db", "cache"), None, True),
    ),
    ("the other is on its way", [OLD], [db(NOW - 5), db(0.0, "cache", ready=False, coming=True)], PENDING),
    (
        "the other was stopped by hand",
        [OLD],
        [db(NOW - 5), db(0.0, "cache", ready=False)],
        RestartDecision(("db",), None, True),
    ),
    (
        "the later one has to last",
        [OLD],
        [db(NOW - 5), db(NOW - 0.25, "cache")],
        RestartDecision((), NOW + 0.75, True),
    ),
]


@pytest.mark.parametrize(
    ("own", "companions", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_whether_it_is_restarted(
    own: list[Instance], companions: list[Companion], expected: RestartDecision
) -> None:
    assert decide_restart(BOND, own, companions, now=NOW) == expected


def test_what_was_answered_counts_no_more() -> None:
    assert decide_restart(Bond(answered_at=NOW - 5), [OLD], [db(NOW - 5)], now=NOW) == NONE
    assert decide_restart(restarted(BOND, now=NOW), [OLD], [db(NOW - 5)], now=NOW + 5) == NONE


@pytest.mark.parametrize(("row", "lasting_s"), [(0, 1), (1, 2), (3, 8), (5, 32), (6, 60), (99, 60)])
def test_each_restart_of_a_row_takes_longer(row: int, lasting_s: float) -> None:
    bond = Bond(answered_at=0.0, restarts=row, restarted_at=NOW - 2)
    decision = decide_restart(bond, [OLD], [db(NOW)], now=NOW)
    assert decision == RestartDecision((), NOW + lasting_s, True)
    assert restarted(bond, now=NOW).restarts == row + 1
    assert restarts_in_a_row(bond, NOW + 200) == 0


def test_when_a_process_has_started_again() -> None:
    def again(index: int, at: float, *, surge: bool = False) -> Instance:
        return replace(running(index, surge=surge), again_at=at)

    assert last_start_again(want(2), [running(0), running(1)]) == 0.0
    assert last_start_again(want(2), [again(0, 5.0), again(1, 7.0)]) == 7.0
    assert last_start_again(want(1), [again(0, 5.0), again(1, 7.0)]) == 5.0
    assert last_start_again(want(2), [again(0, 5.0), again(1, 7.0, surge=True)]) == 5.0


class Life(NamedTuple):
    """One run of a named process: how long it lasts, and how long it is away then."""

    up_s: float
    away_s: float


@given(
    st.lists(
        st.builds(
            Life,
            up_s=st.sampled_from([0.1, 0.5, 2.0, 20.0, 200.0]),
            away_s=st.sampled_from([0.0, 0.3, 5.0, 60.0]),
        ),
        max_size=30,
    )
)
def test_a_history_of_crashes(lives: list[Life]) -> None:
    """In the end it is newer than what it follows, and was restarted at most once for each run."""
    bond, now, own = BOND, NOW, NOW
    restarts: list[float] = []
    again_at = 0.0
    for life in [*lives, Life(1000.0, 0.0)]:
        end = now + life.up_s
        at: float | None = now
        while at is not None and at < end:
            now = max(now, at)
            decision = decide_restart(bond, [since(own)], [db(again_at)], now=now)
            at = decision.until
            if decision.names:
                bond, own = restarted(bond, now=now), now
                restarts.append(again_at)
        now = end + life.away_s
        while_away = decide_restart(bond, [since(own)], [db(again_at, ready=False, coming=True)], now=end)
        assert not while_away.names
        if life.up_s < 1000.0:
            again_at = now
    assert own >= again_at
    assert len(set(restarts)) == len(restarts)
