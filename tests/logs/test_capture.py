"""Real pipes and real children: all of it, in order, whatever they write and however they end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from math import inf
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LogLevel
from cbox_init.logs.capture import PipeStream
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.encode import output_format
from cbox_init.logs.framing import LINE_LIMIT
from cbox_init.logs.lines import LineHandler
from cbox_init.logs.reader import PipeReader
from cbox_init.logs.record import RecordSource
from tests.logs.conftest import Bench, Output, PeakMemory, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.encode.base import BlockEncoder
    from cbox_init.logs.record import Block


def messages(records: list[dict[str, object]], stream: str | None = None) -> list[object]:
    return [record["msg"] for record in records if stream is None or record["stream"] == stream]


async def test_a_childs_lines_become_records(bench: Bench) -> None:
    log = bench.open(tier="front")
    capture, child = bench.spawn(log, "import sys; print('out'); print('err', file=sys.stderr)")
    await until(lambda: capture.closed)
    child.wait()
    records = await bench.finish()
    assert {record["stream"]: record["msg"] for record in records} == {"stdout": "out", "stderr": "err"}
    for record in records:
        assert list(record) == ["time", "level", "msg", "process", "instance_id", "stream", "labels"]
        assert (record["process"], record["instance_id"]) == ("web", "web-0")
        assert record["labels"] == {"tier": "front"}
        assert record["level"] == "INFO"


async def test_an_output_that_is_not_captured_is_left_alone(bench: Bench) -> None:
    assert bench.open().capture("web-0", stdout=None, stderr=None).closed


async def test_a_line_in_two_writes_is_one_record(bench: Bench) -> None:
    _, fd = bench.pipe(bench.open())
    os.write(fd, b"first half, ")
    await asyncio.sleep(0.05)
    os.write(fd, b"second half\n")
    await until(lambda: bench.stdout.queued == 0 and bool(bench.hub.records("web", limit=1)))
    os.close(fd)
    assert messages(await bench.finish()) == ["first half, second half"]


async def test_a_line_that_comes_byte_by_byte(bench: Bench) -> None:
    capture, child = bench.spawn(
        bench.open(), "import os\nfor b in b'slowly, \\xe2\\x82\\xac by byte\\n': os.write(1, bytes([b]))"
    )
    await until(lambda: capture.closed)
    child.wait()
    assert messages(await bench.finish()) == ["slowly, € by byte"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"nul \x00 and \x1b[31mred\x1b[0m\n", ["nul \x00 and \x1b[31mred\x1b[0m"]),
        (b"del \x7f here\nand none\n", ["del \x7f here", "and none"]),
        (b"caf\xe9\nfine\n", [r"caf\xe9", "fine"]),
        ("one\u2028record\n".encode(), ["one\u2028record"]),
        (b"windows\r\nline\r\n", ["windows", "line"]),
        (b"\n\n", ["", ""]),
    ],
)
async def test_unusual_bytes(bench: Bench, written: bytes, expected: list[str]) -> None:
    capture, fd = bench.pipe(bench.open())
    os.write(fd, written)
    os.close(fd)
    await until(lambda: capture.closed)
    assert messages(await bench.finish()) == expected


async def test_a_binary_flood_is_valid_json_and_whole(bench: Bench) -> None:
    program = "import os, random; r = random.Random(7)\nfor _ in range(16): os.write(1, r.randbytes(65536))"
    capture, child = bench.spawn(bench.open(), program)
    await until(lambda: capture.closed)
    child.wait()
    import random

    source = random.Random(7)
    data = b"".join(source.randbytes(65536) for _ in range(16))
    lines = [line.removesuffix(b"\r").decode("utf-8", "backslashreplace") for line in data.split(b"\n")]
    assert messages(await bench.finish()) == lines[: -1 if not lines[-1] else None]


async def test_a_line_of_64_mib_comes_in_parts_that_can_be_joined(output: Output) -> None:
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    parts: list[int] = []
    rest = b""

    def read() -> None:
        # Counted as it comes: kept whole it would hide what the hub holds.
        nonlocal rest
        while chunk := os.read(output.read_end, 1 << 20):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                is_part = b'"partial":true' in line[-200:]
                parts.append(line.count(b"x") if is_part else -line.count(b"x"))

    reading = asyncio.create_task(asyncio.to_thread(read))
    memory = PeakMemory()
    program = "import os\nfor _ in range(1024): os.write(1, b'x' * 65536)\nos.write(1, b'x\\nnext\\n')"
    capture, child = bench.spawn(bench.open(), program)
    await until(lambda: capture.closed)
    child.wait()
    await bench.close()
    output.close_write()
    await reading
    assert memory.growth < 20 * 1024 * 1024
    *whole, last, following = parts
    assert whole == [LINE_LIMIT] * 1024
    # The "x" in the two whole lines is their own; "next" has one.
    assert (last, following) == (-1, -1)


async def test_a_slow_stdout_holds_back_the_child_and_nothing_else(output: Output) -> None:
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    program = (
        "import os\nfor n in range(200): os.write(1, b''.join(b'%d %d\\n' % (n, m) for m in range(1000)))"
    )
    memory = PeakMemory()
    capture, child = bench.spawn(bench.open(), program)
    await until(lambda: bench.stdout.full)
    stalls = []
    for _ in range(50):
        start = time.monotonic()
        await asyncio.sleep(0.002)
        stalls.append(time.monotonic() - start)
    assert sorted(stalls)[25] < 1
    assert child.poll() is None, "the child is held back by its own pipe"
    assert not capture.closed
    assert memory.growth < 20 * 1024 * 1024
    bench.hub.daemon.info("still here")
    output.start()
    await until(lambda: capture.closed)
    child.wait()
    records = await bench.finish()
    assert messages([r for r in records if "stream" in r]) == [
        f"{n} {m}" for n in range(200) for m in range(1000)
    ]
    assert sum(record["msg"] == "still here" for record in records) == 1


async def test_children_go_on_when_stdout_is_closed(
    output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    output.close_read()
    capture, child = bench.spawn(
        bench.open(), "import os\nfor _ in range(100): os.write(1, b'x' * 99999 + b'\\n')\nprint('end')"
    )
    await until(lambda: capture.closed)
    assert child.wait() == 0
    assert bench.hub.records("web", limit=1)[0].message == "end"
    await bench.close()
    assert capfd.readouterr().err.count("\n") == 1


async def test_what_a_child_wrote_before_it_died_is_all_there_at_its_exit(bench: Bench) -> None:
    log = bench.open()
    program = "import os; os.write(1, b'a\\n' * 9000 + b'last words'); os.kill(os.getpid(), 9)"
    for number in range(30):
        capture, child = bench.spawn(log, program, f"web-{number}")
        child.wait()
        capture.drain(inf)
        (record,) = bench.hub.records("web", limit=1)
        assert (record.message, record.instance) == ("last words", f"web-{number}")
        assert capture.closed
    records = await bench.finish()
    assert messages(records) == (["a"] * 9000 + ["last words"]) * 30


async def test_a_drain_reads_a_pipe_that_was_full(bench: Bench) -> None:
    capture, fd = bench.pipe(bench.open())
    os.set_blocking(fd, False)
    written = 0
    while True:
        try:
            written += os.write(fd, b"0123456\n" * 512)
        except BlockingIOError:
            break
    os.close(fd)
    capture.drain(inf)
    assert capture.closed
    assert len(await bench.finish()) == written // 8


async def test_the_last_output_is_read_in_pieces_where_that_takes_long(bench: Bench) -> None:
    """A megabyte of short lines would hold up the event loop for a second."""
    log = bench.open()
    capture, fd = bench.pipe(log)
    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 512 * 1024)
    os.set_blocking(fd, False)
    written = os.write(fd, b"0123456\n" * (512 * 1024 // 8) + b"no end")
    os.close(fd)
    newest = log.ring.newest
    pieces = 0
    while not capture.drain(0.0):
        assert log.ring.newest == newest + 1  # a block
        newest = log.ring.newest
        pieces += 1
    assert capture.closed
    assert pieces >= 512 // 64
    lines = messages(await bench.finish())
    assert len(lines) == written // 8 + bool(written % 8)
    assert set(lines[:-1]) == {"0123456"}


@pytest.mark.parametrize("end", ["finish", "removal"])
async def test_what_is_left_of_an_enlarged_pipe_is_not_lost(bench: Bench, end: str) -> None:
    log = bench.open()
    capture, fd = bench.pipe(log)
    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 512 * 1024)
    os.write(fd, b"0123456\n" * 40_000)
    assert not capture.drain(0.0)
    os.close(fd)
    if end == "removal":
        bench.hub.forget("web")
        assert capture.closed
    assert len(await bench.finish()) == 40_000


def test_a_drain_ends_though_the_pipe_never_is_empty(output: Output) -> None:
    stdout = DescriptorWriter(output.fd)
    reader = PipeReader(stdout)
    read_end, write_end = os.pipe()
    reads = 0

    def refill(blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        nonlocal reads
        reads += 1
        assert reads < 1000, "the drain follows the flood"
        os.write(write_end, b"flood\n" * 1000)

    source = RecordSource("web", "web-0", "stdout")
    encoder = output_format("json", timestamps=True).encoder(source, {})
    lines = LineHandler(source, encoder, refill, None, lambda error: pytest.fail(repr(error)))
    stream = PipeStream(read_end, lines, reader, lambda: False)
    os.write(write_end, b"flood\n" * 1000)
    stream.drain()
    assert reads > 1
    assert not stream.closed
    stream.close()
    os.close(write_end)
    reader.close()


async def test_a_grandchild_that_keeps_the_pipe_is_read_to_its_end(bench: Bench) -> None:
    release, hold = os.pipe()
    program = f"""
