"""docs/errors.md shows messages that the program has."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.markdown import ROOT, anchors, code, links, sections

PAGE = ROOT / "docs/errors.md"
_LEAST_LETTERS = 8
MESSAGES = [
    (section.heading, line)
    for section in sections(PAGE)
    for block in section.blocks
    if block.language == "text"
    for line in block.text.splitlines()
]


@cache
def patterns() -> list[re.Pattern[str]]:
    """Every text of the source that is a message, with anything for what is put into it."""
    found: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [re.escape(node.value)]
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*" for p in node.values
                ]
            else:
                continue
            if sum(letter.isalpha() for part in parts if part != ".*" for letter in part) >= _LEAST_LETTERS:
                found.add("".join(parts))
    return [re.compile(pattern) for pattern in sorted(found)]


@pytest.mark.parametrize(("heading", "message"), MESSAGES, ids=lambda text: text[:40])
def test_the_program_has_the_message(heading: str, message: str) -> None:
    assert any(pattern.fullmatch(message) for pattern in patterns()), f"{heading}: nothing in src says this"


def test_a_message_that_is_not_there_is_noticed() -> None:
    assert not any(pattern.fullmatch("gave up, nobody knows why") for pattern in patterns())


def test_every_section_has_a_message_and_a_row() -> None:
    headings = [section.heading for section in sections(PAGE)][2:]
    assert {heading for heading, _ in MESSAGES} == set(headings)
    (rows,) = (section.tables[0][1:] for section in sections(PAGE) if section.tables)
    assert len(rows) == len(headings)
    whole = "\n".join(message for _, message in MESSAGES)
    for row in rows:
        assert [part for part in code(row[0])[:1] if part not in whole] == []
    assert {link.removeprefix("#") for link in links(PAGE) if link.startswith("#")} <= anchors(PAGE)
