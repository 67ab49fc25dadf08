from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from cbox_init.system.signals import HANDLED, SignalPipe

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[SignalPipe]:
    pipe = SignalPipe()
    yield pipe
    pipe.close()


def readable(pipe: SignalPipe, timeout_s: float = 0) -> bool:
    return bool(select.select([pipe], [], [], timeout_s)[0])


def send(*signals: int) -> None:
    for signum in signals:
        os.kill(os.getpid(), signum)


def test_quiet_until_a_signal_comes(pipe: SignalPipe) -> None:
    assert not readable(pipe)
    assert pipe.read() == []


@pytest.mark.parametrize("signum", HANDLED)
def test_each_signal_is_read_once(pipe: SignalPipe, signum: int) -> None:
    send(signum)
    assert readable(pipe)
    assert pipe.read() == [signum]
    assert not readable(pipe)
    assert pipe.read() == []


def test_in_the_order_they_came(pipe: SignalPipe) -> None:
    send(signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)
    assert pipe.read() == [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1]


def test_children_are_told_once_and_others_twice(pipe: SignalPipe) -> None:
    send(*[signal.SIGCHLD, signal.SIGINT] * 5)
    assert pipe.read() == [signal.SIGCHLD, signal.SIGINT, signal.SIGINT]


def test_a_second_interrupt_is_told_apart_from_the_first(pipe: SignalPipe) -> None:
    for _ in range(2):
        send(signal.SIGINT)
        assert pipe.read() == [signal.SIGINT]


def test_a_second_sigterm_counts_after_a_second(pipe: SignalPipe, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    for now in (100.0, 100.0, 100.9, 101.1, 101.2, 102.0, 102.2):
        monkeypatch.setattr("time.monotonic", Mock(return_value=now))
        send(signal.SIGTERM)
        counted.append(len(pipe.read()))
    assert counted == [1, 0, 0, 1, 0, 0, 1]


def test_the_handler_calls_back_at_once_with_what_counts() -> None:
    noted: list[int] = []
    pipe = SignalPipe(on_noted=noted.append)
    send(signal.SIGTERM, signal.SIGTERM, signal.SIGINT)
    assert noted == [signal.SIGTERM, signal.SIGINT]
    pipe.close()


def test_a_full_pipe_loses_nothing(pipe: SignalPipe, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(40_000):  # two bytes each, and a pipe holds 65,536
        signal.raise_signal(signal.SIGUSR1)
    send(signal.SIGCHLD, signal.SIGTERM)
    assert pipe.read() == [signal.SIGUSR1, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM]
    assert not readable(pipe)
    send(signal.SIGCHLD)
    assert readable(pipe)
    assert pipe.read() == [signal.SIGCHLD]
    assert capfd.readouterr().err == ""


def test_a_signal_to_another_thread_ends_a_wait_in_this_one(pipe: SignalPipe) -> None:
    def hit_yourself() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    # Blocked here, so that no EINTR ends the wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    thread = threading.Timer(0.05, hit_yourself)
    thread.start()
    try:
        assert readable(pipe, 20)
        assert pipe.read() == [signal.SIGTERM]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        thread.join()


def test_it_works_when_an_event_loop_takes_the_wake_up_descriptor(pipe: SignalPipe) -> None:
    ours = signal.set_wakeup_fd(-1)
    send(signal.SIGTERM)
    assert readable(pipe)
    assert pipe.read() == [signal.SIGTERM]
    signal.set_wakeup_fd(ours)


def test_it_wakes_an_asyncio_loop() -> None:
    import asyncio

    async def main(pipe: SignalPipe) -> list[int]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[list[int]] = loop.create_future()
        loop.add_reader(pipe.fileno(), lambda: told.set_result(pipe.read()))
        loop.call_soon(send, signal.SIGINT)
        try:
            return await asyncio.wait_for(told, 20)
        finally:
            loop.remove_reader(pipe.fileno())

    pipe = SignalPipe()
    try:
        assert asyncio.run(main(pipe)) == [signal.SIGINT]
    finally:
        pipe.close()


def test_close_gives_back_what_was_there() -> None:
    before = {signum: signal.getsignal(signum) for signum in HANDLED}
    descriptors = set(os.listdir("/proc/self/fd"))
    pipe = SignalPipe()
    assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    pipe.close()
    assert {signum: signal.getsignal(signum) for signum in HANDLED} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_close_can_leave_signals_ignored() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        SignalPipe((signal.SIGUSR1,)).close(ignore=(signal.SIGUSR1,))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_close_leaves_the_wake_up_descriptor_of_another() -> None:
    pipe = SignalPipe()
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(write_fd)
    pipe.close()
    assert signal.set_wakeup_fd(-1) == write_fd
    os.close(read_fd)
    os.close(write_fd)


def test_signals_of_ones_own_choice() -> None:
    pipe = SignalPipe([signal.SIGUSR2])
    send(signal.SIGUSR2)
    assert pipe.read() == [signal.SIGUSR2]
    pipe.close()
