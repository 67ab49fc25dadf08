"""docs/events.md has every kind of event."""

from __future__ import annotations

import re

from cbox_init.supervisor.events import KEPT, KEPT_EACH, KEPT_LEAST, KINDS, LATEST, LONGEST_TEXT
from tests.docs.markdown import ROOT, code, sections

PAGE = ROOT / "docs/events.md"
EMITTED = re.compile(r'emit\(\s*"([a-z_]+\.[a-z_]+)"')


def test_the_table_of_kinds() -> None:
    (table,) = (table for section in sections(PAGE) for table in section.tables if table[0][0] == "kind")
    assert {code(row[0])[0]: row[1] for row in table[1:]} == KINDS


def test_what_is_emitted_is_a_kind() -> None:
    sources = (ROOT / "src/cbox_init").rglob("*.py")
    emitted = {kind for source in sources for kind in EMITTED.findall(source.read_text())}
    assert "instance.exited" in emitted
    assert emitted <= set(KINDS)


def test_numbers() -> None:
    text = PAGE.read_text()
    assert f"The latest {KEPT_EACH} events of each process and of the daemon, and the latest {LATEST}" in text
    assert f"at most {KEPT} events are kept" in text
    assert f"but {KEPT_LEAST} at least" in text
    assert f"have {LONGEST_TEXT} characters at most" in text
