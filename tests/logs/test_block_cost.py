"""What a block of lines costs, in counts that no machine changes: calls, and objects that are kept."""

from __future__ import annotations

import gc
import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LoggingConfig
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.hub import LogHub
from cbox_init.logs.pace import READ_BYTES
from cbox_init.logs.ring import RING_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from cbox_init.logs.capture import PipeStream

LINE = b"something that a program has to say, as long as such lines are\n"

#: Calls of functions, in Python and in C, from the read of a block to its place in the ring and the stdout.
MOST_CALLS = 52

#: Objects that the ring keeps for a block: the entry and its block, bytes, time, number, and what holds them.
MOST_KEPT = 5


class Written(DescriptorWriter):
    """Takes everything, and keeps nothing."""

    def write(self, data: bytes, records: int = 1, source: object = None) -> None:
        pass


@pytest.fixture(params=["json", "text"])
def fed(request: pytest.FixtureRequest) -> Iterator[tuple[PipeStream, int]]:
    """A stream of a process without stages, and the end of the pipe that is read."""
    hub = LogHub(fmt=request.param, level=LogLevel.INFO, timestamps=True, stdout=Written())
    read_end, write_end = os.pipe()
    capture = hub.open("web", LoggingConfig()).capture("web-0", stdout=read_end, stderr=None)
    (stream,) = capture.streams
    yield stream, write_end
    capture.close()
    os.close(write_end)


def _calls(stream: PipeStream) -> int:
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        assert stream.read_block()
    finally:
        sys.setprofile(None)
    return count


def test_calls_are_of_the_block_not_of_its_lines(fed: tuple[PipeStream, int]) -> None:
    stream, pipe = fed
    found = []
    for lines in (1, 1, 10, READ_BYTES // len(LINE)):
        os.write(pipe, LINE * lines)
        found.append(_calls(stream))
    _, *found = found  # the first one makes what all others use
    assert max(found) - min(found) <= 3, "the time of a second is formatted once"
    assert max(found) <= MOST_CALLS


def test_a_full_ring_keeps_nothing_more(fed: tuple[PipeStream, int]) -> None:
    stream, pipe = fed
    block = LINE * (READ_BYTES // len(LINE))

    def feed(blocks: int) -> int:
        for _ in range(blocks):
            os.write(pipe, block)
            assert stream.read_block()
        gc.collect()
        return sys.getallocatedblocks()

    full = 2 * RING_BYTES // len(block)
    feed(full)
    counts = [feed(full) for _ in range(4)]
    # The interpreter keeps some of its own now and then; a block that were kept would be there each time.
    assert min(after - before for before, after in pairwise(counts)) <= full


def test_objects_that_a_block_leaves(fed: tuple[PipeStream, int]) -> None:
    stream, pipe = fed

    def feed(blocks: int) -> int:
        for _ in range(blocks):
            os.write(pipe, LINE)
            assert stream.read_block()
        gc.collect()
        return sys.getallocatedblocks()

    feed(20)
    before = feed(1)
    assert (feed(200) - before) / 200 <= MOST_KEPT
