"""Threads: their errors are contained, a refused start is an error to retry, results come to the loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from functools import partial

import pytest

from cbox_init.threads import NoThreadError, OneThread, call_in_loop, in_thread, start_thread, wait_in_thread

DEADLINE_S = 20.0


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)


def test_a_thread_has_its_name_and_no_signals_and_does_not_hold_up_the_end() -> None:
    seen: list[object] = []

    def work() -> None:
        seen.append(threading.current_thread().name)
        seen.append(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = start_thread(work, name="one", failed=seen.append)
    thread.join(DEADLINE_S)
    assert seen == ["one", True]
    assert thread.daemon


def test_an_error_is_given_to_its_owner() -> None:
    seen: list[str] = []
    thread = start_thread(lambda: 1 // 0, name="one", failed=lambda error: seen.append(repr(error)))
    thread.join(DEADLINE_S)
    assert len(seen) == 1
    assert "ZeroDivisionError" in seen[0]


@pytest.mark.usefixtures("no_threads")
async def test_a_thread_that_cannot_start_is_an_error_of_the_system() -> None:
    with pytest.raises(NoThreadError, match="no thread can be started for one"):
        start_thread(print, name="one", failed=print)
    with pytest.raises(OSError, match="no thread"):
        await in_thread(lambda: 1, name="two", timeout_s=DEADLINE_S)


async def test_what_work_gives_and_raises() -> None:
    assert await in_thread(lambda: 7, name="one", timeout_s=DEADLINE_S) == 7
    with pytest.raises(KeyError):
        await in_thread(partial(dict[str, int]().__getitem__, "x"), name="one", timeout_s=DEADLINE_S)


async def test_work_that_takes_too_long_is_left_alone() -> None:
    end, ended = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        end.wait(DEADLINE_S)
        call_in_loop(loop, ended.set)

    with pytest.raises(TimeoutError):
        await in_thread(work, name="one", timeout_s=0.01)
    end.set()
    async with asyncio.timeout(DEADLINE_S):
        await ended.wait()


def test_a_loop_that_is_closed_is_not_called() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    call_in_loop(loop, lambda: pytest.fail("called"))


def test_waiting_for_a_thread_ends_in_time() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        wait_in_thread(over.wait, name="one", timeout_s=0.05)
    over.set()
    assert wait_in_thread(lambda: 7, name="one", timeout_s=DEADLINE_S) == 7
    with pytest.raises(ZeroDivisionError):
        wait_in_thread(lambda: 1 // 0, name="one", timeout_s=DEADLINE_S)


def test_waiting_without_a_thread_is_an_error(no_threads: None) -> None:
    with pytest.raises(NoThreadError):
        wait_in_thread(lambda: 7, name="one", timeout_s=DEADLINE_S)


async def test_work_that_does_not_return_leaves_one_thread_however_often_it_is_tried() -> None:
    returns = threading.Event()
    one, begun = OneThread("one"), []

    def hang() -> bool:
        begun.append(1)
        return returns.wait(DEADLINE_S)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            await one.run(hang, timeout_s=0.05)
    assert len(begun) == 1
    returns.set()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                assert await one.run(lambda: 7, timeout_s=DEADLINE_S) == 7
            except TimeoutError:
                await asyncio.sleep(0.001)
            else:
                break
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda: 1 // 0, timeout_s=DEADLINE_S)
    assert await one.run(lambda: 8, timeout_s=DEADLINE_S) == 8


async def test_one_thread_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = OneThread("one")
    with monkeypatch.context() as lacking:
        lacking.setattr(threading.Thread, "start", refused)
        with pytest.raises(NoThreadError):
            await one.run(lambda: 7, timeout_s=DEADLINE_S)
    assert await one.run(lambda: 7, timeout_s=DEADLINE_S) == 7
