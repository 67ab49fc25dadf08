"""Records that are dropped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.logs.stages.helpers import Line, blocks_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")

DATA = "GET /healthz\nGET /\nPOST /\nPOST /healthz\nGET /healthz\n"


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"exclude": ["healthz"]}, ["GET /", "POST /"]),
        ({"include": ["POST"]}, ["POST /", "POST /healthz"]),
        ({"include": ["POST", "/$"], "exclude": ["healthz"]}, ["GET /", "POST /"]),
        ({"exclude": ["^GET", "^POST"]}, []),
        ({"include": ["nothing"]}, []),
        ({"exclude": ["nothing"]}, DATA.splitlines()),
        ({"exclude": [""]}, []),
        ({"exclude": ["^$"]}, DATA.splitlines()),
    ],
)
def test_exclude_beats_include(filters: dict[str, Any], kept: list[str]) -> None:
    assert [line.message for line in run({"filters": filters}, DATA)] == kept
    # Record by record, which takes another way through the stage.
    single = {"filters": filters, "multiline": {"enabled": True, "pattern": "^"}}
    assert [line.message for line in run(single, DATA)] == kept


def test_empty_lines_are_lines() -> None:
    assert run({"filters": {"exclude": ["^$"]}}, "\na\n\n\nb\n\n") == [Line("a"), Line("b")]
    assert run({"filters": {"include": ["^$"]}}, "\na\n\n") == [Line(""), Line("")]


def test_what_stays_stays_in_blocks() -> None:
    blocks = blocks_of(stages_of({"filters": {"exclude": ["x"]}}), [b"a\nb\nx\nc\n"])
    assert [block.data for block in blocks] == [b"a\nb\nc"]


def test_a_record_of_several_lines_is_dropped_as_a_whole() -> None:
    section = {"multiline": {"enabled": True, "pattern": r"^\S"}, "filters": {"exclude": ["noise"]}}
    assert run(section, "a\n  noise\nb\n") == [Line("b")]


def test_a_message_out_of_json_is_looked_at_both_ways() -> None:
    json = {"enabled": True, "extract_message": True}
    data = '{"msg":"request","path":"/healthz"}\n{"msg":"request","path":"/"}\n'
    assert run({"json": json, "filters": {"exclude": ["healthz"]}}, data) == [Line("request")]
    assert run({"json": json, "filters": {"exclude": ["^request$"]}}, data) == []
    assert run({"json": json, "filters": {"include": ['path":"/"']}}, data) == [Line("request")]


def test_the_filters_of_global() -> None:
    settings: dict[str, Any] = {"log_filter_patterns": ["healthz"], "log_filter_enabled": "true"}
    own = {"filters": {"exclude": ["POST"]}}
    assert [line.message for line in run(own, DATA, **settings)] == ["GET /"]
    assert len(run(own, DATA, **{**settings, "log_filter_enabled": "false"})) == 3
