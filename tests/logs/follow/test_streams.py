"""The files of a process, as records like any other."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import (
    FilterConfig,
    LevelDetectionConfig,
    LogFileConfig,
    LoggingConfig,
    LogLevel,
    MultilineConfig,
    OutputConfig,
    RedactionConfig,
    RedactionPattern,
    RotateConfig,
)
from cbox_init.logs.filter import LogFilter
from cbox_init.logs.follow.streams import FileStream
from cbox_init.logs.past import BlockSlice
from tests.logs.conftest import Bench, Output, until
from tests.logs.follow.conftest import append, numbers, open_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cbox_init.logs.follow.growing_file import FileRead

pytestmark = pytest.mark.usefixtures("patient_searches")


def ring(bench: Bench, process: str = "web") -> list[str]:
    return [record.message for record in bench.hub.records(process, limit=10_000, newest_first=False)]


async def test_a_line_of_a_file_is_a_record_of_the_process(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    files = {"laravel": LogFileConfig(path=str(path))}
    bench.hub.open("web", LoggingConfig(labels={"team": "shop"}, files=files))
    with bench.hub.subscribe(LogFilter(processes=frozenset(("web",)))) as follow:
        append(path, "hello")
        await until(lambda: follow.pending)
        part = follow.take()
    assert isinstance(part, BlockSlice)
    assert part.entry.block.source == ("web", "laravel", "file")
    assert ring(bench) == ["hello"]
    (written,) = await bench.finish()
    assert (written["msg"], written["stream"], written["instance_id"]) == ("hello", "file", "laravel")
    assert written["labels"] == {"team": "shop"}


async def test_what_was_written_before_there_was_a_loop_is_read(output: Output, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, "before the daemon")
    bench = Bench(output)
    output.start()
    bench.hub.open("web", LoggingConfig(files={"app": LogFileConfig(path=str(path))}))
    append(path, "after the start")
    bench.hub.attach(asyncio.get_running_loop())
    await until(lambda: ring(bench) == ["after the start"])
    await bench.finish()


async def test_a_file_has_stages_of_its_own_and_the_redaction_of_its_process(
    bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    file = LogFileConfig(
        path=str(path),
        min_level=LogLevel.ERROR,
        multiline=MultilineConfig(enabled=True, pattern="^[0-9]"),
        level_detection=LevelDetectionConfig(enabled=True, patterns={"error": "Exception"}),
        filters=FilterConfig(exclude=("healthz",)),
    )
    redaction = RedactionConfig(enabled=True, patterns=(RedactionPattern(pattern="hunter2"),))
    log = bench.hub.open("web", LoggingConfig(redaction=redaction, files={"app": file}))
    append(path, "1 Exception hunter2", "  at line 1", "2 GET /healthz", "3 fine", "4 last")
    await until(lambda: len(ring(bench)) >= 2)
    _, fd = bench.pipe(log)
    os.write(fd, b"healthz is not filtered here, hunter2\n")
    os.close(fd)
    records = await bench.finish()
    assert ring(bench)[:2] == ["1 Exception ***\n  at line 1", "3 fine"]
    assert sorted(str(record["msg"]) for record in records) == [
        "1 Exception ***\n  at line 1",
        "healthz is not filtered here, ***",
    ]
    assert "4 last" in ring(bench)


async def test_a_secret_across_the_cut_of_a_long_line_is_masked(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    redaction = RedactionConfig(enabled=True, patterns=(RedactionPattern(pattern="hunter[0-9]+"),))
    files = {"app": LogFileConfig(path=str(path))}
    bench.hub.open("web", LoggingConfig(redaction=redaction, files=files))
    append(path, "x" * (64 * 1024 - 4) + "hunter22222" + "y" * 1000)
    records = await bench.finish()
    text = "".join(str(record["msg"]) for record in records)
    assert text == "x" * (64 * 1024 - 4) + "***" + "y" * 1000


async def test_the_records_of_files_go_to_the_outputs_of_their_process(bench: Bench, tmp_path: Path) -> None:
    path, copy = tmp_path / "app.log", tmp_path / "copy.log"
    bench.hub.open(
        "web",
        LoggingConfig(
            files={"app": LogFileConfig(path=str(path))}, outputs={"copy": OutputConfig(path=str(copy))}
        ),
    )
    append(path, *numbers(1000))
    await until(lambda: len(ring(bench)) == 1000)
    await bench.finish()
    assert [json.loads(line)["msg"] for line in copy.read_text().splitlines()] == numbers(1000)


async def test_other_files_after_a_reload(bench: Bench, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    one, other = LogFileConfig(path=str(first)), LogFileConfig(path=str(second))
    bench.hub.open("web", LoggingConfig(files={"one": one}))
    append(first, "1")
    await until(lambda: ring(bench) == ["1"])
    append(first, "2")
    bench.hub.open("web", LoggingConfig(files={"one": one, "other": other}))
    append(second, "3")
    await until(lambda: sorted(ring(bench)) == ["1", "2", "3"])
    rotated = LogFileConfig(path=str(second), rotate=RotateConfig(max_size=10, max_files=2))
    bench.hub.open("web", LoggingConfig(files={"other": rotated}))
    append(second, "longer than that")
    await until(lambda: ring(bench)[-1] == "longer than that")
    await until(lambda: second.with_name("second.log.1").exists())
    await until(lambda: not open_files(first), what="the close of the first")
    bench.hub.open("web", LoggingConfig())
    await until(lambda: not open_files(second), what="the close of the second")
    await bench.finish()


async def test_a_process_that_is_forgotten_is_read_to_the_end(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    bench.hub.open("web", LoggingConfig(files={"app": LogFileConfig(path=str(path))}))
    append(path, *numbers(20_000))
    bench.hub.forget("web")
    records = await bench.finish()
    assert [record["msg"] for record in records] == numbers(20_000)


async def test_while_standard_output_is_full_files_wait(output: Output, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    log = bench.hub.open("web", LoggingConfig(files={"app": LogFileConfig(path=str(path))}))
    append(path, *numbers(200_000))
    await until(log.held, what="the full queue")
    await until(lambda: bench.stdout.queued > 0)
    assert bench.stdout.queued < 2_000_000
    output.start()
    records = await bench.finish()
    assert [record["msg"] for record in records] == numbers(200_000)


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
@pytest.mark.parametrize("exists", [True, False])
async def test_a_file_that_an_output_writes_to_is_not_followed(
    output: Output, tmp_path: Path, kind: str, exists: bool
) -> None:
    """Under whichever name: each line would be read, and written, for ever."""
    output.start()
    followed, written = tmp_path / "app.log", tmp_path / "out.log"
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    if exists or kind == "hard":
        written.touch()
    link = followed.symlink_to if kind == "symbolic" else followed.hardlink_to
    if exists:
        link(written)
    logging = LoggingConfig(
        files={"app": LogFileConfig(path=str(followed))}, outputs={"out": OutputConfig(path=str(written))}
    )
    log = bench.hub.open("web", logging)
    _, fd = bench.pipe(log)
    os.write(fd, b"one\n")
    await until(lambda: "one" in written.read_text() if written.exists() else False)
    if not exists:
        link(written)
    for _ in range(5):
        os.write(fd, b"more\n")
        await until(lambda: bench.hub.outputs()[1].queued_bytes == 0)
        await asyncio.sleep(0.02)
    os.close(fd)
    records = await bench.finish()
    assert "Log file cannot be followed" in [record["msg"] for record in records]
    lines = [record for record in records if record.get("stream") == "file"]
    assert len(lines) <= 4, "what was read before the output had opened it"


async def test_standard_output_that_is_a_file_is_not_followed(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from pathlib import Path
from cbox_init.config.model import LogFileConfig, LoggingConfig
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.hub import LogHub

async def main():
    hub = LogHub(fmt="json", level=LogLevel.INFO, timestamps=False, stdout=DescriptorWriter())
    hub.attach(asyncio.get_running_loop())
    hub.open("web", LoggingConfig(files={"app": LogFileConfig(path=sys.argv[1])}))
    hub.daemon.info("one")
    async with asyncio.timeout(20):
        while b"cannot be followed" not in Path(sys.argv[1]).read_bytes():
            await asyncio.sleep(0.01)
    await hub.close(5)

asyncio.run(main())
"""
    path = tmp_path / "out"
    with path.open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(path), stdout=out, stderr=asyncio.subprocess.PIPE
        )
    _, errors = await child.communicate()
    assert errors == b""
    messages = [json.loads(line)["msg"] for line in path.read_text().splitlines()]
    assert sorted(map(str, messages)) == ["Log file cannot be followed", "one"]  # of two threads


async def test_the_blocks_of_many_files_come_in_many_turns(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one in each turn of the event loop: a block may take 30 ms."""
    monkeypatch.setattr("cbox_init.logs.follow.follower.TURN_S", 0.0)
    paths = {f"f{number}": tmp_path / f"{number}.log" for number in range(20)}
    files = {name: LogFileConfig(path=str(path)) for name, path in paths.items()}
    turn = 0
    taken: list[int] = []
    take = FileStream.take

    def note(stream: FileStream, reads: Sequence[FileRead]) -> None:
        taken.append(turn)
        take(stream, reads)

    monkeypatch.setattr(FileStream, "take", note)
    for path in paths.values():
        append(path, "there before")
    bench.hub.open("web", LoggingConfig(files=files))
    await until(lambda: len(open_files(tmp_path)) == len(paths))
    follower = bench.hub._follower
    assert follower is not None
    follower._goes_on = True  # takes nothing until all were read
    for path in paths.values():
        append(path, "line")
    await until(lambda: len(follower._told) == len(paths))
    follower._go_on_taking()
    while len(taken) < len(paths):
        turn += 1
        await asyncio.sleep(0)
    assert max(map(taken.count, taken)) == 1
    assert ring(bench).count("line") == len(paths)
