"""Notices when the wall clock is set or the machine wakes from sleep, without polling."""

from __future__ import annotations

import os
from typing import Final

_CLOCK_REALTIME: Final = 0
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_FAR_S: Final = 2**40  # never rings


class ClockWatch:
    """A descriptor that becomes readable when the clock was set or the machine has slept.

    Raises OSError where the kernel has none.
    """

    def __init__(self) -> None:
        import ctypes  # 1.5 ms, only with a schedule; `os.timerfd_create` is there from Python 3.13 on

        libc = ctypes.CDLL(None, use_errno=True)
        try:
            create, set_time = libc.timerfd_create, libc.timerfd_settime
        except AttributeError:
            raise OSError("this libc has no timerfd") from None
        self._fd: int = create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        times = (ctypes.c_long * 4)(0, 0, _FAR_S, 0)  # struct itimerspec
        if set_time(self._fd, _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET, times, None) != 0:
            error = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(error, "timerfd_settime")

    def fileno(self) -> int:
        return self._fd

    def read(self) -> bool:
        """Take the news; whether there was any."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError:  # ECANCELED: that is the news
            return True
        return True

    def close(self) -> None:
        os.close(self._fd)
