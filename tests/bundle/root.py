"""A root file system in which a test runs the bundle as PID 1, as a container would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.e2e.daemon import wait_for

if TYPE_CHECKING:
    from pathlib import Path

#: Where the root has the bundle.
PLACE: Final = "/usr/lib/cbox-init"
PROGRAM: Final = f"{PLACE}/cbox-init"
#: The only interpreter of the root, for children: it takes no variable of the environment.
PYTHON: Final = f"{PLACE}/lib/python3"

_ENTER: Final = """
import json, os, subprocess, sys
root, bundle, place, read_only, user, environment, *words = json.loads(sys.argv[1])
def mount(*words): subprocess.run(["mount", *words], check=True)
mount("--bind", root, root)
mount("--bind", bundle, root + place)
mount("-t", "proc", "proc", root + "/proc")
mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root + "/dev")
for name in ("null", "zero", "full", "random", "urandom"):
    open(root + "/dev/" + name, "w").close()
    mount("--bind", "/dev/" + name, root + "/dev/" + name)
os.mkdir(root + "/dev/shm")
mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root + "/dev/shm")
if read_only:
    mount("-o", "remount,bind,ro", root)
    mount("-o", "remount,bind,ro", root + place)
os.chroot(root)
os.chdir("/")
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
os.execve(words[0], words, environment)
"""


class Root:
    """The folder, and at most one program that runs in it as PID 1."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self._bundle = bundle
        for name in ("dev", "etc", "proc", "run", "tmp", PLACE[1:]):
            (folder / name).mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._out = folder.parent / "out"

    def write(self, path: str, text: str) -> None:
        """Make a file and its folders."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def start(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        read_only: bool = False,
        user: int = 0,
    ) -> None:
        """Start a program as PID 1, by default `cbox-init serve` on /etc/c.yaml."""
        words = words or (PROGRAM, "serve", "-c", "/etc/c.yaml")
        order = [str(self.folder), str(self._bundle), PLACE, read_only, user, env or {}, *words]
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--pid",
                    "--fork",
                    "--mount",
                    "--kill-child",
                    sys.executable,
                    "-c",
                    _ENTER,
                    json.dumps(order),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def output(self) -> str:
        return self._out.read_text(errors="replace")

    def until(self, text: str) -> None:
        """Wait for a text in the output."""
        process = self._process
        assert process is not None
        wait_for(lambda: text in self.output() or process.poll() is not None, f"{text!r} in {self.output()}")
        assert text in self.output(), self.output()

    def wait(self) -> int:
        """Wait for the end; gives the exit code."""
        assert self._process is not None
        return self._process.wait(30)

    def pid(self) -> int:
        """Of the program in the root, seen from outside."""
        assert self._process is not None
        with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children") as file:
            return int(file.read().split()[0])

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the program, in the same root and namespaces."""
        return subprocess.run(
            ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--root", "--wd", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={},
        )

    def end(self) -> None:
        """Kill what runs."""
        if self._process is not None and self._process.poll() is None:
            # unshare's --kill-child does not hold after a change of the user.
            with contextlib.suppress(OSError, IndexError):
                os.kill(self.pid(), signal.SIGKILL)
            self._process.kill()
            self._process.wait(30)
