"""Starts all threads of the daemon, and passes their results to the event loop.

All are daemon threads, so that one that hangs (a file system that does not answer, an output without a
reader) does not keep the daemon from ending. Signals are blocked in them: the main thread handles those.
"""

from __future__ import annotations

import errno
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_T = TypeVar("_T")


class NoThreadError(OSError):
    """No thread could be started: the system has none left, or no memory for one. It can be tried again."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EAGAIN, f"no thread can be started for {name}")


def start_thread(
    work: Callable[[], object], *, name: str, failed: Callable[[Exception], object]
) -> threading.Thread:
    """Run ``work`` in a daemon thread. Raises NoThreadError when no thread can be started.

    An exception of ``work`` ends the thread and is given to ``failed``, which is called in the thread and
    should log or count it.
    """

    def run() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            work()
        except Exception as error:  # noqa: BLE001  # contained here, for all threads
            failed(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError):  # "can't start new thread"
        raise NoThreadError(name) from None
    return thread


def call_in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call ``callback`` in the thread of ``loop``; does nothing when that loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def wait_in_thread(work: Callable[[], _T], *, name: str, timeout_s: float) -> _T:
    """What ``work`` returns or raises, run in a thread of its own while this one waits.

    Raises TimeoutError when it takes longer than ``timeout_s``, and NoThreadError. After a timeout the thread
    goes on, and its result is dropped.
    """
    over = threading.Event()
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # raised by the caller
            errors.append(error)
        over.set()

    start_thread(run, name=name, failed=errors.append)
    if not over.wait(timeout_s):
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if errors:
        raise errors[0]
    return results[0]


def begin_in_thread(work: Callable[[], _T], *, name: str) -> asyncio.Future[_T]:
    """Run ``work`` in a thread of its own; the future has what it returns or raises.

    Raises NoThreadError. Nothing is logged when no task waits for the future. Cancelling it drops the result,
    and leaves the thread alone.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def succeed(result: _T) -> None:
        if not done.done():
            done.set_result(result)

    def fail(error: Exception) -> None:
        if not done.done():
            done.set_exception(error)
            done.exception()  # else asyncio logs an error that was not retrieved

    def run() -> None:
        result = work()
        call_in_loop(loop, lambda: succeed(result))

    start_thread(run, name=name, failed=lambda error: call_in_loop(loop, lambda: fail(error)))
    return done


async def in_thread(work: Callable[[], _T], *, name: str, timeout_s: float) -> _T:
    """What ``work`` returns or raises, run in a thread of its own.

    Raises TimeoutError when it takes longer than ``timeout_s``, and NoThreadError. After a timeout the thread
    goes on, and its result is dropped.
    """
    from asyncio import timeout

    done = begin_in_thread(work, name=name)
    async with timeout(timeout_s):
        return await done


class OneThread:
    """Runs work in a thread that is called ``name``, one piece at a time.

    Work that does not return, because its file system does not answer, leaves one thread behind and no more,
    however often it is tried again.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._at_work = False

    async def run(self, work: Callable[[], _T], *, timeout_s: float) -> _T:
        """As `in_thread`. Raises TimeoutError at once while an earlier piece has not returned."""
        if self._at_work:
            raise TimeoutError

        def run() -> _T:
            try:
                return work()
            finally:
                self._at_work = False

        self._at_work = True
        try:
            return await in_thread(run, name=self._name, timeout_s=timeout_s)
        except NoThreadError:
            self._at_work = False
            raise
