"""The watchdog of a channel, with a clock that the test sets. This process plays the instance."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, cast

import pytest

from cbox_init.core.notify import NotifyState
from cbox_init.supervisor.instance.notify_channel import NotifyChannel

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

    from cbox_init.core.notify import NotifyMessage
    from cbox_init.supervisor.runtime import Runtime

WATCHDOG_S = 10.0


class Loop:
    """An event loop that reads when the test says so."""

    readers: dict[int, Callable[[], None]]

    def __init__(self) -> None:
        self.readers = {}

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]


class Scene:
    """A channel, what it has told, and a runtime for it."""

    def __init__(self, watchdog_s: float) -> None:
        self.time = time.monotonic()
        self.fake = Loop()
        self.loop: AbstractEventLoop | None = cast("AbstractEventLoop", self.fake)
        self.run_queue = self
        self.told: list[NotifyMessage] = []
        self.channel = NotifyChannel(
            "web-0",
            runtime=cast("Runtime", self),
            watchdog_s=watchdog_s,
            on_message=lambda pid, message: self.told.append(message),
        )
        self.address = self.channel.variables["NOTIFY_SOCKET"]
        self.channel.follow(os.getpid())

    def now(self) -> float:
        return self.time

    def wake(self, reconciler: object) -> None: ...

    def forget(self, reconciler: object) -> None: ...

    def send(self, *words: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            for word in words:
                out.sendto(word, f"\0{self.address[1:]}")

    def say(self, *words: bytes) -> None:
        """Send, and have it read at once."""
        self.look()
        self.send(*words)
        for read in tuple(self.fake.readers.values()):
            read()

    def look(self) -> float | None:
        """How long until the next look."""
        at = self.channel.reconcile(self.time)
        return None if at is None else at - self.time

    def passes(self, seconds: float) -> float | None:
        self.time += seconds
        return self.look()

    @property
    def failures(self) -> list[str]:
        return [message.failure for message in self.told if message.failure]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene(WATCHDOG_S)
    yield made
    made.channel.close()


def test_it_runs_from_ready_on(scene: Scene) -> None:
    scene.say(b"WATCHDOG=1")
    assert scene.passes(100) is None
    scene.say(b"READY=1")
    assert scene.look() == pytest.approx(WATCHDOG_S)
    assert scene.passes(10.1) is None
    assert scene.failures == ["no WATCHDOG=1 for 10 s"]
    assert scene.passes(100) is None, "it rings but once"


def test_each_sign_of_life_gives_all_of_its_time_and_is_told_to_nobody(scene: Scene) -> None:
    scene.say(b"READY=1")
    for _ in range(5):
        scene.passes(9)
        scene.say(b"WATCHDOG=1")
        assert scene.look() == pytest.approx(WATCHDOG_S)
    assert [message.states for message in scene.told] == [(NotifyState.READY,)]


def test_another_ready_is_no_sign_of_life(scene: Scene) -> None:
    scene.say(b"READY=1")
    scene.passes(9)
    scene.say(b"READY=1", b"STATUS=busy", b"RELOADING=1")
    assert scene.look() == pytest.approx(1)


def test_it_goes_on_in_a_reload_and_not_when_it_stops(scene: Scene) -> None:
    scene.say(b"READY=1", b"RELOADING=1")
    assert scene.look() == pytest.approx(WATCHDOG_S)
    scene.say(b"STOPPING=1")
    assert scene.passes(100) is None
    assert not scene.failures
    scene.say(b"READY=1")
    assert scene.look() == pytest.approx(WATCHDOG_S)


def test_what_was_not_read_in_time_was_in_time(scene: Scene) -> None:
    scene.say(b"READY=1")
    scene.send(b"X=1", b"STATUS=a", b"WATCHDOG=1")
    assert scene.passes(10.5) == pytest.approx(WATCHDOG_S)
    assert not scene.failures


def test_who_was_held_up_itself_does_not_ring(scene: Scene) -> None:
    """A container that was paused: neither could the instance speak, nor the daemon listen."""
    scene.say(b"READY=1")
    assert scene.passes(3600) == pytest.approx(WATCHDOG_S)
    assert scene.passes(10.1) is None
    assert scene.failures == ["no WATCHDOG=1 for 10 s"]


def test_without_a_watchdog_signs_of_life_are_welcome_and_not_asked_for() -> None:
    scene = Scene(0.0)
    assert "WATCHDOG_USEC" not in scene.channel.variables
    scene.say(b"READY=1", b"WATCHDOG=1")
    assert scene.passes(3600) is None
    scene.say(b"WATCHDOG=trigger")
    assert scene.failures == ["it sent WATCHDOG=trigger"]
    scene.channel.close()


def test_it_waits_for_the_event_loop_and_reads_what_came_before(scene: Scene) -> None:
    scene.send(b"READY=1")
    loop, scene.loop = scene.loop, None
    assert scene.look() == pytest.approx(0.02)
    scene.loop = loop
    scene.look()
    (read,) = scene.fake.readers.values()
    read()
    assert [message.states for message in scene.told] == [(NotifyState.READY,)]


def test_nothing_counts_after_the_end(scene: Scene) -> None:
    other = Scene(WATCHDOG_S)
    other.say(b"READY=1")
    other.channel.close()
    assert not other.fake.readers
    assert other.passes(3600) is None
    with pytest.raises(ConnectionRefusedError):
        other.send(b"READY=1")
    assert len(other.told) == 1
