"""Who is rung when, under a clock that jumps."""

from __future__ import annotations

import time
import weakref

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.hub import LogHub
from cbox_init.supervisor.run_queue import RunQueue
from cbox_init.supervisor.schedule.timetable import Timetable
from cbox_init.system.reaper import Reaper
from cbox_init.system.spawn import Spawner
from tests.supervisor.house import Clockwork

START = 1_800_000_000.0


class Bell:
    """Due at the given times; notes when it was rung."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)
        self.rung: list[float] = []

    def next_due(self, now: float) -> float | None:
        return next((at for at in self.times if at > now), None)

    def run_due(self, due: float, now: float) -> None:
        assert due <= now
        self.rung.append(due)


def timetable() -> tuple[Clockwork, Timetable]:
    hub = LogHub(fmt="json", level=LogLevel.ERROR, timestamps=True, stdout=DescriptorWriter(1))
    spawner = Spawner()
    runtime = Clockwork(run_queue=RunQueue(), spawner=spawner, reaper=Reaper(), log=hub.daemon, environ={})
    spawner.close()
    runtime.set_clock(START)
    return runtime, Timetable(runtime)


def look(table: Timetable) -> float | None:
    """A whole look; how long until the next."""
    at = table.reconcile(time.monotonic() + 60)
    return None if at is None else at - time.monotonic()


def test_it_sleeps_until_the_earliest_and_no_longer_than_it_may_blind() -> None:
    _, table = timetable()
    assert look(table) is None
    table.enter(Bell(START + 500))
    table.enter(Bell(START + 20, START + 600))
    wait = look(table)
    assert wait is not None
    assert 18 < wait <= 20
    table.enter(Bell())
    assert look(table) is not None


def test_with_no_word_from_the_kernel_it_looks_now_and_then() -> None:
    _, table = timetable()
    table.enter(Bell(START + 5000))
    wait = look(table)
    assert wait is not None
    assert wait <= 30


def test_it_rings_in_the_order_of_the_times_and_once() -> None:
    runtime, table = timetable()
    first, second = Bell(START + 20, START + 40), Bell(START + 10)
    table.enter(first)
    table.enter(second)
    look(table)
    runtime.set_clock(START + 30)
    look(table)
    look(table)
    assert (first.rung, second.rung) == ([START + 20], [START + 10])


def test_a_time_that_cannot_be_acted_on_keeps_no_other_from_its_turn() -> None:
    class Broken(Bell):
        def run_due(self, due: float, now: float) -> None:
            super().run_due(due, now)
            raise ZeroDivisionError

    runtime, table = timetable()
    first, second = Broken(START + 10, START + 30), Bell(START + 20)
    table.enter(first)
    table.enter(second)
    look(table)
    runtime.set_clock(START + 40)
    look(table)
    look(table)
    assert (first.rung, second.rung) == ([START + 10], [START + 20])
    assert runtime.defects.count == 1


def test_a_next_time_that_cannot_be_computed_is_tried_again() -> None:
    class Broken(Bell):
        broken = True

        def next_due(self, now: float) -> float | None:
            if self.broken:
                raise OSError(24, "Too many open files")
            return super().next_due(now)

    runtime, table = timetable()
    first, second = Broken(START + 10), Bell(START + 20)
    table.enter(first)
    table.enter(second)
    wait = look(table)
    assert wait is not None
    assert 0.5 < wait <= 1
    first.broken = False
    wait = look(table)
    assert wait is not None
    assert wait > 1
    runtime.set_clock(START + 25)
    look(table)
    assert (first.rung, second.rung) == ([START + 10], [START + 20])


def test_a_clock_that_is_set_back_has_everybody_asked_again() -> None:
    runtime, table = timetable()
    bell = Bell(START + 10, START + 1000)
    table.enter(bell)
    look(table)
    runtime.set_clock(START + 500)
    look(table)
    runtime.set_clock(START)
    wait = look(table)
    assert wait is not None
    assert wait <= 10
    runtime.set_clock(START + 11)
    look(table)
    assert bell.rung == [START + 10, START + 10]


def test_one_that_is_removed_is_not_rung() -> None:
    runtime, table = timetable()
    bell = Bell(START + 10)
    table.enter(bell)
    look(table)
    table.remove(bell)
    runtime.set_clock(START + 20)
    assert look(table) is None
    assert bell.rung == []


def test_a_slice_that_is_over_leaves_the_rest_for_the_next() -> None:
    runtime, table = timetable()
    bells = [Bell(START + 10) for _ in range(3)]
    for bell in bells:
        table.enter(bell)
    look(table)
    runtime.set_clock(START + 20)
    for count in (1, 2, 3):
        assert table.reconcile(0.0) == 0.0
        assert sum(len(bell.rung) for bell in bells) == count


def test_what_was_removed_is_not_held_until_its_time() -> None:
    _, table = timetable()
    bells = [Bell(START + 1_000_000 + number) for number in range(300)]
    for bell in bells:
        table.enter(bell)
    look(table)
    for bell in bells:
        table.remove(bell)
    left = weakref.WeakSet(bells)
    del bells, bell
    assert len(left) < 100
