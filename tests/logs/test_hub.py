"""The hub as its users see it, and the messages of the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from math import inf
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.filter import LogFilter
from cbox_init.logs.hub import LogHub
from cbox_init.logs.past import BlockSlice, Past, Position
from cbox_init.logs.stdlib import forward_logging
from cbox_init.logs.subscription import BACKLOG_BYTES, Missed
from tests.logs.conftest import DEADLINE_S, Bench, Output, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.logs.process import ProcessLog


async def test_a_process_is_opened_once_and_updated(bench: Bench) -> None:
    log = bench.open(tier="old")
    capture, fd = bench.pipe(log)
    assert bench.open(tier="new") is log
    os.write(fd, b"line\n")
    os.close(fd)
    await until(lambda: capture.closed)
    assert (await bench.finish())[0]["labels"] == {"tier": "new"}


def say(bench: Bench, log: ProcessLog, data: bytes) -> None:
    """Have an instance of a process write, and have that read."""
    capture, fd = bench.pipe(log)
    os.write(fd, data)
    os.close(fd)
    capture.drain(inf)


async def test_records_of_one_of_all_and_of_none(bench: Bench) -> None:
    for name in ("web", "api"):
        capture, fd = bench.pipe(bench.open(name), f"{name}-0")
        os.write(fd, b"from %s\n" % name.encode())
        os.close(fd)
        capture.drain(inf)
    bench.hub.daemon.info("not among them")
    assert [record.message for record in bench.hub.records("web", limit=10)] == ["from web"]
    assert [record.process for record in bench.hub.records(None, limit=10)] == ["api", "web"]
    assert [record.process for record in bench.hub.records(None, limit=10, newest_first=False)] == [
        "web",
        "api",
    ]
    assert bench.hub.records("nobody", limit=10) == []


async def test_a_forgotten_process_has_no_records_and_no_open_pipes(bench: Bench) -> None:
    capture, fd = bench.pipe(bench.open())
    os.write(fd, b"last")
    bench.hub.forget("web")
    bench.hub.forget("web")
    assert capture.closed
    os.close(fd)
    assert bench.hub.records("web", limit=1) == []
    assert [record["msg"] for record in await bench.finish()] == ["last"]


def said(items: Iterable[BlockSlice | Missed | None]) -> list[tuple[str, str]]:
    """Process and message of each line among ``items``."""
    return [
        (record.process, record.message)
        for item in items
        if isinstance(item, BlockSlice)
        for record in item.entry.block.records()
    ]


async def test_followers_see_the_lines_as_they_come(bench: Bench) -> None:
    everything = bench.hub.subscribe(LogFilter())
    only_api = bench.hub.subscribe(LogFilter(processes=frozenset(("api",))))
    for name in ("web", "api"):
        say(bench, bench.open(name), b"hello\n")
    assert said((everything.take(), everything.take())) == [("web", "hello"), ("api", "hello")]
    assert said((only_api.take(),)) == [("api", "hello")]
    other = bench.hub.subscribe(LogFilter())  # wants the same as one who is there
    everything.close()
    say(bench, bench.open("api"), b"bye\n")
    assert said((other.take(), only_api.take(), everything.take())) == [("api", "bye")] * 2
    await bench.close()
    assert only_api.ended
    assert other.ended


async def test_what_is_kept_and_what_comes_fit_together(bench: Bench) -> None:
    web, api = bench.open("web"), bench.open("api")
    say(bench, web, b"old 1\nold 2\n")
    say(bench, api, b"old 3\n")
    past, follow = bench.hub.past(), bench.hub.subscribe(LogFilter())
    say(bench, web, b"new\n")
    assert [entry.number for entry in past.newest_first()] == [2, 1]
    assert (past.gone, past.end) == (0, Position(3))
    new = follow.take()
    assert isinstance(new, BlockSlice)
    assert new.entry.number == 3
    assert bench.hub.position == Position(4)
    assert [entry.number for entry in bench.hub.past(("web",)).newest_first()] == [3, 1]
    assert bench.hub.past(("nobody",)) == Past((), 0, Position(4))


async def test_what_is_no_longer_kept_is_known(bench: Bench) -> None:
    web = bench.open("web", ring_size=1000)
    for _ in range(5):
        say(bench, web, b"x" * 200 + b"\n")
    say(bench, bench.open("job"), b"done\n")
    assert (bench.hub.past(("web",)).gone, bench.hub.past(("job",)).gone) == (3, 0)
    bench.open("web", ring_size=500)
    assert bench.hub.past(("web",)).gone == 4
    bench.hub.forget("job")
    assert (bench.hub.past(("web",)).gone, bench.hub.past().gone) == (4, 6)


async def test_a_follower_that_reads_nothing_holds_up_nobody(bench: Bench) -> None:
    with bench.hub.subscribe(LogFilter()) as follow:
        program = "import os\nfor n in range(50): os.write(1, b'%d\\n' % n * 2000)"
        capture, child = bench.spawn(bench.open(), program)
        await until(lambda: capture.closed)
        child.wait()
        assert 0 < bench.hub.unread <= BACKLOG_BYTES
        missed = follow.take()
        assert isinstance(missed, Missed)
        assert missed.count
        lines = said(iter(follow.take, None))
        assert missed.count + len(lines) == 100_000
        assert lines[-1] == ("web", "49")
    assert len(await bench.finish()) == 100_000


@pytest.mark.parametrize("fmt", ["json", "text"])
async def test_the_daemons_messages_stand_among_the_childrens(output: Output, fmt: str) -> None:
    bench = Bench(output, fmt)
    daemon = bench.hub.daemon
    daemon.log(LogLevel.DEBUG, "below the level")
    daemon.info("before", process="web", pid=7, exit_code=None)
    capture, fd = bench.pipe(bench.open())
    os.write(fd, b"child\n")
    os.close(fd)
    capture.drain(inf)
    daemon.warn("after")
    daemon.error("last", error="broken")
    await bench.close()
    lines = (await asyncio.to_thread(output.finish)).decode().splitlines()
    assert len(lines) == 4
    for line, word in zip(lines, ("before", "child", "after", "last"), strict=True):
        assert word in line
    assert "exit_code" not in lines[0]
    assert ("stream" in lines[1], "stream" in lines[0]) == (True, False)
    assert [("ERROR" in line, "WARN" in line) for line in lines[2:]] == [(False, True), (True, False)]


async def test_closing_reads_what_the_pipes_still_hold(bench: Bench) -> None:
    _, fd = bench.pipe(bench.open())
    os.write(fd, b"one\ntwo")
    bench.hub.daemon.info("bye")
    records = await bench.finish()
    os.close(fd)
    assert sorted(str(record["msg"]) for record in records) == ["bye", "one", "two"]


async def test_closing_gives_up_on_an_output_that_nobody_reads(output: Output) -> None:
    hub = LogHub(fmt="json", level=LogLevel.INFO, timestamps=True, stdout=DescriptorWriter(output.fd))
    hub.attach(asyncio.get_running_loop())
    hub.daemon.info("x" * 3_000_000)
    assert not await hub.close(0.05)
    assert not hub.flush_sync(0.05)
    output.start()
    assert hub.flush_sync(DEADLINE_S)
    assert len(await asyncio.to_thread(output.finish)) > 3_000_000


def test_without_a_loop_an_exit_flushes() -> None:
    program = (
        "from cbox_init.logs.hub import LogHub\n"
        "from cbox_init.logs.descriptor_writer import DescriptorWriter\n"
        "from cbox_init.config.model import LogLevel; import sys\n"
        "hub = LogHub(fmt='text', level=LogLevel.INFO, timestamps=False, stdout=DescriptorWriter())\n"
        "for n in range(20000): hub.daemon.info('message', n=n)\n"
        "assert hub.flush_sync(20)\n"
        "assert not {'asyncio', 'logging'} & set(sys.modules), 'slow to import'\n"
    )
    child = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert child.stdout.decode().splitlines() == [f"level=INFO msg=message n={n}" for n in range(20000)]


async def test_libraries_speak_through_the_daemon(bench: Bench) -> None:
    name = "library.test"
    handler = forward_logging(bench.hub.daemon, [name])
    logger = logging.getLogger(name)
    try:
        logger.info("too low")
        logger.warning("watch %s", "out")
        logging.getLogger(f"{name}.error").error("no %d numbers", "fitting")
        try:
            raise OSError("gone")
        except OSError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    warning, misfit, failure = await bench.finish()
    assert (warning["level"], warning["msg"], warning["logger"]) == ("WARN", "watch out", name)
    assert (misfit["level"], misfit["msg"]) == ("ERROR", "no %d numbers")
    assert (failure["level"], failure["msg"], failure["error"]) == ("ERROR", "failed", "OSError: gone")
    assert "Traceback" in str(failure["traceback"])
