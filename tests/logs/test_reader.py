"""The turns of the loop: short, and fair."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from cbox_init.logs.reader import TURN_S, Reader
from cbox_init.logs.sink import Sink
from tests.logs.conftest import until

if TYPE_CHECKING:
    from tests.logs.conftest import Output


class Slow:
    """Always has something to read, and takes half a turn's time for it."""

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
    reader = Reader(Sink(output.fd))
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
