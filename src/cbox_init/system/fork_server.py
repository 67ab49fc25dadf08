"""Starting children that are held to limits, or have a sandbox.

Both have to be there before exec: programs read their limits when they start, and start others. The calls
that set them are made by the child itself, between fork and exec, as for a child of another user the daemon
may not make it (that takes CAP_SYS_RESOURCE, which containers lack as a rule). A child of vfork cannot, and
a fork of the daemon must not: it has threads. Hence a process that has one thread and little memory forks
for it. What it starts becomes the daemon's own child, as an orphan does.
"""

from __future__ import annotations

import errno
import io
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import cbox_init
from cbox_init.errors import SpawnError
from cbox_init.system.descriptors import out_of_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.system.apply_limits import Step
    from cbox_init.system.apply_sandbox import Mounts, SandboxOrder
    from cbox_init.system.fork_server_main import Failure, Ids, Order, SignalOrder
    from cbox_init.system.identity import Identity
    from cbox_init.system.reaper import ExitStatus
    from cbox_init.system.spawn_request import Sandbox, SpawnRequest

    Watch = Callable[[int, Callable[[ExitStatus], None]], None]

_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from cbox_init.system.fork_server_main import main; main()"
)

#: What it needs of the daemon's environment, which holds secrets.
_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE")

#: How long an answer may take: a start takes 2 ms, and a machine may be busy. In seconds.
_ANSWER_S: Final = 10.0


class StepRefused(Exception):
    """The child may not set a limit, or a part of its sandbox: the key, the error number, and its text."""

    def __init__(self, key: str, number: int, text: str) -> None:
        super().__init__(text)
        self.key = key
        self.number = number


class ForkServerGone(Exception):
    """It has ended without starting anything: another one is needed."""


class ForkServer:
    """The process, and the socket to it. It is registered with ``watch``, so that it is not taken for an
    orphan.

    Raises SpawnError when it cannot be started.
    """

    def __init__(self, null_fd: int, watch: Watch | None) -> None:
        if not sys.executable:
            raise SpawnError(
                "limits and sandbox cannot be set: Python does not know where its own program is"
            )
        root = os.path.dirname(os.path.dirname(cbox_init.__file__))
        try:
            self._control, theirs = socket.socketpair()
        except OSError as error:
            raise out_of_descriptors(error) from error
        try:
            child = subprocess.Popen(
                (sys.executable, "-I", "-S", "-c", _PROGRAM, root),
                stdin=theirs.fileno(),
                stdout=null_fd,
                stderr=null_fd,
                env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
                process_group=0,
                close_fds=False,
            )
        except OSError as error:
            self._control.close()
            raise SpawnError(
                f"limits and sandbox cannot be set: cannot start {sys.executable}: {error.strerror}",
                shortage=error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
            ) from error
        finally:
            theirs.close()
        child.returncode = 0  # the reaper waits for it
        self._control.settimeout(_ANSWER_S)
        self.pid = child.pid
        self.ended = False
        if watch is not None:
            watch(child.pid, self._reaped)

    def kill(self) -> None:
        """End it at once; it is left to the reaper."""
        self._control.close()
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and wait for it: no reaper will any more."""
        self.kill()
        if not self.ended:
            os.waitpid(self.pid, 0)

    def spawn(self, request: SpawnRequest, identity: Identity | None, null_fd: int) -> int:
        """Start a child that takes its limits and sandbox, and give its pid; exec has succeeded then.

        Raises what subprocess.Popen raises, StepRefused, SpawnError, or ForkServerGone; nothing runs then.
        """
        if self._control.fileno() < 0:
            raise ForkServerGone
        order: Order = (
            tuple(os.fsencode(path) for path in _paths(request)),
            tuple(map(os.fsencode, request.argv)),
            {os.fsencode(name): os.fsencode(value) for name, value in request.env.items()},
            None if request.cwd is None else os.fsencode(request.cwd),
            _ids(identity),
            request.umask,
            _steps(request),
            None if request.sandbox is None else _sandbox_order(request.sandbox),
        )
        answer, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                stdin_fd = null_fd if request.stdin_fd is None else request.stdin_fd
                self._send(marshal.dumps(order), (stdin_fd, request.stdout_fd, request.stderr_fd, theirs))
            finally:
                os.close(theirs)
            pid, failure = self._received(answer)
        finally:
            os.close(answer)
        if failure is not None:
            raise _as_raised(failure, request)
        if pid is None:
            raise ForkServerGone
        _check_ours(pid)
        return pid

    def signal_as(self, uid: int, gid: int, signum: int, targets: tuple[int, ...]) -> int:
        """Signal processes, and groups as negative numbers, as another user; how many could be signalled.

        Raises OSError, SpawnError or ForkServerGone.
        """
        if self._control.fileno() < 0:
            raise ForkServerGone
        order: SignalOrder = (uid, gid, signum, targets)
        answer, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                self._send(marshal.dumps(order), (theirs,))
            finally:
                os.close(theirs)
            return self._received(answer)[0] or 0
        finally:
            os.close(answer)

    def _send(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        from cbox_init.system.fork_server_main import HEAD

        try:
            socket.send_fds(self._control, [len(data).to_bytes(HEAD, "little")], descriptors)
            self._control.sendall(data)
        except ConnectionError as error:
            raise ForkServerGone from error
        except TimeoutError as error:
            raise self._stuck() from error

    def _received(self, descriptor: int) -> tuple[int | None, Failure | None]:
        """Read until all writers have closed the pipe: the pid, and what has failed."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        data = b""
        while True:
            if not poll.poll(_ANSWER_S * 1000):
                raise self._stuck()
            block = os.read(descriptor, 4096)
            if not block:
                break
            data += block
        pid = failure = None
        stream = io.BytesIO(data)
        while stream.tell() < len(data):
            answer = marshal.load(stream)
            if isinstance(answer, int):
                pid = answer
            else:
                failure = answer
        return pid, failure

    def _stuck(self) -> SpawnError:
        """Nobody knows what it is at: end it; the next child gets another one."""
        self.kill()
        return SpawnError(
            f"limits and sandbox cannot be set: the process that starts children for it took {_ANSWER_S:g} s",
            shortage=True,
        )

    def _reaped(self, status: ExitStatus) -> None:
        self.ended = True


