"""The stages between real pipes, the ring, followers and standard output."""

from __future__ import annotations

import asyncio
import os
import time
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.logs.filter import LogFilter
from cbox_init.logs.past import BlockSlice
from tests.logs.conftest import DEADLINE_S, Bench, PeakMemory, until
from tests.logs.stages.helpers import logging_of

if TYPE_CHECKING:
    from cbox_init.logs.capture import Capture
    from cbox_init.logs.process import ProcessLog

pytestmark = pytest.mark.usefixtures("patient_searches")

SECRET = {"redaction": {"enabled": True, "patterns": [{"pattern": "hunter2"}]}}


def opened(bench: Bench, section: dict[str, Any], name: str = "web") -> ProcessLog:
    return bench.hub.open(name, logging_of({"min_level": "debug", **section}))


def messages(records: list[dict[str, object]]) -> list[object]:
    return [record["msg"] for record in records if "stream" in record]


async def written(bench: Bench, log: ProcessLog, data: bytes) -> list[str]:
    """The lines in the ring once ``data`` has come, and the end of its stream."""
    capture, fd = bench.pipe(log)
    os.write(fd, data)
    os.close(fd)
    await until(lambda: capture.closed)
    return ring_of(bench)


def ring_of(bench: Bench) -> list[str]:
    return [one.message for one in bench.hub.records("web", limit=10_000, newest_first=False)]


async def test_a_secret_is_nowhere(bench: Bench) -> None:
    log = opened(bench, SECRET)
    wanted = LogFilter()
    with bench.hub.subscribe(wanted) as follow:
        assert await written(bench, log, b"pw hunter2\nplain\n") == ["pw ***", "plain"]
        parts = [part for part in iter(follow.take, None) if isinstance(part, BlockSlice)]
    followed = [record.message for part in parts for _, record in wanted.lines(part.entry.block)]
    assert followed == ["pw ***", "plain"]
    assert messages(await bench.finish()) == ["pw ***", "plain"]


async def test_both_streams_of_a_real_child(bench: Bench) -> None:
    section = {"level_detection": {"enabled": True}, "filters": {"exclude": ["noise"]}}
    capture, child = bench.spawn(
        opened(bench, section),
        "import sys; print('ERROR out'); print('noise'); print('WARN err', file=sys.stderr)",
    )
    await until(lambda: capture.closed)
    child.wait()
    records = await bench.finish()
    assert {(one["stream"], one["level"], one["msg"]) for one in records} == {
        ("stdout", "ERROR", "ERROR out"),
        ("stderr", "WARN", "WARN err"),
    }


async def test_the_least_level_is_for_standard_output_alone(bench: Bench) -> None:
    log = opened(bench, {"level_detection": {"enabled": True}, "min_level": "error"})
    assert len(await written(bench, log, b"DEBUG a\nERROR b\nc\n")) == 3
    assert messages(await bench.finish()) == ["ERROR b"]


async def test_a_quiet_record_is_complete_after_its_timeout(bench: Bench) -> None:
    section = {"multiline": {"enabled": True, "pattern": "^first", "timeout": 0.05}}
    log = opened(bench, section)
    captures: list[tuple[Capture, int]] = [bench.pipe(log, f"web-{number}") for number in range(50)]
    for _, fd in captures:
        os.write(fd, b"first\n  more\n")
    await until(lambda: len(ring_of(bench)) == 50, what="the records of streams that are still open")
    assert set(ring_of(bench)) == {"first\n  more"}
    for _, fd in captures:
        os.write(fd, b"  late\n")
        os.close(fd)
    await until(lambda: len(ring_of(bench)) == 100)
    assert ring_of(bench).count("  late") == 50


async def test_a_record_goes_on_while_its_lines_come(bench: Bench) -> None:
    section = {"multiline": {"enabled": True, "pattern": "^first", "timeout": 600}}
    _, fd = bench.pipe(opened(bench, section))
    for byte in b"first\n  by the byte\n":
        os.write(fd, bytes((byte,)))
        await asyncio.sleep(0)
    os.write(fd, b"first again\n")
    await until(lambda: len(ring_of(bench)) == 1)
    assert ring_of(bench) == ["first\n  by the byte"]
    os.close(fd)


