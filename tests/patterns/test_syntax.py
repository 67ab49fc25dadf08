"""Go's syntax, with Go's meaning, run by Python's ``re``."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.errors import PatternError
from cbox_init.patterns.compile import Pattern, compiled


def first(pattern: str, text: str) -> str | None:
    """What it matches first in a record."""
    found = compiled(pattern).record.search(text)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("pattern", "text", "match"),
    [
        # Sets of Perl are ASCII, and \s has no vertical tab.
        (r"\d+", "٣ 34", "34"),
        (r"\w+", "é_a1é", "_a1"),
        (r"\s", "\v\xa0\f", "\f"),
        (r"\S+", "\xa0x ", "\xa0x"),
        (r"\W", "a_é", "é"),
        (r"\ba", "éa", "a"),
        (r"[^\D]+", "a12", "12"),
        (r"[\d\-x]+", "a1-x", "1-x"),
        # Classes.
        (r"[[:alpha:][:digit:]]+", "-a1-", "a1"),
        (r"[[:^space:]]+", " ab ", "ab"),
        (r"[]a]+", "x]a", "]a"),
        (r"[^]a]+", "]xa", "x"),
        (r"[a-]+", "b-a", "-a"),
        (r"[\]\\^-]+", "a]\\^-", "]\\^-"),
        (r"[a&&b~~|[]+", "x&[|~", "&[|~"),
        (r"\pL+", "1éя2", "éя"),
        (r"\p{Lu}\p{Ll}", "aÉé", "Éé"),
        (r"\PN+", "1ab2", "ab"),
        (r"\p{^N}+", "1ab2", "ab"),
        # Escapes.
        (r"\x41\x{1F600}\101\t\a", "A😀A\t\a", "A😀A\t\a"),
        (r"\Qa.*b\E+", "a.*bb", "a.*bb"),
        (r"\Qa.b", "a.b", "a.b"),
        (r"\.\*\-", ".*-", ".*-"),
        # Flags.
        (r"(?i)straße", "STRAßE", "STRAßE"),
        (r"(?i)[^a]+", "AaBb", "Bb"),
        (r"(?i)[a-c]+", "xABCabcd", "ABCabc"),
        (r"a(?i)b|c", "xC", "C"),
        (r"a(?i)b|c", "xaB", "aB"),
        (r"(?i:a)b", "Ab AB", "Ab"),
        (r"(?i)a(?-i)b", "AB Ab", "Ab"),
        (r"a.b", "a\nb a-b", "a-b"),
        (r"(?s)a.b", "a\nb", "a\nb"),
        (r"(?U)a+", "aaa", "a"),
        (r"(?U)a+?", "aaa", "aaa"),
        (r"(?is-U:a.)+", "A\na\n", "A\na\n"),
        # Ends.
        (r"^b", "a\nb", None),
        (r"(?m)^b$", "a\nb\nc", "b"),
        (r"a$", "a\n", None),
        (r"a\z", "ba", "a"),
        (r"\Aa\B.", "ab", "ab"),
        # Groups and repeats.
        (r"(?P<x>a)(?<y>b)(?:c)", "abc", "abc"),
        (r"(?P<1>a)", "a", "a"),
        (r"a{2}b{1,}c{0,2}", "aabbccc", "aabbcc"),
        (r"a{,2}", "a{,2}", "a{,2}"),
        (r"a{x}|{", "{", "{"),
        (r"a|b|", "c", ""),
        (r"(|a)+", "aa", ""),
        (r"(?:)*x", "x", "x"),
        (r"(?:a|(?:b|c))d", "cd", "cd"),
        (r"^*a", "a", "a"),
    ],
)
def test_what_it_matches(pattern: str, text: str, match: str | None) -> None:
    assert first(pattern, text) == match


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "has a ( without a ) (at character 1)"),
        ("a)", "has a ) without a ("),
        ("[a", "has a [ without a ] (at character 1)"),
        ("x[b-a]", "has a range in a [ that ends before it begins (at character 2)"),
        ("[[:alfa:]]", "has [:alfa:] in a [, which is no class (at character 1)"),
        ("*a", "has a * with nothing to repeat (at character 1)"),
        ("a**", "repeats a repeat: a** (at character 3)"),
        ("a*+", "repeats a repeat: a*+ (at character 3)"),
        ("a{2}{3}", "repeats a repeat: a{2}{3} (at character 5)"),
        ("a{2,1}", "repeats {2,1}: at most 1000, the smaller first"),
        ("a{1001}", "repeats {1001}: at most 1000, the smaller first"),
        (r"(a)\1", r"refers to a group by \1, which Go's syntax does not know"),
        ("(?=a)", "has (?=a, which Go's syntax does not know (at character 1)"),
        ("(?<!a)b", "has (?<!, which Go's syntax does not know (at character 1)"),
        ("(?P=x)", "has (?P=, which Go's syntax does not know (at character 1)"),
        ("(?x)a", "has (?x), which Go's syntax does not know (at character 1)"),
        ("(?P<a>x)(?P<a>y)", "has a group without a name of its own (at character 9)"),
        ("(?P<a-b>x)", "has a group without a name of its own (at character 1)"),
        (r"\Z", r"has \Z, which Go's syntax does not know (at character 1)"),
        (r"a\k", r"has \k, which Go's syntax does not know (at character 2)"),
        (r"\p{Greek}", r"has \p{Greek} (at character 1): categories such as L, Lu or Nd are known here"),
        (r"\x{zz}", r"has \x without a hexadecimal number (at character 1)"),
        (r"\x4", r"has \x without a hexadecimal number (at character 1)"),
        (r"\x{110000}", r"has \x without a hexadecimal number (at character 1)"),
        ("a\\", "ends in the middle of something"),
        ("(" * 200 + ")" * 200, "nests groups deeper than 100"),
        ("a" * 20_000, "is longer than 16384 characters"),
    ],
)
def test_what_is_refused_says_why(pattern: str, message: str) -> None:
    with pytest.raises(PatternError) as refused:
        compiled(pattern)
    assert str(refused.value) == message


@settings(deadline=None, max_examples=500)
@given(
    st.one_of(
        st.text(max_size=30),
        st.text(alphabet=r"ab\dwsbzQE.*+?()[]{}|^$-:,0123imsU<>P=!&~", max_size=14),
    )
)
def test_any_text_is_a_pattern_or_says_why_not(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pattern = compiled(text)
        except PatternError as error:
            assert "\n" not in str(error).replace(text, "")
        else:
            assert isinstance(pattern.needles is None or pattern.needles.may_match("a"), bool)


_PIECES = st.lists(
    st.sampled_from(
        [
            *"abAB .",
            r"\d",
            r"\s",
            r"\w",
            "[^a]",
            "[ab]",
            "a+",
            "b*",
            ".*",
            "^",
            "$",
            r"\b",
            "(a|b)",
            "(?i:ab)",
        ]
    ),
    max_size=6,
).map("".join)
_LINES = st.lists(st.text(alphabet="abAB 1é_", max_size=8), min_size=1, max_size=5)


@settings(deadline=None, max_examples=400)
@given(_PIECES, _LINES)
def test_over_many_lines_it_matches_what_it_matches_in_each(source: str, lines: list[str]) -> None:
    try:
        pattern = compiled(source)
    except PatternError:
        return
    apart = [[match.span() for match in pattern.record.finditer(line)] for line in lines]
    text, at, together = "\n".join(lines), 0, []
    spans = [match.span() for match in pattern.lines.finditer(text)]
    for line in lines:
        end = at + len(line)
        together.append([(start - at, stop - at) for start, stop in spans if at <= start <= end])
        assert all(stop <= end for start, stop in spans if at <= start <= end)
        at = end + 1
    assert together == apart


@settings(deadline=None, max_examples=400)
@given(_PIECES, st.text(alphabet="abAB 1é_\n", max_size=20))
def test_a_match_has_a_needle_in_it(source: str, text: str) -> None:
    try:
        pattern = compiled(source)
    except PatternError:
        return
    if pattern.needles is not None and not pattern.needles.may_match(text):
        assert pattern.record.search(text) is None
        assert pattern.lines.search(text) is None


def test_the_needles_that_are_found() -> None:
    def needles(source: str) -> tuple[tuple[str, ...], bool] | None:
        found = Pattern(source).needles
        return (found.texts, found.folded) if found else None

    assert needles(r"(?i)secret=\w+") == (("secret=",), True)
    assert needles(r"\w+@\w+") == (("@",), False)
    assert needles(r"(?i)(?:token|access_token|pass)=") == (("pass", "token"), True)
    assert needles(r"\d+ms( more)? end") == ((" end",), False)
    assert needles(r"abc\d") is None  # re looks for that itself
    assert needles(r"\d+") is None
    assert needles(r"(?:ab|cd|ef|gh|ij)x") is None


def test_it_is_quick_to_compile() -> None:
    """No set holds a million characters where it can hold the few that are not in it."""
    for source in (r"[^x]", r"\S", r"(?s).", "."):
        assert len(Pattern(source).lines.pattern) < 60
    assert Pattern("(?s).").record.pattern == "(?s:.)"
    assert re.compile(Pattern(r"[^a-z]").record.pattern).pattern == "[^a-z]"
