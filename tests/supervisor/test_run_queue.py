"""Who gets a look, when, and for how long."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import TYPE_CHECKING

from cbox_init.supervisor.run_queue import RunQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Counter:
    """Counts its looks, and wants the next at the times that a test gives."""

    def __init__(self, *times: float | None) -> None:
        self.looks: list[float] = []
        self._times = list(times)

    def reconcile(self, stop_at: float) -> float | None:
        assert stop_at > time.monotonic() - 20
        self.looks.append(time.monotonic())
        return self._times.pop(0) if self._times else None


def test_it_works_without_an_event_loop_and_in_the_order_of_asking() -> None:
    run_queue, first, second = RunQueue(), Counter(), Counter()
    run_queue.wake(second)
    run_queue.wake(first)
    run_queue.wake(second)
    run_queue.run(10)
    assert len(first.looks) == len(second.looks) == 1
    assert second.looks < first.looks


def test_a_slice_that_is_over_leaves_the_rest_for_the_next() -> None:
    run_queue, others = RunQueue(), [Counter() for _ in range(3)]
    for other in others:
        run_queue.wake(other)
    run_queue.run(0)
    assert [len(other.looks) for other in others] == [1, 0, 0]
    run_queue.run(10)
    assert [len(other.looks) for other in others] == [1, 1, 1]


def test_who_has_not_finished_comes_again_behind_the_others() -> None:
    run_queue, busy, other = RunQueue(), Counter(0.0, 0.0), Counter()
    run_queue.wake(busy)
    run_queue.wake(other)
    run_queue.run(10)
    assert len(busy.looks) == 3
    assert busy.looks[0] < other.looks[0] < busy.looks[1]


async def test_a_time_that_is_asked_for_is_kept_and_the_last_one_counts() -> None:
    run_queue = RunQueue()
    start = time.monotonic()
    counter = Counter(start + 1000, start + 0.05)
    run_queue.attach(asyncio.get_running_loop())
    run_queue.wake(counter)
    await _until(lambda: len(counter.looks) == 1)
    run_queue.wake(counter)
    await _until(lambda: len(counter.looks) == 3)
    assert counter.looks[2] >= start + 0.05


async def test_an_earlier_time_moves_the_timer() -> None:
    run_queue = RunQueue()
    start = time.monotonic()
    late, early = Counter(start + 1000), Counter(start + 0.02)
    run_queue.attach(asyncio.get_running_loop())
    run_queue.wake(late)
    run_queue.wake(early)
    await _until(lambda: len(early.looks) == 2)
    assert len(late.looks) == 1


async def test_who_is_forgotten_gets_no_more_looks() -> None:
    run_queue = RunQueue()
    gone, other = Counter(time.monotonic() + 0.01), Counter(time.monotonic() + 0.03)
    run_queue.wake(gone)
    run_queue.wake(other)
    run_queue.run(0)  # the first alone
    run_queue.forget(gone)
    run_queue.attach(asyncio.get_running_loop())
    await _until(lambda: len(other.looks) == 2)
    assert len(gone.looks) == 1


async def test_a_look_that_fails_is_taken_again_and_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cbox_init.supervisor.run_queue.RETRY_S", 0.01)

    class Broken:
        def reconcile(self, stop_at: float) -> float | None:
            raise ZeroDivisionError

    run_queue, other = RunQueue(), Counter()
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    run_queue.attach(loop)
    run_queue.wake(Broken())
    run_queue.wake(other)
    await _until(lambda: other.looks)
    await _until(lambda: len(failures) >= 3)
    assert all(isinstance(failure, ZeroDivisionError) for failure in failures)


async def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


async def test_a_turn_of_the_loop_has_one_slice_however_often_the_timer_rings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is always busy, and one that falls due meanwhile: a ring must not add a turn for good."""
    run_queue, loop = RunQueue(), asyncio.get_running_loop()
    slices: list[int] = []
    turn = 0

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    run = run_queue.run

    def noted(slice_s: float) -> None:
        slices.append(turn)
        run(slice_s)

    class Busy:
        def reconcile(self, stop_at: float) -> float:
            return 0.0

    class Ringing:
        looks = 0

        def reconcile(self, stop_at: float) -> float:
            self.looks += 1
            return time.monotonic() + 0.001

    monkeypatch.setattr(run_queue, "run", noted)
    monkeypatch.setattr("cbox_init.supervisor.run_queue.SLICE_S", 0.0005)
    ringing = Ringing()
    run_queue.attach(loop)
    loop.call_soon(count)
    run_queue.wake(Busy())
    run_queue.wake(ringing)
    end = loop.time() + 20
    while ringing.looks < 30:
        assert loop.time() < end
        await asyncio.sleep(0)
    assert max(slices.count(one) for one in set(slices)) <= 2


def test_what_was_forgotten_is_not_held_until_its_time() -> None:
    class Sleeper:
        def reconcile(self, stop_at: float) -> float:
            return time.monotonic() + 1_000_000

    queue = RunQueue()
    sleepers = [Sleeper() for _ in range(300)]
    for sleeper in sleepers:
        queue.wake(sleeper)
    queue.run(60)
    for sleeper in sleepers:
        queue.forget(sleeper)
    left = weakref.WeakSet(sleepers)
    del sleepers, sleeper
    assert len(left) < 100
