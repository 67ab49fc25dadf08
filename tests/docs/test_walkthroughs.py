"""The tutorial and the guides do what they say; see `tests.docs.walkthrough`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.markdown import ROOT
from tests.docs.walkthrough import Reader, fits

if TYPE_CHECKING:
    from pathlib import Path

PAGES_TO_FOLLOW = [ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/guides").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES_TO_FOLLOW, ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page: Path) -> None:
    with Reader() as reader:
        assert reader.follow(page) > 3


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("web  running  1/1  0  2s\n", "web running 1/1 0 12m3s\n", True),
        ("web  running  1/1  0  2s\n", "web starting 1/1 0 2s\n", False),
        ("web  running  1/1  0  2s\n", "web running 2/2 0 2s\n", False),
        ("web-0  2611  healthy, checked in 1.9 ms\n", "web-0 123 healthy, checked in 80.31 ms\n", True),
        ("web-0  2611\n", "web-1 2611\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nb\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("", "an error\n", False),
    ],
)
def test_what_is_compared(expected: str, actual: str, same: bool) -> None:
    assert fits(expected, actual) is same


def test_a_page_that_is_wrong_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one\ntwo\n```\n")
    with Reader() as reader, pytest.raises(AssertionError, match="shows\none"):
        reader.follow(page)
