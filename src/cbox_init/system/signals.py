"""Signals that reach the daemon: a clean start for its children, and a pipe to read its own from."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object] | int | None

HANDLED: Final = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
)
"""The signals that mean something to the daemon."""

ENDING: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
"""Those that end it."""

WITHOUT_MEANING: Final = tuple(
    signum
    for signum in (
        *(signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
        16,  # SIGSTKFLT, which Python 3.11 has no name for
        *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    )
    if signum in signal.valid_signals()
)
"""Those that would end a process which does not handle them, and mean nothing to the daemon."""

ONE_STOP_S: Final = 1.0
"""SIGTERM twice within this time counts once, in seconds: some send it to a process and to its group."""

_SET_BY_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Ignored by the interpreter for itself; subprocess gives children the default back."""


def signal_name(signum: int) -> str:
    """For a person: "SIGTERM", or "signal 37" for a real-time signal."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def reset_inherited() -> None:
    """Unblock every signal and take no notice of those that our parent had ignored.

    Called once at start: both are inherited by children across exec, and a child that is born with
    SIGTERM blocked, or SIGCHLD ignored, cannot be stopped or cannot wait. Handlers that this process has
    set are kept; they now get what came while it was blocked.
    """
    for signum in signal.valid_signals():
        if signum not in _SET_BY_PYTHON and signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class SignalPipe:
    """Turns signals into a readable descriptor, so that any loop, or none, can wait for them.

    Two writers fill the pipe. The C handler of the interpreter does (``signal.set_wakeup_fd``), which ends
    a wait even when another thread got the signal. The handler in Python does too, after it has noted
    the number: so a note is never left without a wake-up, also when an event loop takes the wake-up
    descriptor for itself (uvloop does). The bytes only wake; the notes are the truth, so that a full pipe
    loses nothing.

    ``on_noted`` is called in the handler, between two instructions of whatever runs, with each signal that
    counts. To be made and closed in the main thread.
    """

    def __init__(
        self, signals: Iterable[int] = HANDLED, on_noted: Callable[[int], object] | None = None
    ) -> None:
        self._noted: list[int] = []
        self._on_noted = on_noted
        self._stop_at = -math.inf
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous_wakeup_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._previous: dict[int, Handler] = {signum: signal.signal(signum, self._note) for signum in signals}

    def fileno(self) -> int:
        """The end to wait for, readable when a signal has come; for ``loop.add_reader``."""
        return self._read_fd

    def read(self) -> list[int]:
        """Signals since the last call, in the order they came; empty when there are none. Never blocks.

        SIGCHLD appears once however many children ended. Another signal appears at most twice, as nobody
        needs to know more than that it came again. SIGTERM within ``ONE_STOP_S`` of the one before it that
        counted is the same one.
        """
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._read_fd, 4096)) == 4096:
                pass
        # Emptied first, fetched second: a signal between the two leaves a byte and is fetched as well.
        noted, self._noted = self._noted, []
        return noted

    def close(self, *, ignore: Collection[int] = ()) -> None:
        """Give back the handlers and the wake-up descriptor that were there before.

        Signals in ``ignore`` are ignored from then on: for a process that ends by itself right after.
        """
        for signum, handler in self._previous.items():
            if signum in ignore:
                signal.signal(signum, signal.SIG_IGN)
                continue
            # None stands for a handler that was not set from Python and cannot be put back.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        current = signal.set_wakeup_fd(self._previous_wakeup_fd)
        if current not in (self._write_fd, -1):
            signal.set_wakeup_fd(current)  # another's by now, an event loop's
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGTERM:
            now = time.monotonic()
            if now - self._stop_at < ONE_STOP_S:
                return
            self._stop_at = now
        if self._noted.count(signum) < (1 if signum == signal.SIGCHLD else 2):
            self._noted.append(signum)
        # Full: it is readable already. Whatever else: an error would come out of whatever runs at the moment.
        with contextlib.suppress(OSError):
            os.write(self._write_fd, b"\0")
        if self._on_noted is not None:
            self._on_noted(signum)
