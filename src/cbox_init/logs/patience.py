"""How long the event loop waits for the file systems of log files."""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from cbox_init.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from collections.abc import Collection

#: How long a question is waited for, so that a process is not started before its files are known: before
#: there is an event loop, within it (on a busy machine a thread may take that long), and after one has had no
#: answer. In seconds.
_START_WAITS_S: Final = 1.0
_LOOP_WAITS_S: Final = 0.2
_LATE_WAITS_S: Final = 0.001

#: For how long after that, in seconds.
_LATE_FOR_S: Final = 60.0

#: How long a change of the configuration waits for an answer, in seconds; other work goes on.
_CHANGE_WAITS_S: Final = 1.0


class Patience:
    """One for all log files: where one file system does not answer, no question is waited for long."""

    def __init__(self) -> None:
        self._late_until = 0.0
        self._asking = False

    def wait_s(self, *, in_loop: bool = True) -> float:
        """How long to wait for an answer, in seconds."""
        if monotonic() < self._late_until:
            return _LATE_WAITS_S
        return _LOOP_WAITS_S if in_loop else _START_WAITS_S

    def lose(self) -> None:
        """A question has had no answer."""
        self._late_until = monotonic() + _LATE_FOR_S

    async def ask(self, paths: Collection[str]) -> None:
        """Ask about the directories of these files, and wait without holding up the event loop."""
        if not paths:
            return
        if self._asking:  # and it has had no answer
            self.lose()
            return
        folders = {os.path.dirname(path) or "." for path in paths}

        def ask() -> None:
            try:
                for folder in folders:
                    os.path.exists(folder)
            finally:
                self._asking = False

        self._asking = True
        try:
            with suppress(NoThreadError):
                await in_thread(ask, name="log-paths", timeout_s=_CHANGE_WAITS_S)
                return
        except TimeoutError:
            self.lose()
            return
        self._asking = False
