"""Searches that take too long are ended, whatever the pattern."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.logs.stages.finder import Finder
from cbox_init.logs.stages.guard import BlockBudget, SearchGuard, SearchTimer, TooSlow, pieces
from cbox_init.logs.stages.redaction import Redaction, RedactionRule
from cbox_init.patterns.compile import Pattern
from tests.logs.stages.helpers import Line, Told, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOR_EVER = re.compile(r"(?:a+)+b")
BAD = "a" * 60


class Endless(BlockBudget):
    """Each record is a block of its own."""

    def check(self) -> None:
        self.begin()


@pytest.fixture
def slow() -> list[None]:
    return []


@pytest.fixture
def guard(slow: list[None]) -> Iterator[SearchGuard]:
    before = signal.getsignal(signal.SIGVTALRM)
    yield SearchGuard(SearchTimer(limit_s=0.05), lambda: slow.append(None), Endless())
    signal.signal(signal.SIGVTALRM, before)


def test_a_search_that_would_take_for_ever(guard: SearchGuard, slow: list[None]) -> None:
    assert guard.record(FOR_EVER.search, BAD, None) is None
    assert len(slow) == 1
    with pytest.raises(TooSlow):
        guard.block(FOR_EVER.search, BAD)
    assert guard.record(FOR_EVER.search, "aab", None) is not None
    assert len(slow) == 1


def test_many_of_them_cost_little_more_than_one(guard: SearchGuard, slow: list[None]) -> None:
    used = time.process_time()
    for _ in range(1000):
        guard.record(FOR_EVER.search, BAD, None)
    # At most one limit for each length down to nothing.
    assert time.process_time() - used < 20 * 0.05 + 5
    assert len(slow) == 1000


def test_stages_share_what_one_block_may_take() -> None:
    """However long a search takes here, the second one is not begun, and its stage is not punished for it."""
    before = signal.getsignal(signal.SIGVTALRM)
    timer, budget, slow = SearchTimer(limit_s=30.0), BlockBudget(), list[str]()
    first = SearchGuard(timer, lambda: slow.append("first"), budget)
    second = SearchGuard(timer, lambda: slow.append("second"), budget)

    def hostile(text: str) -> bool:
        end = time.thread_time() + 0.025
        while time.thread_time() < end:
            pass
        return True

    assert first.record(hostile, BAD, False)
    assert not second.record(hostile, BAD, False)
    with pytest.raises(TooSlow):
        second.block(hostile, BAD)
    assert slow == ["second"]
    budget.begin()
    assert second.record(hostile, BAD, False)
    assert slow == ["second"]
    signal.signal(signal.SIGVTALRM, before)


def test_nothing_is_ended_when_the_search_is_over(guard: SearchGuard) -> None:
    assert guard.block(len, "x") == 1
    end = time.process_time() + 0.15
    while time.process_time() < end:  # longer than the limit, with the timer off
        pass
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_a_record_that_cannot_be_searched_is_masked_as_a_whole(guard: SearchGuard) -> None:
    rule = RedactionRule(Pattern("a+b"), "*")
    rule.lines = rule.record = FOR_EVER
    redaction = Redaction([rule], guard)
    assert redaction.record(BAD) == "***"


def test_a_finder_has_an_answer(guard: SearchGuard) -> None:
    finder = Finder(Pattern("a+b"), guard, if_slow=True)
    finder._lines = finder._record = FOR_EVER
    assert finder.matches(BAD)
    assert finder.lines(f"aab\n{BAD}\nc") == [0, 4]
    assert not Finder(Pattern("a+b"), guard).matches(BAD)


def test_a_long_line_that_takes_the_square_of_its_length() -> None:
    """The first is noticed late; those after it are not tried any more."""
    told = Told()
    line = "a" * 60_000
    section = {"filters": {"exclude": ["a.*b.*c"]}}
    used = time.process_time()
    found = run(section, f"{line}b\nshort\n" * 20, told)
    assert [len(line.message) for line in found] == [60_001, 5] * 20
    assert time.process_time() - used < 2
    assert run(section, "abc\nd\n") == [Line("d")]


HOSTILE = {
    "a*b": "a",
    "a.*b": "a",
    "[ab]*c": "ab",
    "(?:a|b)*c": "ab",
    "a*a*b": "a",
    "a*?b": "a",
    "(?:ab)*c": "ab",
    r"\s*\s*x": " ",
    r"(\w+\s)+$": "a ",
    "a{0,1000}b": "a",
    ".*.*.*.*=x": "a",
    "a*a*a*a*a*b": "a",
}


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize("length", [500, 2_000, 8_000, 65_000])
def test_no_search_is_long(pattern: str, length: int, guard: SearchGuard) -> None:
    """The square of 65,000 took ten seconds, and no signal ended it."""
    finder = Finder(Pattern(pattern), guard)
    text = (HOSTILE[pattern] * length)[:length]
    for prefix in ("", "x y " * (length // 8)):
        used = time.thread_time()
        finder.lines((prefix + text)[:length])
        assert time.thread_time() - used < 1


def test_long_records_of_usual_patterns_are_searched(guard: SearchGuard, slow: list[None]) -> None:
    text = '{"message":"GET /index.html","ms":12,"agent":"Mozilla/5.0 (X11; Linux)"},' * 800
    for pattern in (r'"ms":\d+', r"\b\d{3,}ms\b", r"^\{.*\}", r'(?i)"(?:password|token)"\s*:\s*"[^"]*"'):
        Finder(Pattern(pattern), guard).lines(text)
        Finder(Pattern(pattern), guard).lines(text.replace("},", "}\n"))
    assert slow == []


@given(st.lists(st.sampled_from((0, 1, 2, 511, 512, 513, 5000)), max_size=40))
def test_pieces_are_whole_lines(lengths: list[int]) -> None:
    text = "\n".join("x" * length for length in lengths)
    found = list(pieces(text))
    assert "\n".join(found) == text
    assert all(len(piece) <= 4096 + 513 for piece in found if "\n" in piece)


@pytest.mark.parametrize("place", [0, 5000, 9999])
def test_beside_a_long_line_short_ones_are_not_searched_one_by_one(place: int, guard: SearchGuard) -> None:
    """Each search takes 5 µs before it begins: 12,000 of them, for three patterns, took 0.2 s."""
    lines = ["x"] * 10_000
    lines[place] = "a secret " * 100
    lines[7] = "secret"
    text = "\n".join(lines)
    searches = 0
    timed = guard._timed

    def counted(search: Callable[[str], object], text: str) -> object:
        nonlocal searches
        searches += 1
        return timed(search, text)

    with mock.patch.object(SearchGuard, "_timed", lambda _, search, text: counted(search, text)):
        masked = Redaction([RedactionRule(Pattern("secret|s[x]y"), "*")], guard)._lines(text)
        starts = Finder(Pattern("secret|s[x]y"), guard).lines(text)
    assert masked == text.replace("secret", "*")
    assert starts == sorted(sum(len(line) + 1 for line in lines[:at]) for at in {place, 7})
    assert searches < 40
