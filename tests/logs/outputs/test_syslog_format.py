"""Messages of syslog, held against the grammar of RFC 5424."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model import SyslogFacility
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.outputs.syslog_format import (
    MESSAGE_BYTES,
    SyslogFormat,
    messages_in,
    without_length,
)
from cbox_init.logs.record import Block, RecordSource

AT_NS = 1_764_000_000_123_456_789
WEB = RecordSource("web", "web-0", "stdout")

_NAME = r"[!-~]"
_PARAM = r'[!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*"'
_ELEMENT = rf"\[[!#-<>-\\^-~]{{1,32}}(?: {_PARAM})*\]"
GRAMMAR = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) "
    rf"(?P<host>{_NAME}{{1,255}}) "
    rf"(?P<app>{_NAME}{{1,48}}) (?P<procid>{_NAME}{{1,128}}) (?P<msgid>{_NAME}{{1,32}}) "
    rf"(?P<data>-|(?:{_ELEMENT})+)(?: (?P<msg>.*))?",
    re.DOTALL,
)


def parsed(encoded: bytes) -> list[dict[str, str]]:
    """The messages, each with its parts and its params."""
    found = []
    for message in messages_in(encoded):
        bare = without_length(message)
        assert message == b"%d %s" % (len(bare), bare)
        match = GRAMMAR.fullmatch(bare.decode())
        assert match, bare
        params = {
            name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
            for name, value in re.findall(r' ([^ =\]"]+)="((?:[^"\\]|\\.)*)"', match["data"], re.DOTALL)
        }
        found.append({**match.groupdict(), **params})
    return found


def form(facility: SyslogFacility = SyslogFacility.DAEMON) -> SyslogFormat:
    return SyslogFormat(facility)


def test_a_line_is_a_message() -> None:
    encoder = form(SyslogFacility.LOCAL3).encoder(WEB, {"team": "shop", 'a ="]': 'x"]\\'})
    first, second = parsed(encoder(Block(AT_NS, WEB, LogLevel.WARN, "one\nzw\u00f6lf".encode())).data)
    assert first["pri"] == str(19 * 8 + 4)
    assert first["time"] == "2025-11-24T16:00:00.123456Z"
    assert first["host"] == os.uname().nodename
    assert (first["app"], first["procid"], first["msgid"]) == ("web", "web-0", "stdout")
    assert (first["process"], first["instance"], first["stream"]) == WEB
    assert (first["team"], first["a____"]) == ("shop", 'x"]\\')
    assert (first["msg"], second["msg"]) == ("one", "zw\u00f6lf")


@pytest.mark.parametrize(("level", "severity"), [("debug", 7), ("info", 6), ("warn", 4), ("error", 3)])
def test_severities(level: str, severity: int) -> None:
    (found,) = parsed(form().encoder(WEB, {})(Block(AT_NS, WEB, LogLevel(level), b"x")).data)
    assert found["pri"] == str(3 * 8 + severity)


def test_every_facility_has_its_number() -> None:
    numbers = {}
    for facility in SyslogFacility:
        (found,) = parsed(form(facility).message(AT_NS, LogLevel.DEBUG, "x", {}))
        numbers[facility.value] = int(found["pri"]) // 8
    assert (numbers["user"], numbers["daemon"]) == (1, 3)
    assert len(set(numbers.values())) == len(SyslogFacility)
    assert numbers["local7"] == 23


def test_a_record_of_several_lines_with_fields_is_one_message() -> None:
    block = Block(
        AT_NS,
        WEB,
        LogLevel.ERROR,
        b"Traceback\n  line",
        single=True,
        fields=b'{"n":1,"s":"x y","l":[1,null]}',
    )
    (found,) = parsed(form().encoder(WEB, {})(block).data)
    assert found["msg"] == "Traceback\n  line"
    assert (found["n"], found["s"], found["l"]) == ("1", "x y", "[1,null]")


def test_a_message_of_the_daemon() -> None:
    fields: dict[str, str | int | None] = {"pid": 7, "ok": True, "error": "a\udcff b", "none": None}
    (found,) = parsed(form().message(AT_NS, LogLevel.INFO, "Process started", fields))
    assert (found["app"], found["procid"], found["msgid"]) == ("cbox-init", str(os.getpid()), "-")
    assert (found["pid"], found["ok"], found["error"]) == ("7", "true", "a\\udcff b")
    assert "none" not in found
    assert parsed(form().message(AT_NS, LogLevel.INFO, "x", {}))[0]["data"] == "-"


def test_a_long_record_becomes_several_messages() -> None:
    text = "zw\u00f6lf \u20ac " * 5000
    encoded = form().encoder(WEB, {"team": "shop"})(Block(AT_NS, WEB, LogLevel.INFO, text.encode())).data
    found = parsed(encoded)
    assert len(found) > 5
    assert max(len(without_length(message)) for message in messages_in(encoded)) <= MESSAGE_BYTES
    assert "".join(one["msg"] for one in found) == text
    assert [one.get("partial") for one in found] == [*["true"] * (len(found) - 1), None]


def test_a_partial_record_says_so() -> None:
    (found,) = parsed(form().encoder(WEB, {})(Block(AT_NS, WEB, LogLevel.INFO, b"x", partial=True)).data)
    assert found["partial"] == "true"


@given(st.binary(min_size=1), st.text(min_size=1), st.text(min_size=1), st.dictionaries(st.text(), st.text()))
def test_any_bytes_and_names_are_messages(
    data: bytes, process: str, instance: str, labels: dict[str, str]
) -> None:
    source = RecordSource(process, instance, "stderr")
    encoder = form().encoder(source, labels)
    found = parsed(encoder(Block(AT_NS, source, LogLevel.INFO, data)).data)
    assert [one["msg"] for one in found] == [
        line.decode("utf-8", "backslashreplace") for line in data.split(b"\n")
    ]
