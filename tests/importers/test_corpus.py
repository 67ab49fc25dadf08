"""What comes of each case of the corpus: the configuration and every note, to the letter.

`python -m tests.importers.cases` writes both again after a change that is wanted.
"""

from __future__ import annotations

import pytest

from cbox_init.config.load import examine_text
from cbox_init.config.problems import Severity
from cbox_init.importers.formats import FORMATS, format_of
from tests.importers.cases import CORPUS, ENVIRON, cases, expected, outcome, sources

CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    made = outcome(case)
    wanted = expected(case)
    assert made.configuration == wanted.configuration
    assert made.notes == wanted.notes


@pytest.mark.parametrize("case", CASES)
def test_what_is_expected_can_be_used(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / case)
    text = expected(case).configuration.replace("CASE", str(CORPUS / case))
    needed = {"DB_PASSWORD": "x", "SUPERVISOR_PHP_COMMAND": "php"}
    found = examine_text(text, "cbox-init.yaml", {**ENVIRON, **needed})
    assert [str(problem) for problem in found.of(Severity.ERROR)] == []


def test_there_are_enough_of_each_format() -> None:
    formats = {case.partition("/")[0] for case in CASES}
    assert formats == {name for name in FORMATS if name != "system-crontab"}
    assert len(CASES) >= 40


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.partition("/")[0] != "s6" and case != "crontab/mistakes"]
)
def test_the_format_is_found(case: str) -> None:
    """By the name of each file, and for texts that say it also under another name."""
    kind = case.partition("/")[0]
    for name in sources(case):
        path = CORPUS / case / name
        if path.is_dir():
            continue
        text = path.read_text()
        assert format_of(name, text).removeprefix("system-") == kind
        if kind in ("supervisord", "circus"):
            assert format_of("strange.name", text) == kind


def test_no_note_holds_a_secret() -> None:
    for case in CASES:
        notes = expected(case).notes
        for secret in ("hunter22", "s3cret-s3cret", "0123456789abcdef"):
            assert secret not in notes
