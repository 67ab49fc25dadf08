"""Which records go where, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from math import inf
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import (
    FilterConfig,
    LogFormat,
    LoggingConfig,
    LogLevel,
    LogOverflow,
    OutputConfig,
    OutputType,
    RotateConfig,
)
from cbox_init.logs import all_outputs, patience
from cbox_init.logs.outputs import destinations
from tests.logs.conftest import Bench, Output, PeakMemory, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from cbox_init.logs.process import ProcessLog

STDOUT_OFF = OutputConfig(type=OutputType.STDOUT, enabled=False)


@pytest.fixture
async def drained(output: Output) -> AsyncIterator[Output]:
    """Standard output that somebody reads."""
    output.start()
    yield output


def attached(output: Output, **settings: object) -> Bench:
    bench = Bench(output, **settings)  # type: ignore[arg-type]
    bench.hub.attach(asyncio.get_running_loop())
    return bench


def log_of(bench: Bench, name: str = "web", **outputs: OutputConfig) -> ProcessLog:
    return bench.hub.open(name, LoggingConfig(outputs=outputs, labels={"team": "shop"}))


def write(bench: Bench, log: ProcessLog, text: bytes, instance: str = "web-0") -> None:
    capture, fd = bench.pipe(log, instance)
    os.write(fd, text)
    os.close(fd)
    capture.drain(inf)


def messages(path: Path) -> list[str]:
    return [json.loads(line)["msg"] for line in path.read_text().splitlines()]


async def test_a_process_writes_to_several_places_at_once(drained: Output, tmp_path: Path) -> None:
    bench = attached(drained)
    log = log_of(
        bench,
        one=OutputConfig(path=str(tmp_path / "one.log")),
        two=OutputConfig(path=str(tmp_path / "two.log"), format=LogFormat.TEXT),
    )
    write(bench, log, b"hello\nworld\n")
    bench.hub.daemon.info("not of a process")
    assert [record["msg"] for record in await bench.finish()] == ["hello", "world", "not of a process"]
    assert messages(tmp_path / "one.log") == ["hello", "world"]
    (line, _) = (tmp_path / "two.log").read_text().splitlines()
    assert "msg=hello process=web instance_id=web-0 stream=stdout labels.team=shop" in line


async def test_an_output_of_all_has_the_daemons_messages_too(drained: Output, tmp_path: Path) -> None:
    everywhere = {"all": OutputConfig(path=str(tmp_path / "all.log"))}
    bench = attached(drained, outputs=everywhere)
    for name in ("web", "api"):
        write(bench, log_of(bench, name), f"from {name}\n".encode())
    bench.hub.daemon.info("from the daemon")
    assert len(await bench.finish()) == 3
    assert messages(tmp_path / "all.log") == ["from web", "from api", "from the daemon"]


async def test_standard_output_can_be_turned_off_for_one_and_for_all(drained: Output, tmp_path: Path) -> None:
    bench = attached(drained)
    write(
        bench, log_of(bench, "web", file=OutputConfig(path=str(tmp_path / "web.log")), o=STDOUT_OFF), b"a\n"
    )
    write(bench, log_of(bench, "api"), b"b\n")
    assert [record["msg"] for record in await bench.finish()] == ["b"]
    assert messages(tmp_path / "web.log") == ["a"]


async def test_off_for_all_is_off_for_the_daemon_but_not_for_who_wants_it(
    drained: Output, tmp_path: Path
) -> None:
    everywhere = {"o": STDOUT_OFF, "all": OutputConfig(path=str(tmp_path / "all.log"))}
    bench = attached(drained, outputs=everywhere)
    write(bench, log_of(bench, "web"), b"a\n")
    own = OutputConfig(type=OutputType.STDOUT, format=LogFormat.TEXT)
    write(bench, log_of(bench, "api", mine=own), b"b\n")
    bench.hub.daemon.info("c")
    await bench.close()
    (line,) = (await asyncio.to_thread(drained.finish)).decode().splitlines()
    assert " msg=b process=api" in line
    assert messages(tmp_path / "all.log") == ["a", "b", "c"]


async def test_an_output_of_its_own_takes_the_place_of_one_of_all(drained: Output, tmp_path: Path) -> None:
    path = tmp_path / "all.log"
    bench = attached(drained, outputs={"all": OutputConfig(path=str(path))})
    write(bench, log_of(bench, "web", x=OutputConfig(path=str(path), format=LogFormat.TEXT)), b"a\n")
    write(bench, log_of(bench, "api", x=OutputConfig(path=str(path), enabled=False)), b"b\n")
    write(bench, log_of(bench, "db"), b"c\n")
    await bench.finish()
    first, second = path.read_text().splitlines()
    assert "msg=a" in first
    assert json.loads(second)["msg"] == "c"


async def test_levels(drained: Output, tmp_path: Path) -> None:
    everywhere = {
        "debug": OutputConfig(path=str(tmp_path / "debug.log"), min_level=LogLevel.DEBUG),
        "same": OutputConfig(path=str(tmp_path / "same.log")),
        "error": OutputConfig(path=str(tmp_path / "error.log"), min_level=LogLevel.ERROR),
    }
    bench = attached(drained, outputs=everywhere, level=LogLevel.WARN)
    for level in LogLevel:
        bench.hub.daemon.log(level, level.name)
    write(bench, log_of(bench), b"a line\n")  # INFO
    assert [record["msg"] for record in await bench.finish()] == ["WARN", "ERROR"]
    assert messages(tmp_path / "debug.log") == ["DEBUG", "INFO", "WARN", "ERROR", "a line"]
    assert messages(tmp_path / "same.log") == ["WARN", "ERROR"]
    assert messages(tmp_path / "error.log") == ["ERROR"]


async def test_filters_of_one_output_are_of_no_concern_to_others(drained: Output, tmp_path: Path) -> None:
    only, without = tmp_path / "only.log", tmp_path / "without.log"
    everywhere = {"without": OutputConfig(path=str(without), filters=FilterConfig(exclude=("noise",)))}
    bench = attached(drained, outputs=everywhere)
    log = log_of(bench, only=OutputConfig(path=str(only), filters=FilterConfig(include=("^a",))))
    write(bench, log, b"apple\nnoise\n\xffbanana\navocado noise\n")
    bench.hub.daemon.info("noise of the daemon")
    assert len(await bench.finish()) == 5
    assert messages(only) == ["apple", "avocado noise"]
    assert messages(without) == ["apple", "\\xffbanana", "noise of the daemon"]
    assert [(one.written, one.dropped) for one in bench.hub.outputs()] == [(5, 0), (3, 0), (2, 0)]


async def test_a_file_for_each_process_and_each_instance(drained: Output, tmp_path: Path) -> None:
    path = f"{tmp_path}/${{CBOX_INIT_PROCESS_NAME}}/${{CBOX_INIT_INSTANCE_ID}}.log"
    bench = attached(drained, outputs={"each": OutputConfig(path=path)})
    log = log_of(bench)
    for number in range(200):
        write(bench, log, f"line {number}\n".encode(), f"web-{number}")
    write(bench, log, b"again\n", "web-0")
    write(bench, bench.hub.open("hooks/pre-start", LoggingConfig()), b"hook\n", "a/b")
    bench.hub.daemon.info("own")
    (_, each) = bench.hub.outputs()
    await bench.finish()
    (_, each) = bench.hub.outputs()
    assert messages(tmp_path / "web/web-0.log") == ["line 0", "again"]
    assert messages(tmp_path / "web/web-199.log") == ["line 199"]
    assert messages(tmp_path / "hooks-pre-start/a-b.log") == ["hook"]
    assert messages(tmp_path / "cbox-init/cbox-init.log") == ["own"]
    assert (each.target, each.written, each.dropped) == (path, 203, 0)


async def test_only_those_who_feed_a_full_output_are_held_back(drained: Output, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    bench = attached(drained)
    held = log_of(bench, "held", slow=OutputConfig(path=str(pipe)))
    program = "import os\nfor n in range(3000): os.write(1, b'%d' % n + b' x' * 500 + b'\\n')"
    slow, child = bench.spawn(held, program, "held-0")
    await until(lambda: held.held(), what="the full pipe")
    free, other = bench.spawn(bench.open("free"), program, "free-0")
    await until(lambda: free.closed, what="the end of the one that is free")
    assert held.held()
    assert not slow.closed
    os.set_blocking(reader, True)
    taken: list[bytes] = []
    task = asyncio.create_task(asyncio.to_thread(_read_lines, reader, 3000, taken))
    await until(lambda: slow.closed, what="the end of the one that was held")
    await task
    child.wait()
    other.wait()
    await bench.finish()
    lines = b"".join(taken).split(b"\n")[:-1]
    assert [json.loads(line)["msg"].split()[0] for line in lines] == [str(n) for n in range(3000)]


def _read_lines(fd: int, count: int, taken: list[bytes]) -> None:
    found = 0
    while found < count:
        data = os.read(fd, 65536)
        found += data.count(b"\n")
        taken.append(data)
    os.close(fd)


async def test_who_drops_is_not_held_back_and_all_is_counted(output: Output) -> None:
    bench = attached(output, overflow=LogOverflow.DROP)
    log = bench.open()
    capture, child = bench.spawn(log, "import os\nfor n in range(400): os.write(1, b'%d\\n' % n * 1000)")
    await until(lambda: capture.closed, what="the end of the flood")
    child.wait()
    (stdout,) = bench.hub.outputs()
    assert stdout.dropped > 0
    assert stdout.queued_bytes < 2_500_000
    bench.hub.daemon.info("the daemon is heard all the same")
    output.start()
    await until(lambda: bench.hub.outputs()[0].queued_bytes == 0, what="room")
    capture, child = bench.spawn(log, "print('afterwards')")
    await until(lambda: capture.closed)
    child.wait()
    records = await bench.finish()
    said = [record["dropped"] for record in records if record["msg"] == "Log records were dropped"]
    lines = [record for record in records if "stream" in record]
    assert lines[-1]["msg"] == "afterwards"
    assert "the daemon is heard all the same" in [record["msg"] for record in records]
    assert all(isinstance(count, int) for count in said)
    assert len(lines) - 1 + sum(count for count in said if isinstance(count, int)) == 400_000
    assert len(said) <= 3


async def test_a_network_peer_that_is_away_holds_up_nobody(drained: Output) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        bench = attached(drained, outputs={"far": OutputConfig(address=address)})
        capture, child = bench.spawn(bench.open(), "for n in range(200_000): print(n)")
        await until(lambda: capture.closed, what="the end of the child")
        child.wait()
        stdout, far = bench.hub.outputs()
        assert far.error == "Connection refused"
        assert far.dropped > 0
        assert (stdout.dropped, stdout.error) == (0, None)
        assert not await bench.hub.close(0.1)
    await bench.hub.close(0.1)
    bench._closed = True
    lines = (await asyncio.to_thread(drained.finish)).splitlines()
    assert sum(b'"stream"' in line for line in lines) == 200_000
    assert any(b'"msg":"Log records were dropped"' in line for line in lines)


async def test_a_flood_into_a_file_that_rotates(drained: Output, tmp_path: Path) -> None:
    bench = attached(drained)
    path = tmp_path / "app.log"
    rotate = RotateConfig(max_size=200_000, max_files=1000)
    log = log_of(bench, file=OutputConfig(path=str(path), rotate=rotate), o=STDOUT_OFF)
    memory = PeakMemory()
    capture, child = bench.spawn(log, "for n in range(100_000): print(n)")
    await until(lambda: capture.closed, what="the end of the child")
    child.wait()
    await bench.finish()
    assert list(_numbers(path)) == list(range(100_000))
    assert memory.growth < 40_000_000


def _numbers(path: Path) -> Iterator[int]:
    """The messages of a file and its rotated ones, the oldest first."""
    for name in [*(f"{path}.{number}" for number in range(1000, 0, -1)), str(path)]:
        if os.path.exists(name):
            with open(name, "rb") as file:
                for line in file:
                    yield int(json.loads(line)["msg"])


async def test_reopening_lets_others_move_the_files_away(drained: Output, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    bench = attached(drained)
    log = log_of(bench, file=OutputConfig(path=str(path)))
    write(bench, log, b"before\n")
    await until(lambda: path.exists() and bool(path.read_text()))
    path.rename(tmp_path / "old")
    bench.hub.reopen()
    await until(path.exists)
    write(bench, log, b"after\n")
    await bench.finish()
    assert (messages(tmp_path / "old"), messages(path)) == (["before"], ["after"])


async def test_other_outputs_after_a_reload(drained: Output, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    bench = attached(drained)
    write(bench, log_of(bench, file=OutputConfig(path=str(first))), b"one\n")
    write(bench, log_of(bench, file=OutputConfig(path=str(second))), b"two\n")
    await until(lambda: not _is_open(first), what="the close of the first")
    write(bench, log_of(bench, file=OutputConfig(path=str(first))), b"three\n")
    write(bench, log_of(bench), b"four\n")
    bench.hub.forget("web")
    assert [record["msg"] for record in await bench.finish()] == ["one", "two", "three", "four"]
    assert (messages(first), messages(second)) == (["one", "three"], ["two"])


def _is_open(path: Path) -> bool:
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return str(path) in [os.readlink(link) for link in links if os.path.islink(link)]


async def test_standard_error_is_an_output(drained: Output, capfd: pytest.CaptureFixture[str]) -> None:
    bench = attached(drained, outputs={"e": OutputConfig(type=OutputType.STDERR, min_level=LogLevel.ERROR)})
    bench.hub.daemon.error("bad")
    bench.hub.daemon.info("good")
    assert len(await bench.finish()) == 2
    assert [json.loads(line)["msg"] for line in capfd.readouterr().err.splitlines()] == ["bad"]


@pytest.mark.parametrize("kind", ["symbolic", "hard", "template"])
async def test_all_names_of_a_file_have_one_writer(drained: Output, tmp_path: Path, kind: str) -> None:
    real = tmp_path / "web.log"
    names = [str(real), str(tmp_path / "other.log")]
    if kind == "symbolic":
        (tmp_path / "other.log").symlink_to(real)
    elif kind == "hard":
        real.touch()
        os.link(real, tmp_path / "other.log")
    else:
        names = [f"{tmp_path}/${{CBOX_INIT_PROCESS_NAME}}.log", str(real)]
    rotate = RotateConfig(max_size=20_000, max_files=50)
    everywhere = OutputConfig(path=names[0], rotate=rotate)
    bench = attached(drained, outputs={"all": everywhere})
    log = log_of(bench, own=OutputConfig(path=names[1], rotate=rotate))
    before = {thread.ident for thread in threading.enumerate()}
    write(bench, log, b"".join(b"%d\n" % number for number in range(2000)))
    await until(lambda: all(one.queued_bytes == 0 for one in bench.hub.outputs()))
    new = [one for one in threading.enumerate() if one.ident not in before and one.name == "log-writer"]
    assert len(new) <= 2, "one for the file, one for standard output"
    await bench.close()
    expected = [str(number) for number in range(2000)]
    if kind == "template":  # two outputs of the configuration: each line twice, in one file
        expected = [number for number in expected for _ in range(2)]
    assert sorted(_rotated(tmp_path / "web.log", 20_000)) == sorted(expected)


def _rotated(path: Path, size: int) -> list[str]:
    """The messages in all files, none of which is larger than ``size``."""
    files = list(path.parent.glob(f"{path.name}*"))
    assert len(files) > 5
    assert all(file.stat().st_size <= size for file in files)
    return [message for file in files for message in messages(file)]


async def test_files_by_name_take_records_and_messages_of_any_thread(drained: Output, tmp_path: Path) -> None:
    """More of them than are open at a time, so that they are closed and opened all the while."""
    template = OutputConfig(path=f"{tmp_path}/${{CBOX_INIT_INSTANCE_ID}}.log")
    bench = attached(drained, outputs={"all": template})
    log = log_of(bench)
    stop = threading.Event()
    said = [0] * 3

    def say(number: int) -> None:
        while not stop.is_set():
            bench.hub.daemon.info("said", thread=number)
            said[number] += 1
            stop.wait(0.0005)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(3):
        for instance in range(100):
            write(bench, log, b"turn %d\n" % turn, f"web-{instance}")
    stop.set()
    for thread in threads:
        thread.join()
    await bench.close()
    for instance in range(100):
        assert messages(tmp_path / f"web-{instance}.log") == ["turn 0", "turn 1", "turn 2"]
    assert messages(tmp_path / "cbox-init.log").count("said") == sum(said)


async def test_what_can_never_be_written_holds_up_nobody_and_is_counted(
    drained: Output, tmp_path: Path
) -> None:
    bench = attached(drained)
    log = log_of(bench, own=OutputConfig(path=str(tmp_path)), stdout=STDOUT_OFF)
    capture, fd = bench.pipe(log)
    await asyncio.to_thread(_write_all, fd, b"x" * 99 + b"\n", 50_000)
    await until(lambda: capture.closed)
    await until(lambda: bench.hub.outputs()[1].dropped == 50_000)
    assert bench.hub.outputs()[1].error == "Is a directory"
    await bench.close()
    said = [json.loads(line) for line in (await asyncio.to_thread(drained.finish)).splitlines()]
    assert sum(one["dropped"] for one in said if one["msg"] == "Log records were dropped") == 50_000
    assert [one["msg"] for one in said if one["level"] == "ERROR"] == ["Log output cannot be written"]


def _write_all(fd: int, line: bytes, count: int) -> None:
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(line * count)


async def test_dropped_records_are_said_ever_more_seldom(
    drained: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_outputs, "_TELL_AFTER_S", 0.05)
    bench = attached(drained)
    log = log_of(bench, own=OutputConfig(path=str(tmp_path)), stdout=STDOUT_OFF)
    until_s = time.monotonic() + 1.5
    lines = 0
    while time.monotonic() < until_s:
        write(bench, log, b"lost\n")
        lines += 1
        await asyncio.sleep(0.005)
    await until(lambda: bench.hub.outputs()[1].dropped == lines)
    await bench.close()
    said = [json.loads(line) for line in (await asyncio.to_thread(drained.finish)).splitlines()]
    told = [one["dropped"] for one in said if one["msg"] == "Log records were dropped"]
    assert sum(told) == lines
    assert 2 <= len(told) <= 8, "0.05 s apart, 0.1, 0.2, …"


async def test_a_file_system_that_does_not_answer_holds_up_nothing(
    drained: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    asked: list[str] = []

    def real(path: str) -> str:
        if "/hangs/" in path:
            asked.append(path)
            assert answers.wait(20)
        return os.path.realpath(path)

    monkeypatch.setattr(destinations, "real_path", real)
    monkeypatch.setattr(patience, "_LATE_WAITS_S", 0.05)
    bench = attached(drained)
    began = time.monotonic()
    logs = {
        number: log_of(bench, f"web{number}", own=OutputConfig(path=f"{tmp_path}/hangs/{number}.log"))
        for number in range(20)
    }
    log = log_of(bench, own=OutputConfig(path=f"{tmp_path}/own.log"))
    assert time.monotonic() - began < 5
    assert len(asked) == destinations._MOST_ASKED
    write(bench, log, b"one\n")
    await until((tmp_path / "own.log").exists)
    answers.set()
    write(bench, logs[19], b"two\n")
    await until((tmp_path / "hangs" / "19.log").exists)
    again = log_of(bench, "again", own=OutputConfig(path=f"{tmp_path}/hangs/../own.log"))
    assert again.destinations == log.destinations
    await bench.close()