def _paths(request: SpawnRequest) -> list[str]:
    """Where exec looks for the program, as subprocess does."""
    program = request.argv[0]
    if os.path.dirname(program):
        return [program]
    return [os.path.join(folder, program) for folder in os.get_exec_path(request.env)]


def _steps(request: SpawnRequest) -> list[Step]:
    """Limits, and mounts between those that need the daemon's mounts and the one of descriptors."""
    steps = [] if request.limits is None else request.limits.steps()
    if request.sandbox is not None and request.sandbox.has_mounts:
        last = bool(steps) and steps[-1][0] == "nofile"
        steps.insert(len(steps) - last, ("mounts", ""))
    return steps


def _sandbox_order(sandbox: Sandbox) -> SandboxOrder:
    mounts: Mounts | None = None
    if sandbox.has_mounts:
        paths = tuple(map(os.fsencode, sandbox.read_only_paths))
        mounts = (paths, sandbox.private_tmp, sandbox.mounts_of)
    return mounts, sandbox.capabilities, sandbox.no_new_privileges


def _ids(identity: Identity | None) -> Ids | None:
    return None if identity is None else (identity.uid, identity.gid, tuple(identity.groups))


def _as_raised(failure: Failure, request: SpawnRequest) -> Exception:
    """What subprocess.Popen would have raised, or StepRefused."""
    at, number, text = failure
    if at == "sandbox":
        return SpawnError(f"limits and sandbox cannot be set: {text}")
    if at in ("fork", "chdir", "user", "exec"):
        if not number:
            return ValueError(text)
        filename = {"chdir": request.cwd, "exec": request.argv[0]}.get(at)
        return OSError(number, text, filename)
    return StepRefused(at, number, text)


def _check_ours(pid: int) -> None:
    """Kill the child where the kernel gives orphans to another process: it could not be stopped later."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        os.kill(pid, signal.SIGKILL)
        raise SpawnError(
            "limits and sandbox cannot be set: the kernel does not give orphans to this daemon"
        ) from None
