"""The levels that lines say themselves."""

from __future__ import annotations

import pytest

from tests.logs.stages.helpers import Line, blocks_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")

USUAL = {"level_detection": {"enabled": True}}


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-24 10:00:00 ERROR it broke", "ERROR"),
        ("[2026-11-24 10:00:00] production.ERROR: it broke", "ERROR"),
        ("2026/11/24 10:00:00 [error] 31#31: *1 connect() failed", "ERROR"),
        ("2026/11/24 10:00:00 [crit] 31#31: no space", "ERROR"),
        ("[24-Nov-2026 10:00:00] WARNING: [pool www] server reached max_children", "WARN"),
        ("[24-Nov-2026 10:00:00] NOTICE: ready to handle connections", "INFO"),
        ("PHP Fatal error:  Uncaught Exception", "ERROR"),
        ("PHP Warning:  Undefined variable", "WARN"),
        ('time=2026-11-24 level=debug msg="an ERROR follows"', "DEBUG"),
        ('{"time":"x","level":"warn","msg":"y"}', "WARN"),
        (r"{\"level\": \"error\"}", "ERROR"),
        ("severity: error", "ERROR"),
        ("fatal: not a git repository", "ERROR"),
        ("warning: unused variable", "WARN"),
        ("panic: runtime error", "ERROR"),
        ("DEBUG", "DEBUG"),
        ("WARN INFO ERROR", "WARN"),
        ("WORD_ERROR and ERRORS and INFORMATION", "INFO"),
        ("no error here, 0 errors, warnings: none", "INFO"),
        ("GET /error: 200", "INFO"),
        ("", "INFO"),
    ],
)
def test_the_built_in_detection(line: str, level: str) -> None:
    assert run(USUAL, f"{line}\n") == [Line(line, level)]
    assert run({}, f"{line}\n", log_level_detection="true") == [Line(line, level)]
    record = {**USUAL, "multiline": {"enabled": True, "pattern": "^first"}}
    assert run(record, f"first\n{line}\n") == [Line(f"first\n{line}", level)]


def test_lines_of_one_level_stay_together() -> None:
    data = b"INFO 1\nINFO 2\nERROR 3\nERROR 4\n5\n6\n"
    blocks = blocks_of(stages_of(USUAL), [data])
    assert [(block.level.name, block.data) for block in blocks] == [
        ("INFO", b"INFO 1\nINFO 2"),
        ("ERROR", b"ERROR 3\nERROR 4"),
        ("INFO", b"5\n6"),
    ]


def test_own_patterns_and_the_default_level() -> None:
    patterns = {"warning": "slow", "error": "slow.*dead|^E", "debug": "tick"}
    section = {"level_detection": {"enabled": True, "patterns": patterns, "default_level": "warn"}}
    assert run(section, "slow\nslow, then dead\nE\ntick\nan ERROR\n") == [
        Line("slow", "WARN"),
        Line("slow, then dead", "ERROR"),
        Line("E", "ERROR"),
        Line("tick", "DEBUG"),
        Line("an ERROR", "WARN"),
    ]
    record = {**section, "multiline": {"enabled": True, "pattern": "^tick"}}
    assert run(record, "tick\nE\n") == [Line("tick\nE", "DEBUG")]  # ^ is the beginning of the record
