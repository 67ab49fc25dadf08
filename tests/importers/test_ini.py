"""The readers of sections and keys, compared with configparser where that reads the same form."""

from __future__ import annotations

from configparser import Error, RawConfigParser
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.importers.ini import parse_ini, parse_unit
from tests.importers.cases import CORPUS

FILES = [*CORPUS.glob("supervisord/*/*.conf"), *CORPUS.glob("circus/*/*.ini")]
LINES = st.lists(
    st.sampled_from(
        [
            "a=1",
            "b : 2",
            "c = x ; comment",
            "d=x;no comment",
            "  goes on",
            "\tmore # comment",
            "",
            "; all",
            "#",
            "e=",
        ]
    ),
    max_size=12,
)


def _by_configparser(text: str) -> dict[str, dict[str, str]] | None:
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(text)
    except Error:
        return None
    return {name: dict(parser[name]) for name in parser.sections()}


def _by_us(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for section in parse_ini(text):
        for entry in section.entries:
            assert text.split("\n")[entry.line - 1].strip().startswith(entry.key)
            found.setdefault(section.name, {})[entry.key.lower()] = entry.value or ""
        if section.name:
            found.setdefault(section.name, {})
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_files_of_the_corpus(file: object) -> None:
    text = str(getattr(file, "read_text")())  # noqa: B009
    wanted = _by_configparser(text)
    if wanted is not None:
        assert _by_us(text) == wanted


@pytest.mark.hypothesis
@settings(max_examples=150, deadline=None)
@given(lines=LINES)
def test_any_lines(lines: list[str]) -> None:
    text = "[s]\na=0\n" + "\n".join(lines)
    wanted = _by_configparser(text)
    assert wanted is not None
    assert _by_us(text) == wanted


def test_lines_of_a_unit() -> None:
    text = "[Service]\nExecStart=/bin/a \\\n# a comment\n  --b \\\n  c\n;x=1\nEnvironment=\nbroken\n"
    (entries,) = (list(group) for name, group in groupby(parse_unit(text), lambda one: one.name) if name)
    found = [(entry.key, entry.value, entry.line) for entry in entries[0].entries]
    assert found == [
        ("ExecStart", "/bin/a --b c", 2),
        ("Environment", "", 7),
        ("broken", None, 8),
    ]
