"""The program of the fork server (see `fork_server`): one order after another, until its socket closes.

It has one thread, so that what it forks may run Python. Of the standard library, which is all that it has, it
imports what is there anyway and three modules of C: `signal`, `socket` and `typing` would double the time
that it takes to start, and that the first child waits.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import _socket
import gc
import marshal
import os

from cbox_init.system import apply_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, NoReturn, TypeAlias

    from cbox_init.system.apply_limits import Step
    from cbox_init.system.apply_sandbox import SandboxOrder

#: uid, gid and supplementary groups.
Ids: TypeAlias = "tuple[int, int, tuple[int, ...]]"

#: Paths to try as the program, argv, environment, working directory, ids, umask, limits, sandbox.
Order: TypeAlias = (
    "tuple[tuple[bytes, ...], tuple[bytes, ...], dict[bytes, bytes], bytes | None, Ids | None, "
    "int | None, list[Step], SandboxOrder | None]"
)

#: To signal processes as another user: uid, gid, signal, and pids, or groups as negative numbers.
SignalOrder: TypeAlias = "tuple[int, int, int, tuple[int, ...]]"

#: What failed (a key of limits or of the sandbox, "fork", "chdir", "user" or "exec"), the error number (0 for
#: what Python refuses), and its text.
Failure: TypeAlias = "tuple[str, int, str]"

#: Descriptors of an order: standard input, output and error, and the pipe for the answer.
DESCRIPTORS: Final = 4
#: Bytes in front of an order that hold its length.
HEAD: Final = 8

_SET_BY_PYTHON: Final = (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT)


def main() -> None:
    """Serve the socket that is standard input."""
    gc.disable()  # a collection in a fork would copy every page
    for signum in _SET_BY_PYTHON:
        _signal.signal(signum, _signal.SIG_DFL)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, 0)
    space = _socket.CMSG_SPACE(4 * DESCRIPTORS)
    while True:
        head, ancillary, _, _ = control.recvmsg(HEAD, space, _socket.MSG_CMSG_CLOEXEC)
        if not head:
            return
        order: Order | SignalOrder = marshal.loads(_receive(control, int.from_bytes(head, "little")))
        ((_, _, received),) = ancillary
        descriptors = memoryview(received).cast("i").tolist()
        if isinstance(order[0], int):
            _signal_as(order, descriptors[0])
        else:
            _obey(order, descriptors)


def _receive(control: _socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        block = control.recv(min(size - len(data), 1 << 20))
        if not block:
            raise EOFError
        data += block
    return bytes(data)


def _obey(order: Order, descriptors: list[int]) -> None:
    """Start a child of the daemon: its parent here ends at once, and the daemon adopts orphans.

    The pipe for the answer is held open until then: its end means that the daemon is the parent.
    """
    answer = descriptors[-1]
    try:
        if order[-1] is not None:
            from cbox_init.system import apply_sandbox  # noqa: F401  # here once, not in each child

        middle = os.fork()
        if middle == 0:
            _fork_again(order, descriptors)
        os.waitpid(middle, 0)
    except OSError as error:
        _answer(answer, ("fork", error.errno or 0, str(error.strerror)))
    except ImportError as error:
        _answer(answer, ("sandbox", 0, str(error)))
    for descriptor in descriptors:
        os.close(descriptor)


def _signal_as(order: SignalOrder, answer: int) -> None:
    """Signal as another user, in a process of its own; the answer is how many could be signalled."""
    uid, gid, signum, targets = order
    try:
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(())
                os.setregid(gid, gid)
                os.setreuid(uid, uid)
                _answer(answer, sum(_sent(target, signum) for target in targets))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    except OSError as error:
        _answer(answer, ("fork", error.errno or 0, str(error.strerror)))
    os.close(answer)


def _sent(target: int, signum: int) -> bool:
    try:
        os.kill(target, signum)
    except ProcessLookupError:
        return True  # it has ended
    except OSError:
        return False
    return True


def _fork_again(order: Order, descriptors: list[int]) -> NoReturn:
    answer = descriptors[-1]
    try:
        child = os.fork()
        if child == 0:
            _become(order, descriptors)
        _answer(answer, child)
    except OSError as error:
        _answer(answer, ("fork", error.errno or 0, str(error.strerror)))
    finally:
        os._exit(0)


def _become(order: Order, descriptors: list[int]) -> NoReturn:
    paths, argv, env, cwd, ids, umask, steps, sandbox = order
    mounts, capability_sets, no_new_privileges = sandbox or (None, None, False)
    capabilities = None
    if sandbox is not None:
        from cbox_init.system import apply_sandbox
    at = "fork"
    try:
        os.setsid()
        for standard, descriptor in enumerate(descriptors[:-1]):
            os.dup2(descriptor, standard)
        if umask is not None:
            os.umask(umask)
        if mounts is not None and cwd is None:
            at = "chdir"
            cwd = os.getcwdb()  # entered again below: the directory there now is that of the daemon's mounts
        for step in steps:
            at = step[0]
            if at == "mounts":
                assert mounts is not None
                apply_sandbox.apply_mounts(mounts)
            else:
                apply_limits.apply(step)
        at = "chdir"
        if cwd is not None:
            os.chdir(cwd)
        if capability_sets is not None:
            at = "capabilities"
            switches = ids is not None and ids[0] != os.geteuid()
            capabilities = apply_sandbox.Capabilities(
                capability_sets, switches=switches, no_new_privileges=no_new_privileges
            )
            capabilities.prepare()
        at = "user"
        if ids is not None:
            uid, gid, groups = ids
            os.setgroups(groups)
            os.setregid(gid, gid)
            os.setreuid(uid, uid)
        if capabilities is not None:
            capabilities.complete()
        if no_new_privileges:
            apply_sandbox.forbid_new_privileges()
        at = "exec"
        _exec(paths, argv, env)
    except OSError as error:
        _answer(descriptors[-1], (getattr(error, "key", at), error.errno or 0, str(error.strerror)))
    except BaseException as error:  # noqa: BLE001  # nothing may come back from here
        _answer(descriptors[-1], (at, 0, str(error)))
    finally:
        os._exit(255)


def _exec(paths: tuple[bytes, ...], argv: tuple[bytes, ...], env: Mapping[bytes, bytes]) -> NoReturn:
    """Raises the first OSError that is more than a file which is not there."""
    missing = worse = None
    for path in paths:
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        except OSError as error:
            worse = worse or error
    raise worse or missing or AssertionError("no path to try")


def _answer(descriptor: int, answer: int | Failure) -> None:
    """Each is one write of less than PIPE_BUF, and so in one piece."""
    os.write(descriptor, marshal.dumps(answer))
