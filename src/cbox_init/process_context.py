"""The environment, user and working directory of a process, for a command that is to run as it does.

Those of an instance that runs are read from /proc; those of one that does not are made from the
configuration, by the code that the daemon uses for a start.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from cbox_init.errors import CboxError
from cbox_init.system import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cbox_init.system.identity import Identity

_MARKER: Final = "CBOX_INIT_INSTANCE_ID"
#: How far the start of a process by the kernel's clock may be from what the daemon says, in seconds.
_SAME_START_S: Final = 2.0
#: How long a program may take to get its environment, in seconds.
_EXEC_TAKES_S: Final = 0.2
#: Variables that name the daemon's own sockets; children do not get them.
_OF_THE_SERVICE_MANAGER: Final = frozenset(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))


class ContextError(CboxError):
    """The environment or user of a process cannot be had; the message never holds a value of it."""


class User(NamedTuple):
    """The numbers that a process runs with."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class ProcessContext(NamedTuple):
    """What a command gets. None for the user, the directory or the mask leaves it as it is here.

    ``directory`` is a path, or a descriptor. ``env`` of None: the process has overwritten its environment.
    """

    env: Mapping[str, str] | None
    user: User | None = None
    directory: str | int | None = None
    umask: int | None = None


class Running(NamedTuple):
    """An instance that runs, as the daemon says: its id, the pid of its main process, and its start."""

    id: str
    pid: int
    started_at: float


