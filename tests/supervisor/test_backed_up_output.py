"""Standard output that nobody reads: what has to be kept for it is bounded, also when children crash."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from cbox_init.core.states import State
from cbox_init.logs.writer import BACKLOG_LIMIT

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

LARGE = "x" * 64 * 1024
PIPE_BYTES = 1024 * 1024

TEXT = """
processes:
  web: {command: [sleep, "1000"]}
"""


def _back_up(house: House) -> int:
    read_end = house.block_output()
    for _ in range((BACKLOG_LIMIT + PIPE_BYTES) // len(LARGE) + 1):
        house.runtime.log.info(LARGE)
    return read_end


def _read_all(read_end: int) -> None:
    with open(read_end, "rb") as pipe:
        while pipe.read(65536):
            pass


async def test_nothing_is_started_until_output_flows_again(build: Build) -> None:
    house = build(TEXT, start=False)
    read_end = _back_up(house)
    house.supervisor.start("web")
    house.runtime.run_queue.run(10)
    assert house.pids("web") == []
    Thread(target=_read_all, args=(read_end,), daemon=True).start()
    await house.until_state("web", State.RUNNING)


async def test_a_rollout_keeps_the_old_until_output_flows_again(build: Build) -> None:
    house = build(TEXT)
    await house.until_state("web", State.RUNNING)
    pids = house.pids("web")
    read_end = _back_up(house)
    house.supervisor.restart("web")
    house.runtime.run_queue.run(10)
    assert house.pids("web") == pids
    assert house.state("web") is State.RUNNING
    Thread(target=_read_all, args=(read_end,), daemon=True).start()
    await house.until_restarted("web", 1)


async def test_a_stop_does_not_wait_for_output(build: Build) -> None:
    house = build(TEXT)
    await house.until_state("web", State.RUNNING)
    read_end = _back_up(house)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    Thread(target=_read_all, args=(read_end,), daemon=True).start()
