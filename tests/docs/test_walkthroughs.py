"""The tutorial and the guides do what they say; see `tests.docs.walkthrough`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.markdown import PAGES, ROOT
from tests.docs.walkthrough import Reader, fits, steps
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

PAGES_TO_FOLLOW = [ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
REFERENCE = ROOT / "docs/command-line.md"
#: Pages whose calls by curl are made by test_calls.
CALLS = (ROOT / "docs/api.md", ROOT / "docs/api-reference.md")
#: Blocks of commands that no test runs, each with its reason on the page: there may be no more than this.
MOST_NOT_RUN = 30
_BLOCK_FLAGS = re.MULTILINE | re.DOTALL


@pytest.mark.parametrize("page", PAGES_TO_FOLLOW, ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page: Path) -> None:
    with Reader() as reader:
        assert reader.follow(page) > 3


def test_the_commands_of_the_reference_show_what_it_shows() -> None:
    """Beside a daemon that runs the example; where a block is of another daemon, the page says so."""
    with Reader() as reader:
        (reader.folder / "examples").symlink_to(ROOT / "examples")
        (reader.folder / "artisan").touch()
        example = (ROOT / "examples/basics.yaml").read_text().replace("9180", str(free_port()))
        (reader.folder / "basics.yaml").write_text(example)
        (bad,) = (step.text for step in steps(REFERENCE) if step.title == "bad.yaml")
        (reader.folder / "bad.yaml").write_text(bad)  # it is shown below the first command that names it
        started = 'time=2026-11-28T15:40:25.361Z level=INFO msg="All processes started successfully"'
        reader.type(f"$ cbox-init serve -c basics.yaml\n{started}\n")
        reader.type("$ cbox-init restart web --wait\n…\n$ cbox-init scale web 3 --wait\n…\n")
        assert reader.follow(REFERENCE) > 15


def test_the_report_as_json_is_as_the_page_has_it() -> None:
    text = REFERENCE.read_text()
    found = re.search(r"^`--json`, for `(?P<config>.+)`:\n\n```json\n(?P<report>.*?)^```", text, _BLOCK_FLAGS)
    assert found
    with Reader() as reader:
        (reader.folder / "cbox-init.yaml").write_text(found["config"])
        command = [sys.executable, "-m", "cbox_init", "check-config", "--json", "-c", "cbox-init.yaml"]
        done = subprocess.run(command, cwd=reader.folder, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == json.loads(found["report"])


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    run, not_run, unknown = 0, 0, []
    for page in PAGES:
        for step in steps(page):
            if step.language not in ("console", "sh", "shell", "bash"):
                continue
            followed = page in (*PAGES_TO_FOLLOW, REFERENCE) and step.language == "console"
            if step.reason:
                not_run += 1
            elif followed or (page in CALLS and step.text.startswith("curl ")):
                run += 1
            else:
                unknown.append(f"{page.relative_to(ROOT)}:{step.line}")
    assert unknown == [], "run it in a test, or write <!-- not run: REASON --> above it"
    assert not_run <= MOST_NOT_RUN
    assert run > 50


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
