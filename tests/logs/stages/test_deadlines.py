"""One timer for everything that is to be done later."""

from __future__ import annotations

import asyncio
import time

from cbox_init.logs.stages.deadlines import Deadlines
from tests.logs.conftest import until
from tests.logs.stages.helpers import unexpected


async def test_in_the_order_of_their_times() -> None:
    deadlines = Deadlines(unexpected)
    done: list[tuple[str, float]] = []
    begun = time.monotonic()
    deadlines.later(0.08, lambda: done.append(("late", time.monotonic() - begun)))
    deadlines.attach(asyncio.get_running_loop())
    deadlines.later(0.04, lambda: done.append(("early", time.monotonic() - begun)))
    await until(lambda: len(done) == 2)
    assert [name for name, _ in done] == ["early", "late"]
    assert done[0][1] > 0.03
    assert done[1][1] > 0.07


async def test_there_is_a_timer_only_while_something_waits() -> None:
    deadlines = Deadlines(unexpected)
    deadlines.attach(asyncio.get_running_loop())
    assert deadlines._timer is None
    done: list[int] = []
    deadlines.later(0.01, lambda: done.append(1))
    await until(lambda: bool(done))
    assert deadlines._timer is None


async def test_what_is_asked_for_while_called_back_comes_as_well() -> None:
    deadlines = Deadlines(unexpected)
    deadlines.attach(asyncio.get_running_loop())
    done: list[int] = []

    def again() -> None:
        done.append(len(done))
        if len(done) < 5:
            deadlines.later(0.0, again)

    deadlines.later(0.0, again)
    await until(lambda: done == [0, 1, 2, 3, 4])


async def test_one_that_fails_keeps_no_other_from_its_turn() -> None:
    failures: list[Exception] = []
    deadlines = Deadlines(failures.append)
    deadlines.attach(asyncio.get_running_loop())
    done: list[str] = []
    for name in ("first", "second", "third"):

        def callback(name: str = name) -> None:
            if name == "second":
                raise RuntimeError(name)
            done.append(name)

        deadlines.later(0.0, callback)
    await until(lambda: sorted(done) == ["first", "third"])
    assert [str(failure) for failure in failures] == ["second"]


async def test_what_waited_for_the_event_loop_is_called_by_it() -> None:
    deadlines = Deadlines(unexpected)
    done: list[int] = []
    deadlines.later(0.0, lambda: done.append(1))
    deadlines.attach(asyncio.get_running_loop())
    await until(lambda: done == [1])


async def test_an_earlier_call_replaces_the_timer_and_a_later_one_does_not() -> None:
    deadlines = Deadlines(unexpected)
    deadlines.attach(asyncio.get_running_loop())
    deadlines.later(1000.0, lambda: None)
    first = deadlines._timer
    deadlines.later(2000.0, lambda: None)
    assert deadlines._timer is first is not None
    assert not first.cancelled()
    deadlines.later(500.0, lambda: None)
    assert deadlines._timer is not first
    assert first.cancelled()
    deadlines.close()


async def test_nobody_is_called_back_after_the_end() -> None:
    deadlines, other = Deadlines(unexpected), Deadlines(unexpected)
    called: list[str] = []
    loop = asyncio.get_running_loop()
    for one in (deadlines, other):
        one.attach(loop)
    deadlines.later(0.0, lambda: called.append("before"))
    timer = deadlines._timer
    assert timer is not None
    deadlines.close()
    assert timer.cancelled()
    deadlines.later(0.0, lambda: called.append("after"))
    other.later(0.0, lambda: called.append("another's"))
    await until(lambda: bool(called))
    assert called == ["another's"]
    # Nor by another event loop, if one came.
    deadlines.close()
    deadlines.attach(loop)
    assert deadlines._timer is None
