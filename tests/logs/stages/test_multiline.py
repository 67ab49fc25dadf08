"""Lines joined into records."""

from __future__ import annotations

from typing import Any

import pytest

from cbox_init.logs.framing import LINE_LIMIT
from tests.logs.stages.helpers import Line, blocks_of, lines_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")

DATED = {"multiline": {"enabled": True, "pattern": r"^\d{4}-", "max_lines": 3}}


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ("2026-a\n  b\n2026-c\n", ["2026-a\n  b", "2026-c"]),
        ("2026-a\n2026-b\n2026-c\n  d\n", ["2026-a", "2026-b", "2026-c\n  d"]),
        ("before any\nfirst line\n2026-a\n", ["before any\nfirst line", "2026-a"]),
        ("2026-a\n1\n2\n3\n4\n2026-b\n", ["2026-a\n1\n2", "3\n4", "2026-b"]),
        ("2026-a\n\n\n2026-b", ["2026-a\n\n", "2026-b"]),
        ("\n\n", ["\n"]),
    ],
)
def test_a_first_line_begins_a_record(data: str, messages: list[str]) -> None:
    assert [line.message for line in run(DATED, data)] == messages


def test_a_pattern_may_match_anywhere_in_a_line() -> None:
    section = {"multiline": {"enabled": True, "pattern": "BEGIN"}}
    assert [line.message for line in run(section, "x BEGIN BEGIN\nmore\nBEGIN\n")] == [
        "x BEGIN BEGIN\nmore",
        "BEGIN",
    ]


def test_a_record_does_not_grow_above_the_limit_of_a_line() -> None:
    section = {"multiline": {"enabled": True, "pattern": "^first", "max_lines": 10_000}}
    data = b"first\n" + (b"y" * 1000 + b"\n") * 100
    blocks = blocks_of(stages_of(section), [data])
    assert [len(block.data) <= LINE_LIMIT for block in blocks] == [True, True]
    assert b"\n".join(block.data for block in blocks) + b"\n" == data


def test_the_time_of_a_record_is_that_of_its_first_line() -> None:
    blocks = blocks_of(stages_of(DATED), [b"2026-a\n", b"  b\n", b"2026-c\n"])
    assert [(block.time_ns, block.data) for block in blocks] == [(1, b"2026-a\n  b"), (3, b"2026-c")]


def test_a_flood_of_single_lines_stays_in_blocks() -> None:
    data = b"".join(b"2026-%d\n" % number for number in range(1000))
    blocks = blocks_of(stages_of(DATED), [data])
    assert [len(block) for block in blocks] == [999, 1]  # the last one may go on
    assert not any(block.single for block in blocks)


def test_the_defaults_of_global() -> None:
    settings: dict[str, Any] = {
        "log_multiline_enabled": "true",
        "log_multiline_pattern": "^A",
        "log_multiline_max_lines": "2",
    }
    assert run({}, "A\nb\nc\n", **settings) == [Line("A\nb"), Line("c")]
    assert run({"multiline": {"max_lines": "9"}}, "A\nb\nc\n", **settings) == [Line("A\nb\nc")]
    assert run({"multiline": {"enabled": "false"}}, "A\nb\n", **settings) == [Line("A"), Line("b")]


def test_bytes_that_are_not_utf_8_in_a_record() -> None:
    assert lines_of(blocks_of(stages_of(DATED), [b"2026-\xff\n\xe9\n"])) == [Line("2026-\\xff\n\\xe9")]
