"""Makes the Nth call of one function fail."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from cbox_init.logs.capture import Capture
from cbox_init.logs.encode.json_format import JsonBlocks, JsonFormat
from cbox_init.logs.stages.pipeline import Pipeline
from cbox_init.supervisor.oneshot_history import OneshotHistory
from cbox_init.system.reaper import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Target(NamedTuple):
    """A function that can be made to fail: where it is, and with what it fails."""

    owner: object
    name: str
    error: Callable[[], Exception]


def _os_error(number: int) -> Callable[[], Exception]:
    return lambda: OSError(number, os.strerror(number))


def _defect() -> Exception:
    return RuntimeError("injected")


TARGETS: Final[dict[str, Target]] = {
    "spawn": Target(subprocess, "Popen", lambda: BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))),
    "open": Target(os, "open", _os_error(errno.EMFILE)),
    "pipe": Target(os, "pipe2", _os_error(errno.EMFILE)),
    "read": Target(os, "read", _os_error(errno.EIO)),
    "write": Target(os, "write", _os_error(errno.EIO)),
    "writev": Target(os, "writev", _os_error(errno.ENOSPC)),
    "killpg": Target(os, "killpg", _os_error(errno.EPERM)),
    "unlink": Target(os, "unlink", _os_error(errno.EROFS)),
    "stat": Target(os, "stat", _os_error(errno.EACCES)),
    "thread": Target(threading.Thread, "start", lambda: RuntimeError("can't start new thread")),
    "connect": Target(socket.socket, "connect_ex", _os_error(errno.EADDRNOTAVAIL)),
    "decode": Target(msgspec.json, "decode", lambda: MemoryError()),
    "encode a block": Target(JsonBlocks, "__call__", _defect),
    "run the stages": Target(Pipeline, "feed", _defect),
    "write a message": Target(JsonFormat, "message", _defect),
    "drain the output": Target(Capture, "drain", _defect),
    "record an execution": Target(OneshotHistory, "ended", _defect),
    "describe an exit": Target(ExitStatus, "describe", _defect),
}


class Injector:
    """Counts the calls of a target made by the thread of the event loop or any other; the ``nth`` fails."""

    def __init__(self, target: Target, nth: int | None = None) -> None:
        self._target = target
        self._nth = nth
        self._lock = threading.Lock()
        self._armed = False
        self.calls = 0

    @property
    def failed(self) -> bool:
        """Whether a call was made to fail."""
        return self._nth is not None and self.calls >= self._nth

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the target."""
        original = getattr(self._target.owner, self._target.name)

        def call(*args: object, **kwargs: object) -> object:
            with self._lock:
                self.calls += self._armed
                fails = self._armed and self.calls == self._nth
            if fails:
                raise self._target.error()
            return original(*args, **kwargs)

        monkeypatch.setattr(self._target.owner, self._target.name, call)

    def arm(self) -> None:
        """Count from now on."""
        self._armed = True

    def disarm(self) -> None:
        """Fail no more."""
        self._armed = False
