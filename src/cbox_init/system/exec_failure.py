"""Explains why a child could not be started, with a hint. Imported only when one could not."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from cbox_init.errors import SpawnError
from cbox_init.safe_paths import regular_only
from cbox_init.system.interpreter import first_unusable

if TYPE_CHECKING:
    from cbox_init.system.identity import Identity
    from cbox_init.system.spawn_request import SpawnRequest

_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_OTHER: Final = 1


def explain(error: Exception, request: SpawnRequest, identity: Identity | None) -> SpawnError:
    """The SpawnError for what subprocess.Popen raised; ``identity`` is the one to switch to, if any."""
    if isinstance(error, OSError):
        return _explain_errno(error, request, identity)
    if isinstance(error, MemoryError):
        return _out_of_memory()
    if isinstance(error, ValueError):
        return _explain_value(error, request)
    return SpawnError(f"cannot start {request.argv[0]!r}: {error}", _OTHER)


def _explain_errno(error: OSError, request: SpawnRequest, identity: Identity | None) -> SpawnError:
    limits = request.limits
    if error.errno == errno.EAGAIN and limits is not None and limits.nproc is not None:
        from cbox_init.system.limit_errors import too_many_processes

        return SpawnError(too_many_processes(limits, str(identity or os.geteuid())), _OTHER, shortage=True)
    if error.errno == errno.EAGAIN:
        return SpawnError(
            f"out of processes: raise the user's limit (ulimit -u, now {_limit('RLIMIT_NPROC')}) "
            "or the container's (pids.max of its cgroup)",
            _OTHER,
            shortage=True,
        )
    if error.errno == errno.ENOMEM:
        return _out_of_memory()
    if error.errno == errno.E2BIG:
        return SpawnError(
            f"cannot start {request.argv[0]!r}: argument list too long: "
            "the arguments and the environment together are too large, or one of them is (128 KiB)",
            _OTHER,
        )
    if _before_exec(error, request):
        return _explain_preparation(error, request, identity)
    return _explain_exec(error, request, identity)


def _before_exec(error: OSError, request: SpawnRequest) -> bool:
    """Whether the child failed before exec: subprocess then names the working directory, or nothing."""
    if error.filename != request.argv[0]:
        return True
    return request.cwd == request.argv[0] and not os.path.isdir(request.cwd)


def _explain_preparation(error: OSError, request: SpawnRequest, identity: Identity | None) -> SpawnError:
    if identity is not None and error.errno == errno.EPERM:
        reason = "the daemon lacks the capability CAP_SETUID or CAP_SETGID"
        return SpawnError(f"cannot become user {identity}: {reason}", _OTHER)
    if identity is not None and error.errno == errno.EINVAL:
        reason = "the user namespace does not have that uid or gid"
        return SpawnError(f"cannot become user {identity}: {reason}", _OTHER)
    cwd = request.cwd or os.getcwd()
    if error.errno == errno.ENOENT and (hidden := _hidden(request, cwd)):
        where, hint = ("the", "choose another") if request.cwd else ("the daemon's", "set working_dir")
        return SpawnError(f"{where} working directory {cwd!r} is not there: {hidden}; {hint}", _OTHER)
    if request.cwd is None:
        return SpawnError(f"cannot start {request.argv[0]!r}: {error.strerror}", _OTHER)
    reason = {
        errno.ENOENT: "does not exist",
        errno.ENOTDIR: "is not a directory",
        errno.EACCES: "cannot be entered: permission denied",
    }.get(error.errno or 0, f"cannot be entered: {error.strerror}")
    return SpawnError(f"the working directory {request.cwd!r} {reason}", _OTHER)


def _explain_exec(error: OSError, request: SpawnRequest, identity: Identity | None) -> SpawnError:
    command = request.argv[0]
    cwd = request.cwd or "."
    path = _locate(request, cwd)
    if path is None:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return _not_found(request)
        # The file is in a directory that we may not read: only the kernel's answer is known.
        return SpawnError(f"cannot start {command!r}{_as(identity)}: {error.strerror}", _NOT_EXECUTABLE)

    if error.errno == errno.ENOENT and (hidden := _hidden(request, path)):
        return SpawnError(f"command not found: {path!r} ({hidden}; put it elsewhere)", _NOT_FOUND)
    unusable = first_unusable(path, cwd)
    if error.errno == errno.ENOENT:
        if unusable is None:
            return SpawnError(f"cannot start {path!r}: a file that it needs does not exist", _NOT_FOUND)
        hint = ""
        if unusable.path.endswith("\r"):
            hint = "; the script has Windows line ends (CR LF), which must be LF"
        elif unusable.kind == "loader":
            hint = "; the program was built for another C library"
        text = f"cannot start {path!r}: its {unusable.kind} {unusable.path!r} does not exist{hint}"
        return SpawnError(text, _NOT_FOUND)
    if error.errno == errno.EACCES:
        if os.path.isdir(path):
            reason = "it is a directory"
        elif not os.stat(path).st_mode & 0o111:
            reason = "permission denied: it is not executable (chmod +x)"
        elif unusable is not None:
            reason = f"permission denied: its {unusable.kind} {unusable.path!r} is not executable"
        else:
            reason = "permission denied: by its mode, by a directory above it, or by a mount with noexec"
    elif error.errno == errno.ENOEXEC:
        reason = _wrong_format(path)
    else:
        reason = str(error.strerror)
    return SpawnError(f"cannot start {path!r}{_as(identity)}: {reason}", _NOT_EXECUTABLE)


def _hidden(request: SpawnRequest, path: str) -> str:
    """Why the child does not see ``path``, which is there for the daemon; empty when it does."""
    sandbox = request.sandbox
    if sandbox is None or not sandbox.private_tmp:
        return ""
    from cbox_init.system.apply_sandbox import TEMPORARY

    real = os.path.realpath(path)
    for folder in TEMPORARY:
        if real.startswith(f"{folder}/"):
            return f"{sandbox.where}.private_tmp hides what is in {folder}"
    return ""


def _not_found(request: SpawnRequest) -> SpawnError:
    command = request.argv[0]
    if "/" in command:
        where = "no such file"
        if not command.startswith("/"):
            where += f" in {request.cwd!r}" if request.cwd else " in the daemon's working directory"
    elif "PATH" in request.env:
        where = f"looked in PATH={request.env['PATH']!r}"
    else:
        where = f"PATH is not set, looked in {os.defpath!r}"
    hint = "; it contains blanks: write each argument as a word of its own" if " " in command.strip() else ""
    return SpawnError(f"command not found: {command!r} ({where}{hint})", _NOT_FOUND)


def _locate(request: SpawnRequest, cwd: str) -> str | None:
    """The file that exec was tried on, as far as we can see it."""
    command = request.argv[0]
    folders = [""] if "/" in command else os.get_exec_path(request.env)
    for folder in folders:
        path = os.path.join(cwd, folder, command)
        if os.path.exists(path):
            return path
    return None


def _wrong_format(path: str) -> str:
    try:
        with open(path, "rb", opener=regular_only) as file:
            head = file.read(4)
    except OSError:
        head = b"?"
    if not head:
        return "wrong format: the file is empty"
    if head == b"\x7fELF":
        return "wrong format: the program was built for another kind of processor"
    return "wrong format: no program, and no #! line that names an interpreter"


def _explain_value(error: ValueError, request: SpawnRequest) -> SpawnError:
    """What Python refuses to hand to the kernel."""
    texts = {"an argument": request.argv, "the working directory": [request.cwd or ""]}
    for where, values in texts.items():
        if any("\0" in value for value in values):
            return SpawnError(f"cannot start {request.argv[0]!r}: {where} holds a NUL byte", _OTHER)
    for name, value in request.env.items():
        if "=" in name:
            return SpawnError(f"the environment variable {name!r} cannot have '=' in its name", _OTHER)
        if "\0" in name or "\0" in value:
            return SpawnError(f"the environment variable {name!r} holds a NUL byte", _OTHER)
    return SpawnError(f"cannot start {request.argv[0]!r}: {error}", _OTHER)


def _as(identity: Identity | None) -> str:
    return "" if identity is None else f" as user {identity}"


def _out_of_memory() -> SpawnError:
    return SpawnError(
        "out of memory: give the container more, or the daemon a higher limit", _OTHER, shortage=True
    )


def _limit(name: str) -> str:
    import resource

    soft = resource.getrlimit(getattr(resource, name))[0]
    return "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
