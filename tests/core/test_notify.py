"""What an instance says of itself, and what that adds up to with its checks and with time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model import HealthCheckMode
from cbox_init.core.health import (
    HealthState,
    InstanceHealth,
    after,
    begin,
    begin_recheck,
    notified,
    overdue,
    shows_change,
)
from cbox_init.core.notify import (
    LONGEST_STATUS,
    NotifyMessage,
    NotifyState,
    NotifyStatus,
    read_message,
    silent_for,
)
from cbox_init.core.notify import after as after_message
from tests.core.cases import NOW, bad, good, health_rules, told

STARTING, HEALTHY, UNHEALTHY = HealthState.STARTING, HealthState.HEALTHY, HealthState.UNHEALTHY
READY, RELOADING, STOPPING = NotifyState.READY, NotifyState.RELOADING, NotifyState.STOPPING
ALONE = health_rules(checked=False, announced=True)
BESIDE = health_rules(announced=True)


@pytest.mark.parametrize(
    ("datagram", "message"),
    [
        (b"READY=1", NotifyMessage(states=(READY,))),
        (b"READY=1\n", NotifyMessage(states=(READY,))),
        (b"STATUS=loading 3/4\nREADY=1", NotifyMessage(states=(READY,), status="loading 3/4")),
        (b"STATUS=", NotifyMessage(status="")),
        (b"RELOADING=1\nMONOTONIC_USEC=12345", NotifyMessage(states=(RELOADING,))),
        (b"STOPPING=1", NotifyMessage(states=(STOPPING,))),
        (b"READY=1\nSTOPPING=1", NotifyMessage(states=(READY, STOPPING))),
        (b"WATCHDOG=1", NotifyMessage(alive=True)),
        (b"WATCHDOG=trigger", NotifyMessage(failure="it sent WATCHDOG=trigger")),
        (b"EXTEND_TIMEOUT_USEC=1500000", NotifyMessage(extend_s=1.5)),
        (b"EXTEND_TIMEOUT_USEC=99999999999999999999", NotifyMessage(extend_s=86_400.0)),
        (b"MAINPID=1\nERRNO=2\nFDSTORE=1\nBARRIER=1\nX_MINE=a=b", NotifyMessage()),
        (b"READY=0", NotifyMessage()),
        (b"READY", NotifyMessage()),
        (b"ready=1", NotifyMessage()),
        (b" READY=1", NotifyMessage()),
        (b"WATCHDOG=0", NotifyMessage()),
        (b"EXTEND_TIMEOUT_USEC=-1", NotifyMessage()),
        (b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000, NotifyMessage()),
        (b"EXTEND_TIMEOUT_USEC=\xb2", NotifyMessage()),
        (b"", NotifyMessage()),
        (b"\0\xff" * 100, NotifyMessage()),
        (b"STATUS=\x1b[2Jgone\x07\xff", NotifyMessage(status="\ufffd[2Jgone\ufffd\ufffd")),
        (b"STATUS=" + b"a" * 4000, NotifyMessage(status="a" * (LONGEST_STATUS - 1) + "…")),
    ],
)
def test_a_datagram(datagram: bytes, message: NotifyMessage) -> None:
    assert read_message(datagram) == message


@given(st.binary(max_size=200))
def test_any_datagram(datagram: bytes) -> None:
    message = read_message(datagram)
    assert after_message(NotifyStatus(), message).state in (NotifyState.STARTING, READY, RELOADING, STOPPING)


@pytest.mark.parametrize(
    ("datagram", "has_news"), [(b"WATCHDOG=1", False), (b"X=1", False), (b"STATUS=", True)]
)
def test_a_sign_of_life_tells_nothing_else(datagram: bytes, has_news: bool) -> None:
    assert read_message(datagram).has_news is has_news


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ("", NotifyState.STARTING),
        ("READY", READY),
        ("RELOADING", NotifyState.STARTING),
        ("STOPPING", NotifyState.STARTING),
        ("READY RELOADING", RELOADING),
        ("READY RELOADING READY", READY),
        ("READY STOPPING", STOPPING),
        ("READY RELOADING STOPPING", STOPPING),
        ("READY STOPPING READY", READY),
    ],
)
def test_words(states: str, state: NotifyState) -> None:
    now = told(ALONE, *states.split())
    assert now.notify and now.notify.state is state
    assert now.ready is (state is READY)
    assert not now.fatal
    assert now.state is (STARTING if state is NotifyState.STARTING else HEALTHY)


def test_the_status_stays_until_another_comes() -> None:
    first = notified(begin(ALONE, now=NOW), NotifyMessage(status="warming up"), now=NOW)
    ready = notified(first, NotifyMessage(states=(READY,)), now=NOW)
    assert ready.notify and ready.notify.status == "warming up"
    cleared = notified(ready, NotifyMessage(status=""), now=NOW)
    assert cleared.notify and cleared.notify.status == ""
    assert not shows_change(ready, cleared)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (told(ALONE), None),
        (told(ALONE, "READY"), None),
        (told(ALONE, "READY", "RELOADING"), "not ready: it reports reloading"),
        (told(ALONE, "READY", "STOPPING"), "not ready: it reports stopping"),
        (overdue(told(ALONE)), "no READY=1 in time (global.process_start_timeout: 30 s)"),
        (
            overdue(notified(told(ALONE), NotifyMessage(status="migrating"), now=NOW)),
            'no READY=1 in time (global.process_start_timeout: 30 s); its status is "migrating"',
        ),
        (notified(told(ALONE, "READY"), silent_for(2.5), now=NOW), "unhealthy: no WATCHDOG=1 for 2.5 s"),
    ],
)
def test_reason(now: InstanceHealth, reason: str | None) -> None:
    assert now.reason == reason


@pytest.mark.parametrize("mode", HealthCheckMode)
@pytest.mark.parametrize("strict", [False, True])
def test_no_word_in_time_is_fatal_when_strict(mode: HealthCheckMode, strict: bool) -> None:
    late = overdue(begin(health_rules(mode, strict=strict, announced=True), now=NOW))
    assert late.fatal is strict
    assert not late.may_become_healthy
    assert (
        not notified(late, NotifyMessage(states=(READY,)), now=NOW).ready or mode is HealthCheckMode.LIVENESS
    )


def test_what_is_late_and_says_so_is_well() -> None:
    now = notified(overdue(begin(ALONE, now=NOW)), NotifyMessage(states=(READY,)), now=NOW)
    assert (now.state, now.overdue, now.was_healthy, now.reason) == (HEALTHY, False, True, None)


def test_time_to_start_can_be_asked_for_and_is_never_shortened() -> None:
    first = begin(ALONE, now=NOW)
    assert first.healthy_by == NOW + 30
    assert notified(first, NotifyMessage(extend_s=50.0), now=NOW).healthy_by == NOW + 50
    assert notified(first, NotifyMessage(extend_s=5.0), now=NOW).healthy_by == NOW + 30
    for_ever = begin(health_rules(checked=False, announced=True, start_timeout_s=0.0), now=NOW)
    assert notified(for_ever, NotifyMessage(extend_s=5.0), now=NOW).healthy_by is None


@pytest.mark.parametrize(
    ("results", "states", "state", "ready"),
    [
        ("", "", STARTING, False),
        ("+", "", STARTING, False),
        ("", "READY", STARTING, False),
        ("+", "READY", HEALTHY, True),
        ("---", "", STARTING, False),
        ("+", "READY RELOADING", HEALTHY, False),
        ("+-", "READY", HEALTHY, True),
    ],
)
def test_with_a_check_beside_it_both_must_say_so(
    results: str, states: str, state: HealthState, ready: bool
) -> None:
    for words_first in (False, True):
        now = told(BESIDE, *states.split()) if words_first else begin(BESIDE, now=NOW)
        for result in results:
            now = after(now, good() if result == "+" else bad())
        if not words_first:
            now = told(BESIDE, *states.split(), begun=now)
        assert (now.state, now.ready, now.was_healthy) == (
            state,
            ready,
            state is HEALTHY,
        )


def test_the_watchdog_counts_whatever_the_mode_of_the_check_is() -> None:
    rules = health_rules(HealthCheckMode.READINESS, announced=True)
    now = notified(after(told(rules, "READY"), good()), silent_for(1.0), now=NOW)
    assert (now.state, now.ready, now.fatal) == (UNHEALTHY, False, True)
    assert notified(now, NotifyMessage(states=(READY,)), now=NOW).fatal, "too late"


def test_another_check_changes_nothing_of_what_was_said() -> None:
    assert begin_recheck(told(ALONE, "READY"), BESIDE, now=NOW).ready
    assert not begin_recheck(told(ALONE), BESIDE, now=NOW).ready
    gone = begin_recheck(told(BESIDE, "READY"), ALONE, now=NOW)
    assert (gone.state, gone.ready, gone.was_healthy) == (HEALTHY, True, True)


def test_who_waits_learns_of_every_turn() -> None:
    ready, reloading = told(ALONE, "READY"), told(ALONE, "READY", "RELOADING")
    assert shows_change(begin(ALONE, now=NOW), ready)
    assert shows_change(ready, reloading)
    assert shows_change(reloading, told(ALONE, "READY", "RELOADING", "READY"))
    assert not shows_change(ready, told(ALONE, "READY", "READY"))


def test_one_that_was_ready_and_fails_its_checks() -> None:
    now = after(told(BESIDE, "READY"), good())
    for _ in range(3):
        now = after(now, bad())
    assert (now.state, now.ready, now.was_healthy) == (UNHEALTHY, False, True)
