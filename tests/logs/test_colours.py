"""Colours on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.encode import output_format
from cbox_init.logs.encode.colours import Colours, wanted
from cbox_init.logs.record import Block, RecordSource

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[int]:
    leader, follower = pty.openpty()
    yield follower
    os.close(leader)
    os.close(follower)


@pytest.fixture
def pipe() -> Iterator[int]:
    read_end, write_end = os.pipe()
    yield write_end
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize(
    ("environ", "on_terminal", "on_pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_where_they_are_wanted(
    terminal: int, pipe: int, environ: dict[str, str], on_terminal: bool, on_pipe: bool
) -> None:
    assert wanted(environ, terminal) is on_terminal
    assert wanted(environ, pipe) is on_pipe


def test_each_process_has_its_own() -> None:
    form = output_format("text", timestamps=False, colours=Colours())

    def line(process: str, level: LogLevel = LogLevel.INFO, message: bytes = b"x") -> str:
        source = RecordSource(process, f"{process}-0", "stdout")
        return form.encoder(source, {})(Block(0, source, level, message)).data.decode()

    assert line("web") == "level=INFO msg=x\x1b[36m process=web instance_id=web-0 stream=stdout\x1b[0m\n"
    assert line("db", LogLevel.ERROR).startswith("level=\x1b[31mERROR\x1b[0m msg=x\x1b[32m process=db ")
    assert line("web", LogLevel.WARN).startswith("level=\x1b[33mWARN\x1b[0m msg=x\x1b[36m process=web ")
    assert form.message(0, LogLevel.WARN, "m", {"process": "web"}).decode() == (
        "level=\x1b[33mWARN\x1b[0m msg=m process=web\n"
    )


def test_what_a_child_writes_colours_nothing() -> None:
    form = output_format("text", timestamps=False, colours=Colours())
    source = RecordSource("web", "web-0", "stdout")
    written = form.encoder(source, {})(Block(0, source, LogLevel.INFO, b"\x1b[31mred")).data
    assert b'msg="\\x1b[31mred"' in written


def test_lines_of_a_block_each_have_them() -> None:
    form = output_format("text", timestamps=False, colours=Colours())
    source = RecordSource("web", "web-0", "stdout")
    plain = output_format("text", timestamps=False).encoder(source, {})
    block = Block(0, source, LogLevel.ERROR, b"a b\nc\n")
    for line, bare in zip(
        form.encoder(source, {})(block).data.split(b"\n"), plain(block).data.split(b"\n"), strict=True
    ):
        for code in (b"\x1b[31m", b"\x1b[36m", b"\x1b[0m"):
            line = line.replace(code, b"")
        assert line == bare
