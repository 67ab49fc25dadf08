"""What the pages refer to is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, links, sections

if TYPE_CHECKING:
    from pathlib import Path

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINKED_TEST = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if "://" not in link and not _resolves(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for file, name in (*_TEST.findall(text), *((file, name) for name, file in _LINKED_TEST.findall(text))):
        found = re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
        assert found, f"{file}::{name}"


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(ROOT / page for page in listed) == PAGES


def test_the_differences_name_their_tests() -> None:
    text = (ROOT / "docs/migrating.md").read_text()
    assert len(_TEST.findall(text)) > 10


@pytest.mark.parametrize(
    ("page", "how"),
    [("docs/reliability.md", "how it is broken on purpose"), ("docs/security.md", "attack")],
)
def test_each_promise_names_its_test_by_a_link(page: str, how: str) -> None:
    tables = [table for section in sections(ROOT / page) for table in section.tables]
    tables = [table for table in tables if table[0][0] == "promise"]
    assert {tuple(table[0]) for table in tables} == {("promise", how, "test")}
    rows = [row for table in tables for row in table[1:]]
    assert len(rows) > 25
    assert [row for row in rows if not (row[0] and row[1] and _LINKED_TEST.search(row[2]))] == []


def _resolves(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not anchor or anchor in anchors(target))