def of_running(found: Running, still_runs: Callable[[], bool]) -> ProcessContext:
    """What an instance runs with now. Raises ContextError.

    ``still_runs`` asks the daemon whether the instance has that pid, when a descriptor of the process is
    open: the daemon has not reaped it then, so that no other process can have got the number before.
    """
    try:
        place = os.open(f"/proc/{found.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise ContextError(_elsewhere(found)) from None
    try:
        if not still_runs():
            raise ContextError(_ended(found))
        user, umask = _status(place)
        try:
            env, directory = _seen(found, place)
        except PermissionError:
            # Docker gives root no CAP_SYS_PTRACE, but lets it become the user, who may look.
            with _acting_as(user):
                env, directory = _seen(found, place)
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or is a thread of the kernel
        raise ContextError(_elsewhere(found) if still_runs() else _ended(found)) from None
    except PermissionError:
        raise ContextError(
            f"no permission to see the environment of {found.id} (pid {found.pid}): run this as root, or as "
            "its user; for a process that has given up rights by itself, as root with CAP_SYS_PTRACE"
        ) from None
    finally:
        os.close(place)
    return ProcessContext(env, user, directory, umask)


def of_configuration(
    path: str | None, name: str, index: int, environ: Mapping[str, str], *, is_main: bool = False
) -> ProcessContext:
    """What the instance ``index`` of a process would be started with. Raises ConfigError and ContextError.

    ``environ`` is the daemon's environment, or one like it. ``is_main``: it is the process of ``run``, which
    need not be in the file.
    """
    from cbox_init.config.child_variables import for_children
    from cbox_init.config.load import load
    from cbox_init.config.main_process import MainProcess
    from cbox_init.supervisor.instance.launch import Launch

    main = MainProcess(name, ("the-command-is-not-used",)) if is_main else None
    loaded = load(path, environ, main=main)
    config = loaded.config.processes.get(name)
    if config is None:
        raise ContextError(f"no process is named {name!r} in {loaded.path or 'the environment'}")
    launch = Launch(name, config, for_children(environ, loaded.withheld | _OF_THE_SERVICE_MANAGER))
    identity = launch.identity()
    return ProcessContext(
        launch.environment(index, identity), _user_of(identity), config.working_dir, config.umask
    )


def environment_of_daemon(pid: int, started_at: float) -> Mapping[str, str] | None:
    """The environment of the daemon with this pid; None when it is not to be seen from here."""
    try:
        place = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _variables(_read(place, "environ")) if _same_start(place, started_at) else None
    except OSError:
        return None
    finally:
        os.close(place)


def become(context: ProcessContext, command: Sequence[str]) -> NoReturn:
    """Replace this program by the command. Raises ContextError, or SpawnError with a shell's exit code."""
    env = dict(context.env or {})
    _enter(context.directory, env)
    if context.umask is not None:
        os.umask(context.umask)
    if context.user is not None:
        _switch(context.user)
    # Python ignores these, and what starts this program may have blocked others.
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvpe(command[0], list(command), env)
    except (OSError, ValueError) as error:
        from cbox_init.system.exec_failure import explain
        from cbox_init.system.spawn_request import SpawnRequest

        if isinstance(error, OSError):
            error.filename = command[0]
        raise explain(error, SpawnRequest(command, env, os.curdir, None, -1, -1), None) from None


@contextmanager
def _acting_as(user: User) -> Iterator[None]:
    """Have the rights of another user for a moment. Raises PermissionError for one who is not root."""
    if os.geteuid() != 0:
        raise PermissionError
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def _seen(found: Running, place: int) -> tuple[dict[str, str] | None, int]:
    """The environment and the working directory of the instance. Raises ContextError for another process."""
    env = _environment(found, place)
    if env is None and not _same_start(place, found.started_at):
        raise ContextError(_elsewhere(found))
    return env, os.open("cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)


def _environment(found: Running, place: int) -> dict[str, str] | None:
    """The environment of the instance; None when the process has overwritten it, or is another."""
    end = time.monotonic() + _EXEC_TAKES_S
    while not (data := _read(place, "environ")) and time.monotonic() < end:
        time.sleep(0.005)  # it is in the middle of an exec
    env = _variables(data)
    return env if env.get(_MARKER) == found.id else None


def _variables(data: bytes) -> dict[str, str]:
    pairs = (os.fsdecode(entry).partition("=") for entry in data.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals and name}


def _same_start(place: int, started_at: float) -> bool:
    figures = procfs.figures_of(_read(place, "stat"))
    if figures is None:
        return False
    age_s = procfs.now_since_boot_s() - figures.started_ticks / procfs.TICKS_PER_S
    return abs(time.time() - age_s - started_at) < _SAME_START_S


def _status(place: int) -> tuple[User, int | None]:
    """The user that it has in effect, and its mask."""
    lines = (line.partition(":") for line in _read(place, "status").decode(errors="replace").splitlines())
    fields = {name: value.split() for name, _, value in lines}
    uid, gid = int(fields["Uid"][1]), int(fields["Gid"][1])
    umask = fields.get("Umask")
    return User(uid, gid, tuple(map(int, fields.get("Groups", ())))), int(umask[0], 8) if umask else None


def _read(place: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=place)
    with open(descriptor, "rb", buffering=0) as file:
        return file.readall()


def _user_of(identity: Identity | None) -> User | None:
    return None if identity is None else User(identity.uid, identity.gid, identity.groups)


def _enter(directory: str | int | None, env: dict[str, str]) -> None:
    if directory is None:
        return
    try:
        os.chdir(directory)
        env["PWD"] = os.getcwd()
    except OSError as error:
        shown = "of the process" if isinstance(directory, int) else repr(directory)
        raise ContextError(f"cannot enter the working directory {shown}: {error.strerror}") from None


def _switch(user: User) -> None:
    if (user.uid, user.gid) == (os.geteuid(), os.getegid()) and os.geteuid() != 0:
        return
    if os.geteuid() != 0:
        raise ContextError(
            f"cannot become uid {user.uid} and gid {user.gid}: this is uid {os.geteuid()}; run it as root"
        )
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise ContextError(
            f"cannot become uid {user.uid} and gid {user.gid}: {error.strerror}; "
            "it needs CAP_SETUID and CAP_SETGID"
        ) from None


def _ended(found: Running) -> str:
    return f"{found.id} has just ended; try again"


def _elsewhere(found: Running) -> str:
    return (
        f"{found.id} (pid {found.pid}) is not to be seen from here: the daemon runs in another container or "
        "pid namespace; run this in the same one, as by docker exec"
    )
