"""The command as it is installed, in a process of its own, also as PID 1."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cbox_init.capabilities import NAMES
from cbox_init.system.apply_sandbox import read_capabilities

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEADLINE_S = 30.0

COMMAND = [sys.executable, "-m", "cbox_init"]
AS_PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def as_user(uid: int, gid: int) -> tuple[str, ...]:
    """The command as another user, though Python may be where only root may enter."""
    may_search = read_capabilities()[1] & 1 << NAMES.index("DAC_READ_SEARCH")
    entering = "+dac_read_search" if may_search else "+dac_override"
    return (
        *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        *("--inh-caps", entering, "--ambient-caps", entering, *COMMAND),
    )


def wait_for(condition: Callable[[], object], what: str = "", deadline_s: float = DEADLINE_S) -> None:
    """Until ``condition`` holds; an AssertionError that says ``what`` was not so in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not so within {deadline_s} s: {what}"
        time.sleep(0.01)


class DaemonProcess:
    """``cbox-init serve`` on the text of a configuration, its output in files."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *,
        pid_1: bool = False,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        options: tuple[str, ...] = (),
        command: tuple[str, ...] = tuple(COMMAND),
    ) -> None:
        self.folder = folder
        self.socket = folder / "api.sock"
        self.config = folder / "cbox-init.yaml"
        self.config.write_text(text.replace("SOCKET", str(self.socket)).replace("DIR", str(folder)))
        self._out = folder / "out"
        self._err = folder / "err"
        words = [*command, "serve", "-c", str(self.config), *options]
        if pid_1:
            words = [*AS_PID_1, *words]
        # Empty, as another daemon may have had the folder; for appending, as /dev/stdout is opened beside.
        self._out.write_bytes(b"")
        self._err.write_bytes(b"")
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
            )
        self._pid_1 = pid_1

    @property
    def pid(self) -> int:
        """Of the daemon itself, as seen from here."""
        if not self._pid_1:
            return self.process.pid
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children) as file:
            return int(file.read().split()[0])

    def signal(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def output(self) -> str:
        return self._out.read_text(errors="replace")

    def errors(self) -> str:
        return self._err.read_text()

    def records(self) -> list[dict[str, object]]:
        """Every complete line on standard output; each is JSON."""
        whole = self.output().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def messages(self, process: str | None = None) -> list[object]:
        return [
            record["msg"] for record in self.records() if process is None or record.get("process") == process
        ]

    def lines(self, process: str) -> list[object]:
        """What the children of a process have written."""
        return [r["msg"] for r in self.records() if r.get("process") == process and "stream" in r]

    def until_said(self, message: str, times: int = 1) -> None:
        wait_for(
            lambda: self.messages().count(message) >= times or self.process.poll() is not None,
            f"{message!r} in {self.output()[-2000:]} {self.errors()}",
        )
        assert self.messages().count(message) >= times, self.output()[-2000:] + self.errors()

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """The exit code."""
        return self.process.wait(deadline_s)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """For the end of a test, whatever state it is in: twice the signal, so that no child is left."""
        for _ in range(2):
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
