"""All stages together: the same bytes are the same records, however they are cut into reads."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.logs.encode import output_format
from cbox_init.logs.framing import LINE_LIMIT, Framer
from cbox_init.logs.stages.pipeline import Pipeline
from tests.logs.stages.helpers import WEB, Line, blocks_of, lines_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")

SECTIONS: dict[str, Any] = {
    "multiline": {"enabled": True, "pattern": r"^\[|^\{", "max_lines": 4},
    "redaction": {
        "enabled": True,
        "patterns": [
            "bearer_token",
            "credit_card",
            {"pattern": r"secret=(\w)\w*", "replacement": "secret=$1*"},
        ],
    },
    "json": {"enabled": True, "extract_level": True, "extract_message": True, "merge_fields": True},
    "level_detection": {"enabled": True},
    "filters": {"exclude": ["healthz", "^$"], "include": ["[a-z]"]},
    "rate_limit": {"lines": 1_000_000, "burst": 1_000_000},
}

sections = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in SECTIONS.items()})

texts = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"[first] ERROR line\n",
                b"  at more\n",
                b"secret=abcdef\n",
                b"GET /healthz 200\n",
                b"Bearer abcdefgh.ijkl x\r\n",
                b'{"level":"warn","msg":"two\\nlines","user":{"id":1}}\n',
                b'{"level":"info","message":"m"}\n',
                b'{"broken":\n',
                b"4111 1111 1111 1111\n",
                b"\n",
                b"\r",
                b"\xff\x00\x1b[31mred\n",
                "é€😀\n".encode(),
                b"x" * 40,
            ]
        ),
        st.binary(max_size=12),
    ),
    max_size=14,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(sections, texts, st.lists(st.integers(0, 300), max_size=12), st.sampled_from([16, 64, LINE_LIMIT]))
def test_any_split_into_reads_gives_the_same_records(
    section: dict[str, Any], data: bytes, cuts: list[int], limit: int
) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reads = [data[a:b] for a, b in pairwise(places)]
    whole, split, single = (
        lines_of(blocks_of(stages_of(section), way, limit))
        for way in ([data], reads, [data[i : i + 1] for i in range(len(data))])
    )
    assert split == whole
    assert single == whole


@settings(deadline=None)
@given(sections, texts)
def test_every_record_is_one_line_of_valid_json(section: dict[str, Any], data: bytes) -> None:
    blocks = blocks_of(stages_of(section), [data], 32)
    form = output_format("json", timestamps=False).encoder(WEB, {"tier": "front"})
    written = b"".join([form(block).data for block in blocks])
    records = [json.loads(line) for line in written.split(b"\n")[:-1]]
    assert [(record["msg"], record["level"]) for record in records] == [line[:2] for line in lines_of(blocks)]
    assert all(record["labels"] == {"tier": "front"} for record in records)


@settings(deadline=None)
@given(texts)
def test_stages_that_find_nothing_change_nothing(data: bytes) -> None:
    section = {
        "redaction": {"enabled": True, "patterns": [{"pattern": "cannot be there"}]},
        "filters": {"exclude": ["cannot be there"]},
        "level_detection": {"enabled": True, "patterns": {"error": "cannot be there"}},
    }
    assert lines_of(blocks_of(stages_of(section), [data])) == lines_of(blocks_of(stages_of({}), [data]))


def test_what_nothing_is_found_in_stays_one_block() -> None:
    section = {name: SECTIONS[name] for name in ("redaction", "json", "level_detection", "rate_limit")}
    blocks = blocks_of(stages_of(section), [b"one\ntwo\nthree\n"])
    assert [(block.data, block.single) for block in blocks] == [(b"one\ntwo\nthree", False)]


def test_the_order_of_the_stages() -> None:
    section = {
        "multiline": {"enabled": True, "pattern": r"^\S"},
        "redaction": {"enabled": True, "patterns": [{"pattern": r"(?s)key:.*?end", "replacement": "KEY"}]},
        "json": {"enabled": True, "extract_level": True, "extract_message": True},
        "level_detection": {"enabled": True},
        "filters": {"exclude": ["key:"]},
    }
    data = 'key: ERROR\n  more\n  end\n{"msg":"key:\n end WARN"}\n'
    # Masked over its lines before a filter sees it, and before it is JSON.
    assert run(section, data) == [Line("KEY"), Line("KEY WARN", "WARN")]


def test_all_parts_of_a_long_line_share_its_level_and_its_fate() -> None:
    section = {"level_detection": {"enabled": True}, "filters": {"exclude": ["noise"]}}
    data = b"ERROR " + b"x" * 200 + b"\nnoise " + b"y" * 200 + b"\nlast\n"
    assert lines_of(blocks_of(stages_of(section), [data], 64)) == [
        Line("ERROR " + "x" * 58, "ERROR", True),
        *[Line("x" * 64, "ERROR", True)] * 2,
        Line("x" * 14, "ERROR"),
        Line("last"),
    ]


def test_a_long_line_is_no_json_and_part_of_no_other_record() -> None:
    section = {"json": SECTIONS["json"], "multiline": {"enabled": True, "pattern": "^first"}}
    data = b'first\n{"msg":"' + b"x" * 100 + b'"}\n{"msg":"end"}\n'
    assert lines_of(blocks_of(stages_of(section), [data], 64)) == [
        Line("first"),
        Line('{"msg":"' + "x" * 56, partial=True),
        Line("x" * 44 + '"}'),
        Line("end"),
    ]


def test_a_binary_flood_through_all_stages_takes_no_memory() -> None:
    pipeline = Pipeline(
        WEB, stages_of({**SECTIONS, "filters": {"exclude": ["healthz"]}}), lambda blocks: None
    )
    framer = Framer(cut=pipeline.cut)
    block = bytes(range(11, 256)) * 98
    size = 0
    tracemalloc.start()
    try:
        for _ in range(200):
            size += sum(len(one.data) for one in pipeline.feed(framer.feed(block), 1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 100 * len(block)
    assert peak < 4 * 2**20
