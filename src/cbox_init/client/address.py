"""Where the daemon is: given, or found among the usual places."""

from __future__ import annotations

import errno
import os
import socket as sockets
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from cbox_init.errors import ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

USUAL_SOCKETS = ("/var/run/cbox-init.sock", "/tmp/cbox-init.sock", "/run/cbox-init.sock")
USUAL_URL = "http://localhost:9180"
SOCKET_VARIABLES = ("CBOX_INIT_API_SOCKET", "CBOX_INIT_GLOBAL_API_SOCKET")
"""Where a socket's path may stand in the environment: for clients, and the daemon's own override."""

FORBIDDEN = (errno.EACCES, errno.EPERM)


class Address(NamedTuple):
    """One place where a daemon may answer.

    ``url`` is the base of every request; over a Unix socket its host has no meaning. ``tried`` are the
    sockets that were found without a daemon behind them, ``denied`` the first that may not be opened.
    """

    url: str
    socket: str | None = None
    tried: tuple[str, ...] = ()
    denied: str | None = None

    def __str__(self) -> str:
        return self.socket or self.url


def find_address(
    url: str | None,
    socket: str | None,
    environ: Mapping[str, str],
    usual: Iterable[str] = USUAL_SOCKETS,
) -> Address:
    """The address given, or the first Unix socket that a daemon listens on, or http://localhost:9180.

    Raises ClientError when both are given, or the URL is none, and DaemonUnreachable when nothing listens on
    the socket given. Never waits: a socket shows at once whether anyone listens.
    """
    if url is not None and socket is not None:
        raise ClientError("a URL and a socket were both given; give one of them")
    if url is not None:
        return Address(_checked_url(url))
    if socket is not None:
        code = _try_socket(socket)
        if code:
            message = no_permission(socket) if code in FORBIDDEN else no_daemon(f"at {socket}")
            raise DaemonUnreachable(message)
        return Address("http://localhost", socket)
    named = (environ[variable] for variable in SOCKET_VARIABLES if environ.get(variable))
    tried: list[str] = []
    denied: str | None = None
    for path in dict.fromkeys((*named, *usual)):
        code = _try_socket(path)
        if code == 0:
            return Address("http://localhost", path)
        tried.append(path)
        if code in FORBIDDEN:
            denied = denied or path
    return Address(USUAL_URL, None, tuple(tried), denied)


def no_daemon(where: str) -> str:
    """What to say when nothing listens ``where``, such as "at /run/cbox-init.sock"."""
    return (
        f"no daemon answers {where}: is cbox-init running? "
        "start it with `cbox-init serve`, or say where it is with --url"
    )


def no_permission(path: str) -> str:
    """What to say of a socket that may not be opened."""
    return f"no permission to open {path}: run as root or as a member of the socket's group"


def _checked_url(url: str) -> str:
    advice = f"{url!r} is not a URL of an API; write it like {USUAL_URL}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ClientError(advice) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ClientError(advice)
    if parts.username is not None or parts.query or parts.fragment:
        raise ClientError(f"{advice}, and the token by itself")
    return url.rstrip("/")


def _try_socket(path: str) -> int:
    """0 when a daemon listens there, else the errno. EAGAIN is a daemon with a full queue: it listens."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            code = connection.connect_ex(os.fsencode(path))
        except (OSError, ValueError):  # a path too long for a socket, or with a NUL byte
            return errno.EINVAL
    return 0 if code == errno.EAGAIN else code
