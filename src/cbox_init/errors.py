"""Every error that cbox-init raises on purpose.

    CboxError
    ├── ConfigError            the configuration cannot be used; has every problem found
    ├── PatternError           a regular expression that cannot be used; says why
    ├── SpawnError             a child could not be started; has the reason and the exit code of a shell
    ├── CheckFailed            a health check: the instance is not well, or cannot be asked
    ├── ListenError            a port or socket cannot be opened
    ├── TlsFileError           a certificate or key that cannot be used; names its setting
    ├── AutotuneError          a profile, share or size for PHP-FPM that cannot be used
    │   └── PoolDoesNotFit     there is not enough memory for a pool of that profile
    ├── ImportFailed           a file of another process manager cannot be imported
    ├── UnsafePathError        a path that another user could lead elsewhere; an OSError as well
    ├── RequestRefused         a command that cannot be accepted
    │   ├── UnknownProcess     no process of that name
    │   ├── UnknownInstance    no instance of that id
    │   ├── NothingSelected    no process matches a pattern, or is in a group
    │   ├── UnknownNotification no notification of that name
    │   ├── NotScheduled       it has no schedule
    │   ├── Conflict           not in this state
    │   │   ├── NotApplied     a configuration cannot be put in force now
    │   │   └── NotSaved       the configuration file cannot be written
    │   ├── NotAudited         audit_required, and the audit record cannot be written
    │   └── InvalidScale       a number of instances outside the limits
    ├── ScaffoldError          a scaffold cannot be made or written
    └── ClientError            the daemon cannot be reached, or refuses
        ├── DaemonUnreachable
        └── ApiError           an answer with an error status

A message says what is wrong, where, and how to fix it, in one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.config.problems import Problem


class CboxError(Exception):
    """Base of all errors of this package; ``str()`` of it is one line for a person."""


class ConfigError(CboxError):
    """The configuration cannot be used.

    ``problems`` holds every problem found (errors, warnings and suggestions), in the order of the file.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class PatternError(CboxError):
    """A regular expression cannot be used. The message goes on after "the pattern"."""


class SpawnError(CboxError):
    """A child could not be started.

    ``exit_code`` is what a shell would report: 127 not found, 126 found but not executable, 1 otherwise.
    ``shortage``: the machine had no process, thread, memory or descriptor left, or a mount did not answer.
    That is worth another try, and no fault of the program.
    """

    def __init__(self, message: str, exit_code: int = 1, *, shortage: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.shortage = shortage


def is_shortage(error: BaseException) -> bool:
    """Whether this machine had no process, thread, memory or descriptor left: worth another try."""
    if isinstance(error, SpawnError):
        return error.shortage
    if isinstance(error, RuntimeError):
        return "can't start new thread" in str(error)
    if not isinstance(error, OSError):
        return isinstance(error, MemoryError)
    from errno import EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM

    return error.errno in (EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM)


class CheckFailed(CboxError):
    """A health check has failed; the message is the reason."""


class ListenError(CboxError):
    """A port or a socket cannot be opened; nothing has been started yet."""


class ImportFailed(CboxError):
    """A file of another process manager cannot be imported; the message names it, its line and the reason."""


class TlsFileError(CboxError):
    """A certificate, key or setting of TLS cannot be used.

    ``key`` is its name within the section; ``gone`` when the file does not exist here.
    """

    def __init__(self, key: str, message: str, hint: str, *, gone: bool = False) -> None:
        super().__init__(f"{key}: {message} ({hint})")
        self.key = key
        self.message = message
        self.hint = hint
        self.gone = gone


class AutotuneError(CboxError):
    """PHP-FPM cannot be sized: a profile, a share or a size is wrong, or there is nothing to measure."""


class PoolDoesNotFit(AutotuneError):
    """There is not enough memory for a pool of PHP-FPM."""


class UnsafePathError(CboxError, PermissionError):
    """A path is not used, for another user could lead it to a file that is not theirs.

    ``why`` goes on with how to fix it; ``strerror`` has it with the path.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(1, f"refused, {path}: {why}")  # EPERM
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return str(self.strerror)


class RequestRefused(CboxError):
    """A command that the supervisor cannot accept."""


class UnknownProcess(RequestRefused):
    """No process of that name is configured."""

    def __init__(self, name: str) -> None:
        super().__init__(f"process not found: {name}")
        self.name = name


class UnknownInstance(RequestRefused):
    """No instance has that id now."""

    def __init__(self, identity: str) -> None:
        super().__init__(f"instance not found: {identity[:200]}")


class NothingSelected(RequestRefused):
    """A selector selects no process."""

    def __init__(self, selector: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        super().__init__(f"no process matches {selector[:200]!r}; there are {shown or 'none'}")


class UnknownChange(RequestRefused):
    """No change of that id is kept."""


class UnknownNotification(RequestRefused):
    """No notification of that name is configured and enabled."""

    def __init__(self, name: str) -> None:
        super().__init__(f"notification not found: {name}")


class NotScheduled(RequestRefused):
    """The process has no schedule."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no schedule: set processes.{name}.schedule")


class Conflict(RequestRefused):
    """The command does not fit the process's state or settings."""


class NotSaved(Conflict):
    """The configuration file cannot be written; it is as it was."""


class NotApplied(Conflict):
    """A configuration cannot be put in force: the system refuses a resource. Nothing has changed."""


class NotAudited(RequestRefused):
    """A change is refused, because its audit record cannot be written (``audit_required``)."""


class InvalidScale(RequestRefused):
    """A number of instances that the process cannot have."""


class ScaffoldError(CboxError):
    """A scaffold cannot be made or written."""


class ClientError(CboxError):
    """The daemon cannot be reached, or it refused."""


class DaemonUnreachable(ClientError):
    """Nothing answers at that address, or it cannot be opened."""


class ApiError(ClientError):
    """The daemon answered with an error status. ``details`` has an entry for each problem, if any."""

    def __init__(self, status: int, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.details = tuple(details)
