"""The check by a command, whose exit code is the result."""

from __future__ import annotations

import os
from asyncio import Future, get_running_loop
from signal import SIGKILL
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.errors import CheckFailed
from cbox_init.system.descriptors import output_pipe
from cbox_init.system.tree import kill_tree, signal_strays

if TYPE_CHECKING:
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.reaper import ExitStatus
    from cbox_init.system.spawn_request import SpawnRequest

_KEPT_BYTES = 4096
_LONGEST_LINE = 200


class CommandProbe:
    """Runs a command. An exit code other than 0 is a failure, whose reason has the last line of its output.

    ``request`` is what to spawn, without the output. A timeout ends all that a run has started; when it ends
    by itself, what it left in its process group is ended.
    """

    def __init__(self, request: SpawnRequest, *, runtime: Runtime) -> None:
        self.where = request.argv[0]
        self._request = request
        self._runtime = runtime
        self._run: CommandRun | None = None

    async def __call__(self) -> None:
        if self._run is not None and not self._run.over:
            raise CheckFailed("the command of an earlier check was killed and has not ended yet")
        self._run = run = CommandRun(self._request, self._runtime)
        try:
            status = await run.ended
        finally:
            run.kill()
        if status.exit_code:
            line = run.last_line()
            raise CheckFailed(f"{status.describe()}: {line}" if line else status.describe())


class CommandRun:
    """One run of a command, from its spawn until it has been reaped. Raises SpawnError.

    ``ended`` gives its exit status. Of its output the last ``kept_bytes`` are kept, those of standard error
    ``with_stderr``.
    """

    def __init__(
        self,
        request: SpawnRequest,
        runtime: Runtime,
        *,
        kept_bytes: int = _KEPT_BYTES,
        with_stderr: bool = True,
    ) -> None:
        loop = get_running_loop()
        read_fd, write_fd = output_pipe(request.identity)
        try:
            self._pid = runtime.spawner.spawn(_with_output(request, write_fd, with_stderr=with_stderr))
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self.over = False
        self.ended: Future[ExitStatus] = loop.create_future()
        self._loop = loop
        self._runtime = runtime
        self._tail = b""
        self._kept_bytes = kept_bytes
        self._fd = read_fd
        runtime.reaper.watch(self._pid, self._reaped)
        try:
            loop.add_reader(read_fd, self._read)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and all that it started; does nothing when it is over."""
        if not self.over:
            kill_tree(self._pid)

    def output(self) -> str:
        """What is kept of what it wrote."""
        return self._tail.decode(errors="replace")

    def last_line(self) -> str:
        """The last line that it wrote and that is not empty."""
        lines = [line for line in self.output().splitlines() if line.strip()]
        return lines[-1].strip()[:_LONGEST_LINE] if lines else ""

    def _read(self) -> bool:
        """Read a block of output. Returns whether there may be more."""
        try:
            data = os.read(self._fd, _KEPT_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._fd)
        self._tail = (self._tail + data)[-self._kept_bytes :]
        return len(data) == _KEPT_BYTES

    def _reaped(self, status: ExitStatus) -> None:
        self.over = True
        try:
            signal_strays(self._runtime.group_left(self._pid), SIGKILL)
            for _ in range(16):  # all that a pipe holds; more comes only from what was just killed
                if not self._read():
                    break
        finally:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            if not self.ended.done():
                self.ended.set_result(status)


def _with_output(request: SpawnRequest, write_fd: int, *, with_stderr: bool) -> SpawnRequest:
    return replace(request, stdout_fd=write_fd, stderr_fd=write_fd if with_stderr else request.stderr_fd)
