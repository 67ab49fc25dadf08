"""Secrets that are masked, in whatever they stand, and across the cuts of a long line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.logs.framing import LINE_LIMIT
from cbox_init.logs.stages.redaction import OVERLAP
from tests.logs.stages.helpers import Line, blocks_of, lines_of, run, stages_of

pytestmark = pytest.mark.usefixtures("patient_searches")


def own(pattern: str, replacement: str = "") -> dict[str, object]:
    return {"redaction": {"enabled": True, "patterns": [{"pattern": pattern, "replacement": replacement}]}}


@pytest.mark.parametrize(
    ("pattern", "replacement", "line", "masked"),
    [
        (r"\d{4}", "", "pin 1234, pin 5678", "pin ***, pin ***"),
        (r"(user)=\w+", "$1=?", "user=ann", "user=?"),
        (r"(user)=\w+", "${1}name", "user=ann", "username"),
        (r"(?P<key>user)=\w+", "${key}=$$1", "user=ann", "user=$1"),
        (r"(?i)secret\S*", "[gone]", "SECRET1 Secret2", "[gone] [gone]"),
        (r"^\w+", "", "first second", "*** second"),
        (r"\w+$", "", "first second", "first ***"),
        (r"[^x]+", "", "abxcd", "***x***"),
        (r"\s", "_", "a b\tc", "a_b_c"),
        ("caf\\x{e9}|é+", "", "café éé", "*** ***"),
        (r"back\\slash", r"\1", r"back\slash", r"\1"),
    ],
)
def test_own_patterns(pattern: str, replacement: str, line: str, masked: str) -> None:
    assert run(own(pattern, replacement), line) == [Line(masked)]


def test_a_match_does_not_leave_its_line() -> None:
    for pattern in (r"[^x]+", r"\s+", r"a\D*b", r"(?s).+", r"a\n?b"):
        lines = ["a 1", "b", "", "x y", "  "]
        apart = [line for text in lines for line in run(own(pattern, "-"), text + "\n")]
        assert run(own(pattern, "-"), "".join(f"{line}\n" for line in lines)) == apart


def test_a_secret_over_several_lines_of_a_record() -> None:
    section = {
        "multiline": {"enabled": True, "pattern": r"^\S+ key"},
        "redaction": {"enabled": True, "patterns": ["private_key"]},
    }
    data = "the key\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\nok\n"
    assert run(section, data) == [
        Line("the key\n-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\nok")
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(-40, 40), st.sampled_from([b"x", "é".encode()]))
def test_a_secret_across_the_cut_of_a_long_line(offset: int, filling: bytes) -> None:
    limit = 2 * OVERLAP + 100
    before = (filling * (limit // len(filling) + 1))[: limit + offset - offset % 2]
    data = before + b" token=" + b"S" * 30 + b" " + filling * limit + b"\n"
    section = own(r"token=\S+", "token=*")
    blocks = blocks_of(stages_of(section), [data], limit)
    written = b"".join(block.data for block in blocks)
    assert written + b"\n" == data.replace(b"S" * 30, b"*")
    assert all(len(block.data) <= limit for block in blocks)
    assert lines_of(blocks) == lines_of(blocks_of(stages_of(section), [data[:limit], data[limit:]], limit))


def test_a_secret_of_the_length_that_is_promised_across_a_cut() -> None:
    secret = b"T" * (OVERLAP - len(b"token=") - 1)
    data = b"x" * (LINE_LIMIT - 8) + b" token=" + secret + b"\n"
    blocks = blocks_of(stages_of(own(r"token=\S+")), [data])
    assert b"T" not in b"".join(block.data for block in blocks)


def test_what_json_had_escaped_is_masked_when_it_is_not_any_more() -> None:
    section = {
        **own(r"ann@example\.org"),
        "json": {"enabled": True, "extract_message": True, "merge_fields": True},
    }
    data = r'{"msg":"to ann\u0040example.org","to":["\u0061nn@example.org"],"n":{"x":"a\nb"}}'
    (line,) = run(section, data)
    assert line.message == "to ***"
    assert json.loads(line.fields) == {"to": ["***"], "n": {"x": "a\nb"}}


def test_words_of_global_mask_their_values() -> None:
    settings: dict[str, Any] = {
        "log_redaction_enabled": "true",
        "log_redaction_patterns": ["password", "token", r"card-\d+"],
    }
    lines = {
        "password=hunter2 user=ann": "password=*** user=ann",
        "DB_PASSWORD: hunter2, x": "DB_PASSWORD: ***, x",
        '{"password":"hun\\"ter2","user":"ann"}': '{"password":"***","user":"ann"}',
        '{"token": 1234, "a": 1}': '{"token": "***", "a": 1}',
        "password='two words' x": "password='***' x",
        '{"pass\\u0077ord":"hunter2","a":"b"}': '{"pass\\u0077ord":"***","a":"b"}',
        '{"\\u0070assword": 4711}': '{"\\u0070assword": "***"}',
        '{"\\u0074oken":null,"caf\\u00e9":"b"}': '{"\\u0074oken":"***","caf\\u00e9":"b"}',
        "PGPASSWORD=hunter2 psql --password=hunter2": "PGPASSWORD=*** psql --password=***",
        'password="two words" x': 'password="***" x',
        "GET /?token=abc&x=1": "GET /?token=***&x=1",
        "token: Bearer abc.def x": "token: *** x",
        r'"{\"password\":\"hunter2\"}"': r'"{\"password\":\"***\"}"',
        "card-1234 passed": "*** passed",
        "the password is safe": "the password is safe",
    }
    assert [run({}, line, **settings)[0].message for line in lines] == list(lines.values())
    assert run({"redaction": {"enabled": "false"}}, "token=abc", **settings) == [Line("token=abc")]
    both = {"redaction": {"patterns": [{"pattern": "abc"}]}}
    assert run(both, "abc token=def", **settings) == [Line("*** token=***")]


def test_the_placeholder_of_global() -> None:
    settings: dict[str, Any] = {
        "log_redaction_enabled": "true",
        "log_redaction_patterns": ["token", "jwt", "x+"],
        "log_redaction_placeholder": "$1{gone}",
    }
    line = "token=abc eyJhbGciOi.eyJzdWIiOi.c2ln xx"
    assert run({}, line, **settings) == [Line("token=$1{gone} $1{gone} $1{gone}")]
