"""Another user who tries to lead the daemon to files of root."""

from __future__ import annotations

import mmap
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

NOBODY: Final = 65534
_LONGEST_S: Final = 60.0


def owned_by(folder: Path, uid: int, mode: int = 0o755) -> Path:
    """Make a directory for a user; as root, for that one."""
    folder.mkdir()
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.chown(folder, uid, uid)
    return folder


class Swapper:
    """A process of another user that makes ``path`` a link to ``target``, and a file or directory of its
    own, in turns, as fast as it can."""

    def __init__(self, path: Path, target: Path, uid: int, *, directory: bool = False) -> None:
        self._path = path
        self._target = target
        self._uid = uid
        self._directory = directory
        self._counter = mmap.mmap(-1, 8)
        self._pid = 0
        self._until = 0.0

    def __enter__(self) -> Self:
        self._until = time.monotonic() + _LONGEST_S
        self._pid = os.fork()
        if not self._pid:
            try:
                os.setgroups([])
                os.setresgid(self._uid, self._uid, self._uid)
                os.setresuid(self._uid, self._uid, self._uid)
                self._swap()
            finally:
                os._exit(1)
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    @property
    def turns(self) -> int:
        """How often it has made the link."""
        return int.from_bytes(self._counter[:8], "little")

    def check(self) -> None:
        """Fail when it has ended, or when the test takes too long."""
        assert os.waitpid(self._pid, os.WNOHANG) == (0, 0), "the attacker has ended"
        assert time.monotonic() < self._until, f"not enough after {self.turns} turns"

    def _swap(self) -> None:
        link, own, away = (f"{self._path}.{name}" for name in ("link", "own", "away"))
        turns = 0
        while True:
            with suppress(OSError):
                os.symlink(self._target, link)
            if self._directory:
                with suppress(OSError):
                    os.mkdir(own)
            else:
                with suppress(OSError):
                    os.close(os.open(own, os.O_CREAT | os.O_WRONLY, 0o644))
            for name in (own, link):
                with suppress(OSError):
                    if self._directory:
                        os.rename(self._path, f"{away}.{turns}")
                    os.rename(name, self._path)
            turns += 1
            self._counter[:8] = turns.to_bytes(8, "little")
