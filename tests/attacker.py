"""Another user who tries to lead the daemon to files of root."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

NOBODY: Final = 65534
LONGEST_S: Final = 150.0

_SWAP: Final = """
import mmap, os, sys
from contextlib import suppress

path, target, uid, counter, kind = sys.argv[1:]
counter = mmap.mmap(int(counter), 8)
os.setgroups([])
os.setresgid(*3 * (int(uid),))
os.setresuid(*3 * (int(uid),))
link, own, away = (f"{path}.{name}" for name in ("link", "own", "away"))
turns = 0
while True:
    with suppress(OSError):
        os.symlink(target, link)
    with suppress(OSError):
        if kind == "directory":
            os.mkdir(own)
        else:
            os.close(os.open(own, os.O_CREAT | os.O_WRONLY, 0o644))
    for name in (own, link):
        with suppress(OSError):
            if kind == "directory":
                os.rename(path, f"{away}.{turns}")
            os.rename(name, path)
    turns += 1
    counter[:8] = turns.to_bytes(8, "little")
"""


def owned_by(folder: Path, uid: int, mode: int = 0o755) -> Path:
    """Make a directory for a user; as root, for that one."""
    folder.mkdir()
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.chown(folder, uid, uid)
    return folder


def untouched(secret: Path) -> bool:
    """Whether the file of the fixture ``secret`` is as it was."""
    found = secret.stat()
    return (found.st_uid, found.st_mode & 0o777, secret.read_text()) == (0, 0o600, "root's\n")


class Swapper:
    """A process of another user that makes ``path`` a link to ``target``, and a file or directory of its
    own, in turns, as fast as it can."""

    def __init__(self, path: Path, target: Path, *, directory: bool = False, uid: int = NOBODY) -> None:
        shared = os.memfd_create("turns")
        try:
            os.truncate(shared, 8)
            self._counter = mmap.mmap(shared, 8)
            self._child = subprocess.Popen(
                [
                    *(sys.executable, "-S", "-c", _SWAP, path, target, str(uid), str(shared)),
                    "directory" if directory else "file",
                ],
                pass_fds=(shared,),
            )
        finally:
            os.close(shared)
        self._until = time.monotonic() + LONGEST_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        self._counter.close()

    @property
    def turns(self) -> int:
        """How often it has made the link."""
        return int.from_bytes(self._counter[:8], "little")

    def check(self) -> None:
        """Fail when it has ended, or when the test takes too long."""
        assert self._child.poll() is None, "the attacker has ended"
        assert time.monotonic() < self._until, f"not enough after {self.turns} turns"
