"""The Unix socket of the API: its path, and what to do when the path exists already."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from cbox_init.errors import ListenError
from cbox_init.safe_paths import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.safe_paths.place import Place

#: How long another daemon is waited for that opens a socket in the same folder, in seconds.
LOCK_TAKES_S: Final = 1.0

#: Tried in this order when no ``api_socket`` is set.
USUAL_PATHS: Final = ("/var/run/cbox-init.sock", "/tmp/cbox-init.sock", "/dev/shm/cbox-init.sock")

#: Writable also in a container that is read-only, but containers of a pod may share it.
_SHARED: Final = "/dev/shm/"

#: The mode of the socket by default.
USUAL_MODE: Final = 0o660
_LONGEST_PATH: Final = 107
"""Bytes that fit into the kernel's sockaddr_un with its final NUL."""

_ANOTHER: Final = "set global.api_socket to another path"


class NoPlaceError(ListenError):
    """None of the default directories is writable, as in a read-only container."""


class UnixSocket:
    """A listening socket and its path, which is removed on closing if it is still this socket's."""

    def __init__(self, listener: socket.socket, path: str, place: Place) -> None:
        self.listener = listener
        self.path = path
        self._identity = _identity(place)

    def unlink(self) -> None:
        """Remove the path, so that no client connects to a socket that does not answer."""
        # It may be removed already, or the directory no longer writable.
        with suppress(OSError), locate(self.path, last_link=False) as place:
            if _identity(place) == self._identity:
                place.remove()

    def close(self) -> None:
        """Remove the path and stop listening."""
        self.unlink()
        self.listener.close()


def bind_unix(
    path: str | None,
    backlog: int,
    usual: tuple[str, ...] = USUAL_PATHS,
    *,
    mode: int = USUAL_MODE,
    group: str | None = None,
) -> UnixSocket:
    """Listen on ``path``, or on the first of ``usual`` whose directory is writable.

    The socket gets ``mode``, and belongs to ``group`` (a name or a number) where one is given. Raises
    NoPlaceError when there is no such directory. Raises ListenError in all other cases, also when a running
    daemon uses the path, except below /dev/shm.
    """
    gid = None if group is None else _gid_of(group)

    def bind(candidate: str) -> UnixSocket:
        return _bind(candidate, backlog, mode, gid)

    if path is not None:
        try:
            return bind(path)
        except OSError as error:
            raise ListenError(f"cannot listen on {shown(path)}: {error.strerror}; {_ANOTHER}") from error
    problems = []
    for candidate in usual:
        try:
            return bind(candidate)
        except OSError as error:
            problems.append(f"{candidate}: {error.strerror}")
        except ListenError as error:
            if not candidate.startswith(_SHARED):
                raise
            problems.append(
                str(error).partition(";")[0]
            )  # another container's daemon: go on without a socket
    raise NoPlaceError(f"cannot listen on any usual socket ({'; '.join(problems)}); {_ANOTHER}")


def _gid_of(group: str) -> int:
    if group.isascii() and group.isdigit() and len(group) <= 10:
        return int(group)
    from grp import getgrnam

    try:
        return getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise ListenError(
            f"cannot open the API's socket: no group {group!r}; create it, or correct global.api_socket_group"
        ) from None


def _bind(path: str, backlog: int, mode: int, gid: int | None) -> UnixSocket:
    try:
        size = len(os.fsencode(path))
    except ValueError:  # half of a surrogate pair, as YAML can write it
        size = 0
    if not size or "\0" in path:
        raise ListenError(f"cannot listen on {path!r}: this is not a path; {_ANOTHER}")
    if size > _LONGEST_PATH:
        raise ListenError(f"cannot listen on {shown(path)}: longer than {_LONGEST_PATH} bytes; {_ANOTHER}")
    with locate(path, last_link=False) as place, _locked_directory(place):
        _remove_dead(path, place)
        return UnixSocket(_listen(path, place, backlog, mode, gid), path, place)


def _listen(path: str, place: Place, backlog: int, mode: int, gid: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Created with its mode, so that it is never open to others. No other thread runs yet that could create
    # a file meanwhile.
    umask = os.umask(0o777 & ~mode)
    try:
        listener.bind(place.address(_LONGEST_PATH))
        if gid is not None:
            _give_to_group(path, place, gid)
        listener.listen(backlog)
        listener.setblocking(False)
        return listener
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(umask)


def _give_to_group(path: str, place: Place, gid: int) -> None:
    try:
        place.change_group(gid)
    except (OSError, OverflowError) as error:
        place.remove()
        why = error.strerror if isinstance(error, OSError) else "no such group"
        raise ListenError(
            f"cannot give {shown(path)} to group {gid}: {why}; "
            "correct global.api_socket_group, or run the daemon as root or as a member of that group"
        ) from error


@contextmanager
def _locked_directory(place: Place) -> Iterator[None]:
    """Lock a directory, so that two daemons do not replace the same stale socket, or each other's.

    Continues without the lock when the directory cannot be locked, or not in time.
    """
    try:
        descriptor = place.directory()
    except OSError:  # not readable; a problem with the path is reported when it is used
        yield
        return
    try:
        until = time.monotonic() + LOCK_TAKES_S
        while not _locked(descriptor) and time.monotonic() < until:
            time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # the file system does not support locks
    return True


def _remove_dead(path: str, place: Place) -> None:
    """Remove a stale socket at ``path``. Raises ListenError when something else is there."""
    found = place.status()
    if found is None:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(f"cannot listen on {shown(path)}: this is not a socket; remove it, or {_ANOTHER}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(place.address(_LONGEST_PATH))
        if code == errno.ECONNREFUSED:
            place.remove()
        elif code != errno.ENOENT:
            raise ListenError(
                f"cannot listen on {shown(path)}: {_owner(probe, code)}; stop it, or {_ANOTHER}"
            )


def _owner(probe: socket.socket, code: int) -> str:
    """Describes the process that listens at the other end of ``probe``."""
    if code:
        return "another program listens there"
    credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid = int.from_bytes(credentials[:4], sys.byteorder)
    return f"process {pid} listens there" if pid else "a process of another container listens there"


def shown(text: str) -> str:
    """A host or a path as a message shows it: in one line, whatever it is."""
    return text if text.isprintable() and text == text.strip() else repr(text)


def _identity(place: Place) -> tuple[int, int] | None:
    found = place.status()
    return (found.st_dev, found.st_ino) if found is not None else None
