"""The turns of the loop: short, and fair."""

from __future__ import annotations

import asyncio
import os
import select
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.pace import READ_BYTES
from cbox_init.logs.reader import TURN_S, PipeReader
from tests.logs.conftest import until
from tests.logs.stages.helpers import unexpected

if TYPE_CHECKING:
    from tests.logs.conftest import Output


class Slow:
    """Always has something to read, and takes half a turn's time for it."""

    failed = staticmethod(unexpected)

    def __init__(self, name: int, reads: list[int]) -> None:
        self._name = name
        self._reads = reads

    held = False

    def read_block(self) -> int:
        end = time.monotonic() + TURN_S / 2
        while time.monotonic() < end:
            pass
        self._reads.append(self._name)
        return 1


async def test_a_turn_is_bounded_and_everybody_gets_one(output: Output) -> None:
    loop = asyncio.get_running_loop()
    reader = PipeReader(DescriptorWriter(output.fd))
    reads: list[int] = []
    pipes = [os.pipe() for _ in range(10)]
    for number, (read_end, write_end) in enumerate(pipes):
        os.write(write_end, b"x")
        reader.add(read_end, Slow(number, reads))
    in_turns: list[int] = []
    done = False

    def tick() -> None:
        in_turns.append(len(reads))
        if not done:
            loop.call_soon(tick)

    tick()
    reader.attach(loop)
    await until(lambda: len(reads) >= 60)
    done = True
    for read_end, write_end in pipes:
        reader.remove(read_end)
        os.close(read_end)
        os.close(write_end)
    reader.close()
    assert max(later - earlier for earlier, later in pairwise(in_turns)) <= 2
    assert all(reads[start : start + 10] == reads[:10] for start in range(0, 60, 10))
    assert sorted(reads[:10]) == list(range(10))


class Counted:
    """Reads what is there, and says when."""

    failed = staticmethod(unexpected)

    def __init__(self, fd: int, size: int = 4096) -> None:
        self._fd = fd
        self._size = size
        self.turns: list[float] = []

    held = False

    def read_block(self) -> int:
        self.turns.append(time.monotonic())
        return len(os.read(self._fd, self._size))


async def test_hundreds_that_write_little_are_read_together_and_to_the_last_byte(output: Output) -> None:
    """Each writes again as soon as it has been read: without rests there would be a read for each write."""
    loop = asyncio.get_running_loop()
    reader = PipeReader(DescriptorWriter(output.fd))
    pipes = [os.pipe() for _ in range(100)]
    read = [Counted(read_end) for read_end, _ in pipes]
    for (read_end, _), counted in zip(pipes, read, strict=True):
        os.set_blocking(read_end, False)
        reader.add(read_end, counted)
    writes = 0

    def write() -> None:
        nonlocal writes
        for _, write_end in pipes:
            os.write(write_end, b"x")
        writes += 1
        if writes < 200:
            loop.call_soon(write)

    reader.attach(loop)
    write()
    await until(lambda: writes == 200)
    written = sum(len(counted.turns) for counted in read)
    assert written < 200 * len(pipes) / 2
    for _, write_end in pipes:
        os.write(write_end, b"last")
    await until(lambda: not _any_has_more(pipes))
    for read_end, write_end in pipes:
        reader.remove(read_end)
        os.close(read_end)
        os.close(write_end)
    reader.close()


def _any_has_more(pipes: list[tuple[int, int]]) -> bool:
    """Whether any of the pipes holds anything."""
    poll = select.poll()
    for read_end, _ in pipes:
        poll.register(read_end, select.POLLIN)
    return bool(poll.poll(0))


async def test_a_full_pipe_is_read_on_in_the_same_turn(output: Output) -> None:
    loop = asyncio.get_running_loop()
    reader = PipeReader(DescriptorWriter(output.fd))
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    counted = Counted(read_end, READ_BYTES)
    reader.add(read_end, counted)
    os.write(write_end, b"x" * (2 * READ_BYTES + 1))
    reads: list[int] = []

    def tick() -> None:
        reads.append(len(counted.turns))
        if reads[-1] < 3:
            loop.call_soon(tick)

    reader.attach(loop)
    tick()
    await until(lambda: reads[-1] == 3)
    assert set(reads) <= {0, 3}
    reader.remove(read_end)
    reader.close()
    os.close(read_end)
    os.close(write_end)
