"""Lines that are JSON."""

from __future__ import annotations

import json

import pytest

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.encode import output_format
from cbox_init.logs.stages.json_lines import level_of
from tests.logs.stages.helpers import WEB, Line, blocks_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")

ALL = {"json": {"enabled": True, "extract_level": True, "extract_message": True, "merge_fields": True}}


def test_level_message_and_fields() -> None:
    line = '{"level":"error","msg":"it broke","user":7,"tags":["a","b"],"at":{"file":"x.py"}}'
    assert run(ALL, line) == [
        Line("it broke", "ERROR", fields='{"user":7,"tags":["a","b"],"at":{"file":"x.py"}}')
    ]


def test_each_key_by_itself() -> None:
    line = '{"level":"warn","msg":"m","n":1}'
    assert run({"json": {"enabled": True, "extract_level": True}}, line) == [Line(line, "WARN")]
    assert run({"json": {"enabled": True, "extract_message": True}}, line) == [Line("m")]
    assert run({"json": {"enabled": True, "merge_fields": True}}, line) == [
        Line(line, fields='{"fields.level":"warn","fields.msg":"m","n":1}')
    ]
    assert run({"json": {"enabled": True}}, line) == [Line(line)]
    assert run({}, line, log_json_parsing="true") == [Line("m", "WARN", fields='{"n":1}')]


@pytest.mark.parametrize(
    "line",
    [
        "plain text",
        "{ no json }",
        '{"a":1} and more',
        'before {"a":1}',
        '["a"]',
        "{}",
        '{"a":1',
        '{"a":"\\ud800"}',
        '{"a":' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"msg":"a\tb"}',
    ],
)
def test_every_other_line_stays_as_it_is(line: str) -> None:
    assert run(ALL, line) == [Line(line)]


def test_a_line_that_is_not_utf_8_is_no_json() -> None:
    assert run(ALL, b'{"msg":"caf\xe9"}') == [Line('{"msg":"caf\\xe9"}')]


def test_numbers_stay_as_they_were_written() -> None:
    line = '{"msg":"m","big":123456789012345678901234567890,"exact":1.10,"e":1E5}'
    (found,) = run(ALL, line)
    assert found.fields == '{"big":123456789012345678901234567890,"exact":1.10,"e":1E5}'


def test_members_of_ours_win() -> None:
    line = '{"msg":"m","time":"then","process":1,"instance_id":2,"stream":3,"labels":4,"partial":5,"x":6}'
    blocks = blocks_of(stages_of(ALL), [line.encode()])
    form = output_format("json", timestamps=True).encoder(WEB, {"a": "b"})
    pairs = json.loads(form(blocks[0]).data, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    assert dict(pairs)["process"] == "web"
    assert names[-7:] == [
        *("fields.time", "fields.process", "fields.instance_id", "fields.stream"),
        *("fields.labels", "fields.partial", "x"),
    ]


def test_an_object_over_several_lines_is_one_line_of_output() -> None:
    section = {**ALL, "multiline": {"enabled": True, "pattern": r"^\{"}}
    assert run(section, '{\n  "msg": "m",\n  "list": [1,\r\n 2]\n}\n') == [
        Line("m", fields='{"list":[1,  2]}')
    ]


def test_a_message_of_several_lines_is_one_record() -> None:
    assert run(ALL, r'{"msg":"one\ntwo"}') == [Line("one\ntwo")]


def test_lines_between_stay_in_their_order() -> None:
    assert run(ALL, 'a\nb\n{"msg":"c"}\nd\n') == [Line("a"), Line("b"), Line("c"), Line("d")]


@pytest.mark.parametrize(
    ("line", "level", "fields"),
    [
        ('{"severity":"CRITICAL","msg":"m"}', "ERROR", ""),
        ('{"log.level":"debug","message":"m"}', "DEBUG", ""),
        ('{"level":200,"level_name":"INFO","message":"m","channel":"c"}', "INFO", '{"channel":"c"}'),
        ('{"level":400,"level_name":"ERROR","message":"m"}', "ERROR", ""),
        ('{"level":"unheard of","msg":"m"}', "INFO", '{"fields.level":"unheard of"}'),
        ('{"level":{"a":1},"msg":"m"}', "INFO", '{"fields.level":{"a":1}}'),
        ('{"level":true,"msg":"m"}', "INFO", '{"fields.level":true}'),
        ('{"level":1e999,"msg":"m"}', "INFO", '{"fields.level":1e999}'),
        ('{"level":null,"severity":"warn","msg":"m"}', "WARN", '{"fields.level":null}'),
        ('{"msg":{"a":1},"message":"m"}', "INFO", '{"fields.msg":{"a":1}}'),
    ],
)
def test_where_the_level_and_the_message_are(line: str, level: str, fields: str) -> None:
    assert run(ALL, line) == [Line("m", level, fields=fields)]


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *((0, "ERROR"), (3, "ERROR"), (4, "WARN"), (6, "INFO"), (7, "DEBUG")),  # syslog
        *((10, "DEBUG"), (20, "DEBUG"), (30, "INFO"), (40, "WARN"), (50, "ERROR"), (60, "ERROR")),  # pino
        *((100, "DEBUG"), (200, "INFO"), (250, "INFO"), (300, "WARN"), (400, "ERROR"), (600, "ERROR")),
        *(("Warning", "WARN"), (" fatal ", "ERROR"), ("NOTICE", "INFO"), ("trace", "DEBUG"), ("30", "INFO")),
        *((10_000, None), ("", None), ("lively", None), ("९", None)),
    ],
)
def test_levels_as_programs_write_them(value: str | float, level: str | None) -> None:
    assert level_of(value) == (LogLevel[level] if level else None)


def test_a_line_without_a_level_is_left_to_level_detection() -> None:
    section = {**ALL, "level_detection": {"enabled": True, "default_level": "debug"}}
    assert run(section, '{"msg":"ERROR: x"}\n{"msg":"x"}\n{"level":"warn","msg":"ERROR"}\n') == [
        Line("ERROR: x", "ERROR"),
        Line("x", "DEBUG"),
        Line("ERROR", "WARN"),
    ]
