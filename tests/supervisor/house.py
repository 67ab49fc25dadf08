"""A supervisor with real children, in the event loop of the test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Protocol

from cbox_init.build import build_daemon
from cbox_init.config.load import ConfigSource
from cbox_init.config.model import LogLevel
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.supervisor.runtime import Runtime
from cbox_init.system.signals import SignalPipe
from cbox_init.telemetry.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cbox_init.core.states import State
    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.status import InstanceStatus, ProcessStatus

DEADLINE_S = 20.0

#: Keeps a child until it is told to end; says when its TERM handler has run.
OBEDIENT = "trap 'echo bye; exit 0' TERM; (echo ready; exec sleep 1000) & wait"
#: Goes on when the test says so (``House.let_go``).
WAITS = "until [ -e $DIR/go ]; do sleep 0.02; done"
#: Cannot be told to end.
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


class Clockwork(Runtime):
    """A runtime whose clock on the wall a test can set: ``ahead_s`` is added to the machine's."""

    ahead_s = 0.0

    def unix(self) -> float:
        return time.time() + self.ahead_s

    def set_clock(self, unix: float) -> None:
        self.ahead_s = unix - time.time()


class House:
    """A supervisor and what a test asks of it."""

    def __init__(self, folder: Path, text: str) -> None:
        file = folder / "cbox-init.yaml"
        file.write_text(text)
        self.exit_code: int | None = None
        self.log_file = folder / "log"
        self._log_fd = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._signals = SignalPipe((signal.SIGCHLD,))
        source = ConfigSource(str(file), {"DIR": str(folder)})
        loaded = source.load()
        config = loaded.config
        self.parts = build_daemon(
            config,
            source._replace(zero_scales=loaded.zero_scales),
            environ={"PATH": os.environ["PATH"], "DIR": str(folder)},
            on_finished=self._finished,
            stdout=DescriptorWriter(self._log_fd),
            level=LogLevel.DEBUG,
            counters=Counters() if config.global_.metrics_enabled else None,
            runtime_class=Clockwork,
        )
        runtime = self.parts.runtime
        assert isinstance(runtime, Clockwork)
        self.runtime = runtime
        self.logs = self.parts.logs
        self.supervisor = self.parts.supervisor
        self.file = file
        self.expects_defects = False
        """Whether the test makes parts fail in ways that are reported as unexpected."""

    def _finished(self, exit_code: int) -> None:
        self.exit_code = exit_code

    def attach(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        loop.add_reader(self._signals.fileno(), self._on_signals)
        self.parts.attach(loop)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        message = str(context.get("message"))
        if not isinstance(error, BaseException):
            error = RuntimeError(message)
        self.runtime.defects.report(message, error)

    def _on_signals(self) -> None:
        self._signals.read()
        self.supervisor.reap()

    def block_output(self) -> int:
        """From now on what is logged goes to a pipe that nobody reads; gives its end to read from."""
        read_end, write_end = os.pipe()
        os.dup2(write_end, self._log_fd)
        os.close(write_end)
        return read_end

    async def close(self) -> None:
        if self.exit_code is None:
            self.supervisor.kill(137)
            await self.until(lambda: self.exit_code is not None)
        await self.parts.abandon_changes()
        await self.supervisor.close(5)
        await self.logs.close(5)
        asyncio.get_running_loop().remove_reader(self._signals.fileno())
        self._signals.close()
        self.parts.close()
        os.close(self._log_fd)
        defects = self.runtime.defects
        if defects.count and not self.expects_defects:
            raise AssertionError("the daemon reported a defect") from defects.last

    async def until(self, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        end = asyncio.get_running_loop().time() + deadline_s
        while not _holds(condition):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"not so within {deadline_s} s: {self.supervisor.statuses()}")
            await asyncio.sleep(0.005)

    async def until_state(self, name: str, state: State) -> None:
        await self.until(lambda: self.state(name) is state)

    async def until_restarted(self, name: str, times: int) -> None:
        """``times`` or more: some may come before they are seen."""
        await self.until(lambda: self.instance(name).restart_count >= times)

    async def ended(self) -> int:
        await self.until(lambda: self.exit_code is not None)
        assert self.exit_code is not None
        return self.exit_code

    def status(self, name: str) -> ProcessStatus:
        return self.supervisor.status(name)

    def state(self, name: str) -> State:
        return self.supervisor.status(name).state

    def instance(self, name: str, index: int = 0) -> InstanceStatus:
        """Of a process that has it by now: an AssertionError, which ``until`` waits out, when not."""
        found = [i for i in self.status(name).instances if i.index == index]
        assert found, f"no instance {index} of {name}"
        return found[0]

    def pids(self, name: str) -> list[int]:
        return [i.pid for i in self.status(name).instances if i.pid]

    def lines(self, name: str) -> list[str]:
        return [r.message for r in self.logs.records(name, limit=10_000, newest_first=False)]

    async def over(self, change: Change) -> int | None:
        """Wait for the end of a change; gives the exit code of the run that it has triggered."""
        await asyncio.wait_for(self.supervisor.changes.ended(change), DEADLINE_S)
        return change.exit_code

    def let_go(self) -> None:
        """Let what ``WAITS`` go on."""
        (self.file.parent / "go").touch()

    def kill(self, name: str, index: int = 0) -> None:
        """Let an instance crash."""
        pid = self.instance(name, index).pid
        assert pid
        os.kill(pid, signal.SIGKILL)

    def log_text(self) -> str:
        """All that has been written to standard output."""
        self.logs.flush_sync(5)
        return self.log_file.read_text()

    def messages(self) -> list[str]:
        """What the daemon has logged so far."""
        self.logs.flush_sync(5)
        records = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        return [record["msg"] for record in records if "stream" not in record]

    async def until_said(self, name: str, line: str, times: int = 1) -> None:
        await self.until(lambda: self.lines(name).count(line) >= times)


def _holds(condition: Callable[[], object]) -> object:
    try:
        return condition()
    except AssertionError:
        return False


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Build(Protocol):
    """Makes a supervisor from the text of a configuration; ended after the test."""

    def __call__(self, text: str, *, start: bool = True) -> House: ...
