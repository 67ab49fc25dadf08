"""What an instance says of itself, and what that adds up to with its checks and with time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model import HealthCheckMode
from cbox_init.core.health import Health, HealthState, after, begin, begin_anew, heard, overdue, shows_change
from cbox_init.core.notice import LONGEST_STATUS, Message, Notice, Word, read_message, silent_for
from cbox_init.core.notice import after as after_message
from tests.core.cases import NOW, bad, good, health_rules, told

STARTING, HEALTHY, UNHEALTHY = HealthState.STARTING, HealthState.HEALTHY, HealthState.UNHEALTHY
READY, RELOADING, STOPPING = Word.READY, Word.RELOADING, Word.STOPPING
ALONE = health_rules(checked=False, announced=True)
BESIDE = health_rules(announced=True)


@pytest.mark.parametrize(
    ("datagram", "message"),
    [
        (b"READY=1", Message(words=(READY,))),
        (b"READY=1\n", Message(words=(READY,))),
        (b"STATUS=loading 3/4\nREADY=1", Message(words=(READY,), status="loading 3/4")),
        (b"STATUS=", Message(status="")),
        (b"RELOADING=1\nMONOTONIC_USEC=12345", Message(words=(RELOADING,))),
        (b"STOPPING=1", Message(words=(STOPPING,))),
        (b"READY=1\nSTOPPING=1", Message(words=(READY, STOPPING))),
        (b"WATCHDOG=1", Message(alive=True)),
        (b"WATCHDOG=trigger", Message(failure="it said WATCHDOG=trigger")),
        (b"EXTEND_TIMEOUT_USEC=1500000", Message(extend_s=1.5)),
        (b"EXTEND_TIMEOUT_USEC=99999999999999999999", Message(extend_s=86_400.0)),
        (b"MAINPID=1\nERRNO=2\nFDSTORE=1\nBARRIER=1\nX_MINE=a=b", Message()),
        (b"READY=0", Message()),
        (b"READY", Message()),
        (b"ready=1", Message()),
        (b" READY=1", Message()),
        (b"WATCHDOG=0", Message()),
        (b"EXTEND_TIMEOUT_USEC=-1", Message()),
        (b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000, Message()),
        (b"EXTEND_TIMEOUT_USEC=\xb2", Message()),
        (b"", Message()),
        (b"\0\xff" * 100, Message()),
        (b"STATUS=\x1b[2Jgone\x07\xff", Message(status="\ufffd[2Jgone\ufffd\ufffd")),
        (b"STATUS=" + b"a" * 4000, Message(status="a" * (LONGEST_STATUS - 1) + "…")),
    ],
)
def test_a_datagram(datagram: bytes, message: Message) -> None:
    assert read_message(datagram) == message


@given(st.binary(max_size=200))
def test_any_datagram(datagram: bytes) -> None:
    message = read_message(datagram)
    assert after_message(Notice(), message).word in (Word.STARTING, READY, RELOADING, STOPPING)


@pytest.mark.parametrize(("datagram", "tells"), [(b"WATCHDOG=1", False), (b"X=1", False), (b"STATUS=", True)])
def test_a_sign_of_life_tells_nothing_else(datagram: bytes, tells: bool) -> None:
    assert read_message(datagram).tells is tells


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("", Word.STARTING),
        ("READY", READY),
        ("RELOADING", Word.STARTING),
        ("STOPPING", Word.STARTING),
        ("READY RELOADING", RELOADING),
        ("READY RELOADING READY", READY),
        ("READY STOPPING", STOPPING),
        ("READY RELOADING STOPPING", STOPPING),
        ("READY STOPPING READY", READY),
    ],
)
def test_words(words: str, word: Word) -> None:
    now = told(ALONE, *words.split())
    assert now.notice and now.notice.word is word
    assert now.ready is (word is READY)
    assert not now.fatal
    assert now.state is (STARTING if word is Word.STARTING else HEALTHY)


def test_the_status_stays_until_another_comes() -> None:
    first = heard(begin(ALONE, now=NOW), Message(status="warming up"), now=NOW)
    ready = heard(first, Message(words=(READY,)), now=NOW)
    assert ready.notice and ready.notice.status == "warming up"
    cleared = heard(ready, Message(status=""), now=NOW)
    assert cleared.notice and cleared.notice.status == ""
    assert not shows_change(ready, cleared)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (told(ALONE), None),
        (told(ALONE, "READY"), None),
        (told(ALONE, "READY", "RELOADING"), "not ready: it says that it is reloading"),
        (told(ALONE, "READY", "STOPPING"), "not ready: it says that it is stopping"),
        (overdue(told(ALONE)), "no READY=1 in time (global.process_start_timeout: 30 s)"),
        (
            overdue(heard(told(ALONE), Message(status="migrating"), now=NOW)),
            'no READY=1 in time (global.process_start_timeout: 30 s); its status is "migrating"',
        ),
        (heard(told(ALONE, "READY"), silent_for(2.5), now=NOW), "unhealthy: no WATCHDOG=1 for 2.5 s"),
    ],
)
def test_reason(now: Health, reason: str | None) -> None:
    assert now.reason == reason


@pytest.mark.parametrize("mode", HealthCheckMode)
@pytest.mark.parametrize("strict", [False, True])
def test_no_word_in_time_is_fatal_when_strict(mode: HealthCheckMode, strict: bool) -> None:
    late = overdue(begin(health_rules(mode, strict=strict, announced=True), now=NOW))
    assert late.fatal is strict
    assert not late.settling
    assert not heard(late, Message(words=(READY,)), now=NOW).ready or mode is HealthCheckMode.LIVENESS


def test_what_is_late_and_says_so_is_well() -> None:
    now = heard(overdue(begin(ALONE, now=NOW)), Message(words=(READY,)), now=NOW)
    assert (now.state, now.late, now.was_healthy, now.reason) == (HEALTHY, False, True, None)


def test_time_to_start_can_be_asked_for_and_is_never_shortened() -> None:
    first = begin(ALONE, now=NOW)
    assert first.healthy_by == NOW + 30
    assert heard(first, Message(extend_s=50.0), now=NOW).healthy_by == NOW + 50
    assert heard(first, Message(extend_s=5.0), now=NOW).healthy_by == NOW + 30
    for_ever = begin(health_rules(checked=False, announced=True, start_timeout_s=0.0), now=NOW)
    assert heard(for_ever, Message(extend_s=5.0), now=NOW).healthy_by is None


@pytest.mark.parametrize(
    ("results", "words", "state", "ready"),
    [
        ("", "", STARTING, False),
        ("+", "", STARTING, False),
        ("", "READY", STARTING, False),
        ("+", "READY", HEALTHY, True),
        ("+---", "READY", UNHEALTHY, False),
        ("---", "", UNHEALTHY, False),
        ("+", "READY RELOADING", HEALTHY, False),
        ("+-", "READY", HEALTHY, True),
    ],
)
def test_with_a_check_beside_it_both_must_say_so(
    results: str, words: str, state: HealthState, ready: bool
) -> None:
    for words_first in (False, True):
        now = told(BESIDE, *words.split()) if words_first else begin(BESIDE, now=NOW)
        for result in results:
            now = after(now, good() if result == "+" else bad())
        if not words_first:
            now = told(BESIDE, *words.split(), begun=now)
        assert (now.state, now.ready, now.was_healthy) == (
            state,
            ready,
            state is HEALTHY or ((results, words) == ("+---", "READY") and words_first),
        )


def test_the_watchdog_counts_whatever_the_mode_of_the_check_is() -> None:
    rules = health_rules(HealthCheckMode.READINESS, announced=True)
    now = heard(after(told(rules, "READY"), good()), silent_for(1.0), now=NOW)
    assert (now.state, now.ready, now.fatal) == (UNHEALTHY, False, True)
    assert heard(now, Message(words=(READY,)), now=NOW).fatal, "too late"


def test_another_check_changes_nothing_of_what_was_said() -> None:
    assert begin_anew(told(ALONE, "READY"), BESIDE, now=NOW).ready
    assert not begin_anew(told(ALONE), BESIDE, now=NOW).ready
    gone = begin_anew(told(BESIDE, "READY"), ALONE, now=NOW)
    assert (gone.state, gone.ready, gone.was_healthy) == (HEALTHY, True, True)


def test_who_waits_learns_of_every_turn() -> None:
    ready, reloading = told(ALONE, "READY"), told(ALONE, "READY", "RELOADING")
    assert shows_change(begin(ALONE, now=NOW), ready)
    assert shows_change(ready, reloading)
    assert shows_change(reloading, told(ALONE, "READY", "RELOADING", "READY"))
    assert not shows_change(ready, told(ALONE, "READY", "READY"))
