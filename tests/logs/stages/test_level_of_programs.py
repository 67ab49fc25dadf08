"""Levels of what programs write: ``levels_of_programs.txt`` has lines in the format of each.

Before a line stands the level that a person would give it; ``<ESC>`` begins a colour code.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.logs.stages.helpers import Line, run

pytestmark = pytest.mark.usefixtures("patient_searches")

USUAL = {"level_detection": {"enabled": True}}

CASES = [
    (line[6:].replace("<ESC>", "\x1b"), line[:5].strip())
    for line in Path(__file__).with_name("levels_of_programs.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(("line", "level"), CASES, ids=[line for line, _ in CASES])
def test_a_line_of_a_program(line: str, level: str) -> None:
    assert run(USUAL, f"{line}\n") == [Line(line, level)]


def test_all_of_them_together() -> None:
    """As they come in one block, in which each is found by itself."""
    data = "".join(f"{line}\n" for line, _ in CASES)
    assert run(USUAL, data) == [Line(line, level) for line, level in CASES]
    assert run(USUAL, data.replace("\n", "\r\n")) == [Line(line, level) for line, level in CASES]


@pytest.mark.parametrize(
    "text", ["/ERROR", "?level=error", "aError", "A:", "\x1b[31m", 'PHP message: "', "Warning: "]
)
def test_a_long_line_made_for_it_takes_no_longer(text: str) -> None:
    line = (text * 64_000)[:64_000]
    begun = time.process_time()
    run(USUAL, f"{line}\n")
    assert time.process_time() - begun < 2