async def test_the_last_record_of_a_child_is_there_at_its_exit(bench: Bench) -> None:
    section = {"multiline": {"enabled": True, "pattern": "^Traceback", "timeout": 600}}
    log = opened(bench, section)
    capture, child = bench.spawn(log, "import os; os.write(1, b'Traceback\\n  line\\n  last')")
    child.wait()
    capture.drain(inf)
    assert ring_of(bench) == ["Traceback\n  line\n  last"]


async def test_other_stages_count_for_captures_that_are_open(bench: Bench) -> None:
    multiline = {"multiline": {"enabled": True, "pattern": "^first", "timeout": 600}}
    log = opened(bench, multiline)
    _, fd = bench.pipe(log)
    os.write(fd, b"first\n hunter2\n")
    await until(lambda: log._captures[0].streams[0].lines._pipeline._joiner.open)  # type: ignore[union-attr]
    assert opened(bench, SECRET) is log
    assert ring_of(bench) == ["first\n hunter2"]
    os.write(fd, b"hunter2\n")
    await until(lambda: len(ring_of(bench)) == 2)
    opened(bench, {})
    os.write(fd, b"hunter2 again\n")
    await until(lambda: len(ring_of(bench)) == 3)
    os.close(fd)
    assert ring_of(bench)[1:] == ["***", "hunter2 again"]


async def test_what_was_dropped_is_said_once(bench: Bench) -> None:
    log = opened(bench, {"rate_limit": {"lines": 1, "burst": 10}})
    kept = await written(bench, log, b"".join(b"%d\n" % number for number in range(500)))
    assert kept == [str(number) for number in range(10)]
    await until(lambda: bench.stdout.queued == 0)
    records = await bench.finish()
    told = [record for record in records if "stream" not in record]
    assert [(one["level"], one["process"], one["lines"]) for one in told] == [("WARN", "web", 490)]


async def test_it_is_said_while_the_flood_goes_on(bench: Bench) -> None:
    log = opened(bench, {"rate_limit": {"lines": 1, "burst": 10}})
    capture, fd = bench.pipe(log)
    said: list[int] = []
    warn = bench.hub.daemon.warn

    def listen(message: str, **fields: Any) -> None:
        said.append(fields["lines"])
        warn(message, **fields)

    bench.hub.daemon.warn = listen  # type: ignore[method-assign]
    begun = time.monotonic()
    total = 0
    while len(said) < 2:
        total += os.write(fd, b"line\n" * 100) // 5
        await asyncio.sleep(0.01)
        assert time.monotonic() - begun < DEADLINE_S
    assert time.monotonic() - begun > 1.9
    os.close(fd)
    await until(lambda: capture.closed)
    await bench.close()
    assert total - 10 - 10 <= sum(said) <= total - 10


async def test_a_flood_through_stages_is_whole_and_takes_no_memory(bench: Bench) -> None:
    section = {
        **SECRET,
        "level_detection": {"enabled": True},
        "json": {"enabled": True, "extract_level": True},
        "multiline": {"enabled": True, "pattern": r"^\d"},
    }
    program = (
        "import os\n"
        "for n in range(100): os.write(1, b''.join(b'%d %d hunter2\\n' % (n, m) for m in range(500)))"
    )
    memory = PeakMemory()
    capture, child = bench.spawn(opened(bench, section), program)
    await until(lambda: capture.closed)
    child.wait()
    assert memory.growth < 20 * 1024 * 1024
    expected = [f"{n} {m} ***" for n in range(100) for m in range(500)]
    assert messages(await bench.finish()) == expected


async def test_fields_are_in_the_ring(bench: Bench) -> None:
    section = {"json": {"enabled": True, "extract_message": True, "merge_fields": True}}
    await written(bench, opened(bench, section), b'{"msg":"m","user":7}\n')
    (record,) = bench.hub.records("web", limit=5)
    assert (record.message, bytes(record.fields or b"")) == ("m", b'{"user":7}')
    (line,) = await bench.finish()
    assert (line["msg"], line["user"]) == ("m", 7)