import os
if os.fork() == 0:
    os.read({release}, 1)
    print("from the grandchild", flush=True)
    os._exit(0)
print("from the child", end="", flush=True)
os._exit(0)
"""
    capture, child = bench.spawn(bench.open(), program, pass_fds=(release,))
    child.wait()
    capture.drain(inf)
    assert [record.message for record in bench.hub.records("web", limit=5)] == ["from the child"]
    assert not capture.closed
    os.write(hold, b"x")
    await until(lambda: capture.closed)
    os.close(hold)
    os.close(release)
    assert messages(await bench.finish()) == ["from the child", "from the grandchild"]


async def test_closing_hands_on_what_was_read(bench: Bench) -> None:
    capture, fd = bench.pipe(bench.open())
    os.write(fd, b"no newline")
    capture.drain(inf)
    os.write(fd, b"more\nrest")
    await until(lambda: len(bench.hub.records("web", limit=5)) == 2)
    capture.close()
    capture.close()
    capture.drain(inf)
    with pytest.raises(BrokenPipeError):
        os.write(fd, b"x")
    os.close(fd)
    assert messages(await bench.finish()) == ["no newline", "more", "rest"]


async def test_many_children_share_the_turns(bench: Bench) -> None:
    log = bench.open()
    captures = []
    flood, flooding = bench.spawn(
        bench.open("noisy"), "import os\nwhile True: os.write(1, b'noise noise\\n' * 5000)", "noisy-0"
    )
    await until(lambda: bool(bench.hub.records("noisy", limit=1)))
    for number in range(200):
        capture, fd = bench.pipe(log, f"web-{number}")
        os.write(fd, b"line of %d\n" % number)
        os.close(fd)
        captures.append(capture)
    await until(lambda: all(capture.closed for capture in captures))
    flooding.kill()
    flooding.wait()
    await until(lambda: flood.closed)
    records = await bench.finish()
    assert sorted(messages([r for r in records if r["process"] == "web"]), key=str) == sorted(
        f"line of {number}" for number in range(200)
    )


async def test_what_comes_before_there_is_a_loop_is_read_when_there_is_one(output: Output) -> None:
    output.start()
    bench = Bench(output)
    capture, fd = bench.pipe(bench.open())
    bench.hub.daemon.info("started")
    os.write(fd, b"early\n")
    os.close(fd)
    assert bench.hub.records("web", limit=1) == []
    bench.hub.attach(asyncio.get_running_loop())
    await until(lambda: capture.closed)
    assert messages(await bench.finish()) == ["started", "early"]


@pytest.mark.parametrize(
    ("level", "min_level", "shown"),
    [
        (LogLevel.WARN, LogLevel.DEBUG, []),
        (LogLevel.DEBUG, LogLevel.WARN, []),
        (LogLevel.INFO, LogLevel.INFO, ["line"]),
    ],
)
async def test_lines_below_a_level_stay_in_the_ring(
    output: Output, level: LogLevel, min_level: LogLevel, shown: list[str]
) -> None:
    bench = Bench(output, level=level)
    capture, fd = bench.pipe(bench.open(min_level=min_level))
    os.write(fd, b"line\n")
    os.close(fd)
    capture.drain(inf)
    assert [record.message for record in bench.hub.records("web", limit=5)] == ["line"]
    assert messages(await bench.finish()) == shown
