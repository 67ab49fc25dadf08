"""Records that a stage or an output cannot take: they cost themselves alone, and an exit is handled."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.config.model import LogFormat, LogLevel, OutputConfig, SyslogFacility
from cbox_init.logs.encode.json_format import JsonBlocks
from cbox_init.logs.outputs.otlp import OtlpBlocks, OtlpFormat
from cbox_init.logs.outputs.syslog_format import SyslogBlocks, SyslogFormat
from cbox_init.logs.record import Block
from cbox_init.logs.routes import encode_each
from cbox_init.logs.stages.filters import Filters
from cbox_init.logs.stages.json_lines import JsonLines
from cbox_init.logs.stages.level import LevelDetection
from cbox_init.logs.stages.multiline import Joiner
from cbox_init.logs.stages.pipeline import Pipeline
from cbox_init.logs.stages.redaction import Redaction
from tests.logs.conftest import Bench, Output, until
from tests.logs.outputs.test_otlp import Collector
from tests.logs.stages.helpers import WEB, logging_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cbox_init.logs.process import ProcessLog

pytestmark = pytest.mark.usefixtures("patient_searches")

NESTED = "[" * 600 + "]" * 600
DEEPEST = "[" * 100_000 + "]" * 100_000
BAD = [
    '{"msg":"x","amount":1e999}',
    '{"msg":"x\\u0041","amount":-1e999,"s":"a\\\\b"}',
    f'{{"msg":"x","deep":{NESTED}}}',
    f'{{"msg":"x","deep":{NESTED},"s":"a\\u0041"}}',
    '{"msg":"x","s":"\\u0041","deep":' + '{"a":' * 600 + "1" + "}" * 601,
    '{"msg":"x","big":123456789012345678901234567890,"uint":18446744073709551615}',
    '{"msg":"\\ud800","s":"\\udfff"}',
    '{"level":1e999,"msg":"x"}',
    '{"level":"' + "e" * 5000 + '","msg":1e999}',
]
STAGES: dict[str, Any] = {
    "redaction": {"enabled": True, "patterns": [{"pattern": "hunter2"}]},
    "json": {"enabled": True, "extract_level": True, "extract_message": True, "merge_fields": True},
    "level_detection": {"enabled": True},
    "filters": {"exclude": ["never there"]},
    "multiline": {"enabled": True, "pattern": "^[^ ]"},
}


def opened(bench: Bench, **sections: Any) -> ProcessLog:
    return bench.hub.open("web", logging_of({"min_level": "debug", **sections}))


def drained(bench: Bench, log: ProcessLog, data: bytes) -> list[str]:
    """What is in the ring after an exit behind ``data``; the event loop is not needed for it."""
    capture, fd = bench.pipe(log)
    os.write(fd, data)
    os.close(fd)
    capture.drain(inf)
    assert capture.closed
    return [one.message for one in bench.hub.records("web", limit=10_000, newest_first=False)]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("redaction", [True, False])
async def test_what_cannot_be_parsed_stays_text_and_its_neighbours_are_there(
    bench: Bench, bad: str, redaction: bool
) -> None:
    stages = {key: value for key, value in STAGES.items() if redaction or key != "redaction"}
    found = drained(bench, opened(bench, **stages), f"before\n{bad}\nafter\n".encode())
    assert (found[0], found[-1], len(found)) == ("before", "after", 3)
    assert found[1] in (bad, "x", "xA", "\\ud800") or found[1].startswith(("x", "\\x"))
    records = await bench.finish()
    assert [record["msg"] for record in records] == found, "nothing else is said, and all of it is JSON"


async def test_a_line_nested_deeper_than_any_parser_goes(bench: Bench) -> None:
    found = drained(bench, opened(bench, **STAGES), f'a\n{{"msg":"x","deep":{DEEPEST[:40000]}\nb\n'.encode())
    assert (found[0], found[-1]) == ("a", "b")


@pytest.mark.parametrize("kind", ["text", "syslog", "otlp"])
async def test_no_output_fails_of_one(output: Output, tmp_path: Path, kind: str) -> None:
    output.start()
    collector = Collector()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "syslog"))
        target = {
            "text": OutputConfig(path=str(tmp_path / "out.log"), format=LogFormat.TEXT),
            "syslog": OutputConfig(address=f"unix://{tmp_path}/syslog"),
            "otlp": OutputConfig(address=collector.url),
        }[kind]
        bench = Bench(output, "text", outputs={"it": target})
        bench.hub.attach(asyncio.get_running_loop())
        lines = "\n".join([*BAD, "last"]).encode() + b"\n"
        assert len(drained(bench, opened(bench, **STAGES), lines)) == len(BAD) + 1
        received = server.recv if kind == "syslog" else None
        seen = [await asyncio.to_thread(received, 65536) for _ in range(len(BAD))] if received else []
        await bench.close()
        assert [one.dropped for one in bench.hub.outputs()] == [0, 0]
        assert not seen or b'uint="18446744073709551615"' in b"".join(seen)
    collector.close()
    assert "level=ERROR" not in output.finish().decode()


def test_numbers_in_otlp_are_what_they_were_or_text() -> None:
    fields = b'{"i":-9223372036854775808,"u":18446744073709551615,"n":1e999,"f":1.5,"l":[1,1e999],"b":true}'
    block = Block(1, WEB, LogLevel.INFO, b"x", single=True, fields=fields)
    encoded = OtlpFormat().encoder(WEB, {})(block)
    (record,) = json.loads(b"[" + encoded.data[:-1] + b"]")
    found = {one["key"]: one["value"] for one in record["attributes"]}
    assert found["i"] == {"intValue": "-9223372036854775808"}
    assert found["u"] == {"stringValue": "18446744073709551615"}
    assert found["n"] == {"stringValue": "1e999"}
    assert found["f"] == {"doubleValue": 1.5}
    assert found["l"] == {"stringValue": "[1,1e999]"}
    assert found["b"] == {"boolValue": True}


def failing(method: Callable[..., Any], word: str) -> Callable[..., Any]:
    """``method``, which raises for everything that has ``word`` in it."""

    def replaced(*args: Any) -> Any:
        if any(
            word in (getattr(arg, "text", arg) if not isinstance(arg, bytes) else arg.decode())
            for arg in args[1:]
            if isinstance(arg, str | bytes) or hasattr(arg, "text")
        ):
            raise RuntimeError("by the test")
        return method(*args)

    return replaced


@pytest.mark.parametrize(
    ("stage", "expected"),
    [(JsonLines, "bad"), (LevelDetection, "bad"), (Filters, "bad"), (Redaction, "***")],
)
async def test_a_stage_that_fails_costs_the_record_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stage: type[Any], expected: str
) -> None:
    monkeypatch.setattr(stage, "__call__", failing(stage.__call__, "bad"))
    stages = {key: value for key, value in STAGES.items() if key != "multiline"}
    log = opened(bench, **stages)
    assert drained(bench, log, b'one\nbad\n{"msg":"two"}\n') == ["one", expected, "two"]
    assert drained(bench, log, b"bad\nbad\n")[3:] == [expected, expected]
    said = [record for record in await bench.finish() if "stage" in record]
    assert len(said) == 1, "at intervals"
    assert (said[0]["level"], said[0]["process"]) == ("ERROR", "web")
    assert "by the test" in str(said[0]["error"])


async def test_lines_that_cannot_be_joined_are_records(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Joiner, "feed", failing(Joiner.feed, "bad"))
    log = opened(bench, multiline=STAGES["multiline"])
    assert drained(bench, log, b"bad\n at once\n") == ["bad", " at once"]
    assert drained(bench, log, b"good\n goes on\n")[2:] == ["good\n goes on"]


async def test_a_defect_of_all_stages_is_logged_and_reading_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Pipeline, "feed", lambda *_: 1 // 0)
        log = opened(bench, **STAGES)
        assert drained(bench, log, b"lost\n") == []
        assert drained(bench, log, b"lost\n" * 5000) == []
    assert drained(bench, log, b"there\n") == ["there"]
    errors = [record for record in await bench.finish() if record["level"] == "ERROR"]
    assert [error["msg"] for error in errors] == ["Records could not be logged"]
    assert "ZeroDivisionError" in str(errors[0]["traceback"])


async def test_an_encoder_that_fails_drops_and_counts_the_record(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.start()
    bench = Bench(output, outputs={"it": OutputConfig(path=str(tmp_path / "out"))})
    bench.hub.attach(asyncio.get_running_loop())
    call = JsonBlocks.__call__

    def broken(self: JsonBlocks, block: Any) -> Any:
        if b"bad" in block.data:
            raise RuntimeError("by the test")
        return call(self, block)

    monkeypatch.setattr(JsonBlocks, "__call__", broken)
    assert drained(bench, opened(bench), b"one\nbad\ntwo\n") == ["one", "bad", "two"]
    await until(lambda: [one.dropped for one in bench.hub.outputs()] == [1, 1])
    await bench.close()
    said = [json.loads(line) for line in output.finish().splitlines()]
    assert [one["msg"] for one in said if "stream" in one] == ["one", "two"]
    errors = [one["msg"] for one in said if one["level"] == "ERROR"]
    assert sorted(errors) == ["Log output cannot take a record", "Records could not be logged"]
    lines = [json.loads(line)["msg"] for line in (tmp_path / "out").read_text().splitlines()]
    assert [line for line in lines if len(line) < 5] == ["one", "two"]


@pytest.mark.parametrize("blocks", [SyslogBlocks, OtlpBlocks])
def test_fields_that_cannot_be_encoded_are_left_out(
    blocks: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:

    form = SyslogFormat(SyslogFacility.USER) if blocks is SyslogBlocks else OtlpFormat()
    block = Block(1, WEB, LogLevel.INFO, b"the message", single=True, fields=b"no JSON")
    errors: list[Exception] = []
    encoded, lost = encode_each(form.encoder(WEB, {}), [block], errors.append)
    assert (encoded.records, lost, len(errors)) == (1, 0, 1)
    assert b"the message" in encoded.data


async def test_an_exit_is_handled_when_its_pipe_cannot_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(bench)
    capture, fd = bench.pipe(log)
    os.write(fd, b"lost\n")
    with monkeypatch.context() as broken:
        broken.setattr(type(capture.streams[0]), "read_block", lambda _: 1 // 0)
        capture.drain(inf)
    os.write(fd, b"there\n")
    os.close(fd)
    capture.drain(inf)
    assert capture.closed
