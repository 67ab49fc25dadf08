"""The two forms of a record, to the byte; and whatever the bytes, one readable record a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.encode import output_format
from cbox_init.logs.encode.text_format import quoted
from cbox_init.logs.record import Block, RecordSource

if TYPE_CHECKING:
    from cbox_init.logs.encode.base import Field

TIME_NS = 1795511283_778794659
WEB = RecordSource("web", "web-0", "stdout")

blocks = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
        st.text(max_size=20).map(lambda text: text.replace("\n", "").encode("utf-8", "replace")),
        st.sampled_from([b"", b"plain", b"two words", b"a=b", b'say "x"', b"back\\slash", b'\\ "', b"\\"]),
    ),
    min_size=1,
    max_size=6,
).map(b"\n".join)


def encode(data: bytes, fmt: str = "json", *, partial: bool = False, **labels: str) -> bytes:
    encoder = output_format(fmt, timestamps=True).encoder(WEB, labels)
    block = Block(TIME_NS, WEB, LogLevel.INFO, data, partial)
    encoded = encoder(block)
    assert encoded.records == len(block)
    return encoded.data


def test_json_is_the_form_of_the_specification() -> None:
    assert encode(b"hello") == (
        b'{"time":"2026-11-24T09:08:03.778794659Z","level":"INFO","msg":"hello","process":"web",'
        b'"instance_id":"web-0","stream":"stdout"}\n'
    )


def test_text_is_the_form_of_the_specification() -> None:
    assert encode(b"hello", "text") == (
        b"time=2026-11-24T09:08:03.778Z level=INFO msg=hello process=web instance_id=web-0 stream=stdout\n"
    )


def test_labels_and_the_mark_of_a_part_are_further_members() -> None:
    assert encode(b"x", partial=True, tier="front end").endswith(
        b'"stream":"stdout","partial":true,"labels":{"tier":"front end"}}\n'
    )
    assert encode(b"x", tier="front").endswith(b'"stream":"stdout","labels":{"tier":"front"}}\n')
    assert encode(b"x", "text", partial=True, tier="front end").endswith(
        b'stream=stdout partial=true labels.tier="front end"\n'
    )


def test_a_record_of_several_lines_is_one_line_of_output() -> None:
    block = Block(TIME_NS, WEB, LogLevel.ERROR, b"Traceback:\n  \x7f caf\xe9\n", single=True)
    json_form, text_form = (output_format(fmt, timestamps=False) for fmt in ("json", "text"))
    record = json.loads(json_form.encoder(WEB, {})(block).data)
    assert (record["level"], record["msg"]) == ("ERROR", "Traceback:\n  \x7f caf\\xe9\n")
    assert text_form.encoder(WEB, {})(block).data == (
        rb'level=ERROR msg="Traceback:\n  \x7f caf\\xe9\n" '
        b"process=web instance_id=web-0 stream=stdout\n"
    )
    assert [one.message for one in block.records()] == ["Traceback:\n  \x7f caf\\xe9\n"]
    assert (
        len(block)
        == json_form.encoder(WEB, {})(block).records
        == text_form.encoder(WEB, {})(block).records
        == 1
    )


def test_fields_come_behind_the_labels() -> None:
    fields = '{"user":7,"path":"/a b","tags":["x","y"],"none":null,"a b":"\u2028"}'.encode()
    block = Block(TIME_NS, WEB, LogLevel.INFO, b"hello", single=True, fields=fields)
    json_form, text_form = (output_format(fmt, timestamps=False) for fmt in ("json", "text"))
    assert json_form.encoder(WEB, {"tier": "front"})(block).data == (
        b'{"level":"INFO","msg":"hello","process":"web","instance_id":"web-0","stream":"stdout",'
        b'"labels":{"tier":"front"},'
        b'"user":7,"path":"/a b","tags":["x","y"],"none":null,"a b":"\\u2028"}\n'
    )
    assert text_form.encoder(WEB, {"tier": "front"})(block).data == (
        b"level=INFO msg=hello process=web instance_id=web-0 stream=stdout labels.tier=front "
        rb'user=7 path="/a b" tags="[\"x\",\"y\"]" none=null "a b"="\u2028"' + b"\n"
    )
    (record,) = block.records()
    assert bytes(record.fields or b"") == fields


def test_without_timestamps_there_is_no_time() -> None:
    block = Block(TIME_NS, WEB, LogLevel.INFO, b"a b\nc")
    json_form, text_form = (output_format(fmt, timestamps=False) for fmt in ("json", "text"))
    assert json_form.encoder(WEB, {})(block).data.startswith(b'{"level":"INFO","msg":"a b","process"')
    assert text_form.encoder(WEB, {})(block).data.startswith(b'level=INFO msg="a b" process=web')
    assert json_form.message(TIME_NS, LogLevel.WARN, "m", {}) == b'{"level":"WARN","msg":"m"}\n'
    assert text_form.message(TIME_NS, LogLevel.WARN, "m", {}) == b"level=WARN msg=m\n"


@settings(deadline=None)
@given(blocks)
@example(b"a\x7fb\nc")
@example(b"\x00\x1b[31mred\x1b[0m\x00")
@example(b"caf\xe9\ngood")
@example("line\u2028separator\u2029\u0085".encode())
@example(b"\xed\xa0\x80 surrogate")
def test_every_record_is_one_line_of_json_with_the_message_in_it(data: bytes) -> None:
    written = encode(data).split(b"\n")
    assert written.pop() == b""
    messages = [json.loads(line)["msg"] for line in written]
    assert messages == [line.decode("utf-8", "backslashreplace") for line in data.split(b"\n")]
    assert all("\u2028" not in line.decode() and "\u2029" not in line.decode() for line in written)


@settings(deadline=None)
@given(blocks)
@example(b"")
@example(b"\n")
@example(b"a b\n\nc d")
@example(b"a b\nc")
@example(b"a\nb c")
def test_every_record_is_one_line_of_text_quoted_by_the_same_rule(data: bytes) -> None:
    head = "time=2026-11-24T09:08:03.778Z level=INFO msg="
    tail = " process=web instance_id=web-0 stream=stdout\n"
    lines = [line.decode("utf-8", "backslashreplace") for line in data.split(b"\n")]
    assert encode(data, "text").decode() == "".join(head + quoted(line) + tail for line in lines)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("C:\\dir", "C:\\dir"),
        ("C:\\my dir", r'"C:\\my dir"'),
        ("tab\there\n", r'"tab\there\n"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("grüße", "grüße"),
        ("no\u00a0break", r'"no\u00a0break"'),
        ("\u2028", r'"\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_values_are_quoted_as_slog_quotes_them(value: str, expected: str) -> None:
    assert quoted(value) == expected


def test_a_message_of_the_daemon() -> None:
    fields: dict[str, Field] = {
        "process": "web",
        "instance_id": "web-0",
        "pid": 17,
        "exit_code": None,
        "error": "no such file",
    }
    assert output_format("json", timestamps=True).message(
        TIME_NS, LogLevel.ERROR, "Start failed", fields
    ) == (
        b'{"time":"2026-11-24T09:08:03.778794659Z","level":"ERROR","msg":"Start failed","process":"web",'
        b'"instance_id":"web-0","pid":17,"error":"no such file"}\n'
    )
    assert output_format("text", timestamps=True).message(
        TIME_NS, LogLevel.ERROR, "Start failed", fields
    ) == (
        b'time=2026-11-24T09:08:03.778Z level=ERROR msg="Start failed" process=web instance_id=web-0 pid=17 '
        b'error="no such file"\n'
    )


@pytest.mark.parametrize("fmt", ["json", "text"])
def test_names_that_are_not_utf8_do_not_stop_a_message(fmt: str) -> None:
    form = output_format(fmt, timestamps=False)
    broken = "caf\udce9"
    written = form.message(TIME_NS, LogLevel.INFO, broken, {"error": broken, "ok": True, "seconds": 1.5})
    assert written.count(b"\n") == 1
    assert rb"caf\udce9" in written or rb"caf\\udce9" in written
    encoder = form.encoder(RecordSource(broken, broken, "stderr"), {broken: broken})
    encoder(Block(TIME_NS, WEB, LogLevel.INFO, b"x")).data.decode()


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="use json or text"):
        output_format("xml", timestamps=True)
