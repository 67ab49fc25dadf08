"""What can take exponential time is known before it is run; what cannot is not refused."""

from __future__ import annotations

import pytest

from cbox_init.errors import PatternError
from cbox_init.patterns.compile import Pattern, compiled


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("(a+)+b", "(a+)+"),
        ("(a*)*b", "(a*)*"),
        ("(a|a)*b", "(a|a)*"),
        ("(.*)*x", "(.*)*"),
        (r"(\w+\s?)+:", r"(\w+\s?)+"),
        (r"(\w+\s*)+$", r"(\w+\s*)+"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "(([a-z])+.)+"),
        ("(a|ab|b)*c", "(a|ab|b)*"),
        ("(x+x+)+y", "(x+x+)+"),
        ("(a?b?)*c", "(a?b?)*"),
        (r"(\w{1,20}\s?){1,20}x", r"(\w{1,20}\s?){1,20}"),
        (r"(?i)(a|A)+b", "(a|A)+"),
        ("((a+)b?)+c", "((a+)b?)+"),
        (r"(?:[^,]*,?)*;", "(?:[^,]*,?)*"),
    ],
)
def test_what_can_take_exponential_time(pattern: str, part: str) -> None:
    with pytest.raises(PatternError) as refused:
        Pattern(pattern)
    assert str(refused.value) == f"can take exponential time: {part} can divide the same text in many ways"


@pytest.mark.parametrize(
    "pattern",
    [
        "foo.*bar.*baz",
        r"\s*\s*x",
        r"(\w+\s)+$",
        r"(\w+\s*)+",  # nothing behind it can fail
        r"(a+)+",
        r"(\d{4})*x",
        r"(\d{4}-?){4}",
        r"((?:[0-9]{1,3}\.){3}[0-9]{1,3})",
        r'"(?:[^"\\]|\\.)*"',
        r"(?:,[^,]*)*;",
        r"^(?:[a-z]+-)+[a-z]+$",
        r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}",
        "(?:error|errors|err)+!",
        r"(?i)\b(?:password|passwd|pwd)\s*[=:]\s*\S+",
    ],
)
def test_what_cannot_is_accepted(pattern: str) -> None:
    compiled(pattern)


def test_a_large_pattern_is_looked_at_in_no_time() -> None:
    words = "|".join(f"word{number}x" for number in range(300))
    compiled(f"(?:{words})+end")


def test_what_is_accepted_ends_on_the_texts_that_are_worst_for_its_like() -> None:
    for pattern in (r"(\w+\s)+$", r"(?:,[^,]*)*;", r'"(?:[^"\\]|\\.)*"', r"(\d{4})*x", r"(a+)+"):
        search = compiled(pattern).record.search
        for text in ("a" * 2000 + "!", "a " * 1000 + "!", "," * 2000, '"' + "\\a" * 1000, "1" * 2000):
            search(text)
