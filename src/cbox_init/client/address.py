"""Where the daemon is (given, or found in the usual places), and what is sent to it with every request."""

from __future__ import annotations

import errno
import os
import socket as sockets
from typing import TYPE_CHECKING, NamedTuple, Self

from cbox_init import __version__
from cbox_init.errors import ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

USUAL_SOCKETS = (
    "/var/run/cbox-init.sock",
    "/tmp/cbox-init.sock",
    "/run/cbox-init.sock",
    "/dev/shm/cbox-init.sock",
)
USUAL_URL = "http://localhost:9180"
SOCKET_VARIABLES = ("CBOX_INIT_API_SOCKET", "CBOX_INIT_GLOBAL_API_SOCKET")
"""Variables with the path of the socket: for clients, and the override of the daemon's configuration."""

TOKEN_VARIABLE = "CBOX_INIT_API_AUTH"
CA_VARIABLE = "CBOX_INIT_API_CA"
CERTIFICATE_VARIABLE = "CBOX_INIT_API_CERT"
KEY_VARIABLE = "CBOX_INIT_API_KEY"

FORBIDDEN = (errno.EACCES, errno.EPERM)


class DaemonAddress(NamedTuple):
    """An address at which a daemon may answer.

    ``url`` is the base of every request; over a Unix socket its host has no meaning. ``tried`` are the
    sockets at which no daemon was found, ``denied`` the first of them without permission.
    """

    url: str
    socket: str | None = None
    tried: tuple[str, ...] = ()
    denied: str | None = None

    def __str__(self) -> str:
        return self.socket or self.url


class ClientTls(NamedTuple):
    """PEM files for an https URL.

    ``ca`` has the authorities that may have signed the daemon's certificate, by default the public ones,
    ``certificate`` that of the client, and its ``key`` if that is in another file.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class ClientSettings(NamedTuple):
    """The address, the headers of every request, the time limit of each wait, and the files for https."""

    address: DaemonAddress
    headers: dict[str, str]
    timeout_s: float
    tls: ClientTls = ClientTls()

    @classmethod
    def of(
        cls,
        url: str | None,
        socket: str | None,
        token: str | None,
        timeout_s: float,
        tls: ClientTls = ClientTls(),  # noqa: B008
    ) -> Self:
        """Settings as given by the caller, completed from the environment. Raises ClientError."""
        address = find_address(url, socket, os.environ)
        headers = {
            "User-Agent": f"cbox-init/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if token is None:
            token = os.environ.get(TOKEN_VARIABLE)
        # A Unix socket has permissions; an unknown server at one of the usual paths must not get the token.
        if token and address.socket is None:
            headers["Authorization"] = f"Bearer {_checked_token(token)}"
        given = zip(tls, (CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE), strict=True)
        return cls(
            address,
            headers,
            timeout_s,
            ClientTls(*(path or os.environ.get(variable) or None for path, variable in given)),
        )


def find_address(
    url: str | None,
    socket: str | None,
    environ: Mapping[str, str],
    usual: Iterable[str] = USUAL_SOCKETS,
) -> DaemonAddress:
    """The given address, or the first Unix socket on which a daemon listens, or http://localhost:9180.

    Raises ClientError when both are given or the URL is invalid, and DaemonUnreachable when nothing listens
    on the given socket. Does not wait: a Unix socket refuses at once when nothing listens.
    """
    if url is not None and socket is not None:
        raise ClientError("a URL and a socket were both given; give one of them")
    if url is not None:
        return DaemonAddress(_checked_url(url))
    if socket is not None:
        code = _try_socket(socket)
        if code:
            message = no_permission(socket) if code in FORBIDDEN else no_daemon(f"at {socket}")
            raise DaemonUnreachable(message)
        return DaemonAddress("http://localhost", socket)
    named = (environ[variable] for variable in SOCKET_VARIABLES if environ.get(variable))
    tried: list[str] = []
    denied: str | None = None
    for path in dict.fromkeys((*named, *usual)):
        code = _try_socket(path)
        if code == 0:
            return DaemonAddress("http://localhost", path)
        tried.append(path)
        if code in FORBIDDEN:
            denied = denied or path
    return DaemonAddress(USUAL_URL, None, tuple(tried), denied)


def no_daemon(where: str) -> str:
    """The message when nothing listens ``where``, such as "at /run/cbox-init.sock"."""
    return (
        f"no daemon answers {where}: is cbox-init running? "
        "start it with `cbox-init serve`, or say where it is with --url"
    )


def no_permission(path: str) -> str:
    """The message for a socket without permission."""
    return f"no permission to open {path}: run as root or as a member of the socket's group"


def _checked_url(url: str) -> str:
    from urllib.parse import urlsplit

    from cbox_init.sensitive import without_secrets

    advice = f"{without_secrets(url)!r} is not a URL of an API; write it like {USUAL_URL}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ClientError(advice) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ClientError(advice)
    if parts.username is not None or parts.query or parts.fragment:
        raise ClientError(f"{advice}, and give the token separately")
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    token = token.strip().removeprefix("Bearer ").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError(
            "the token has characters that an HTTP header cannot carry; look for line breaks in it"
        )
    return token


def _try_socket(path: str) -> int:
    """0 when a daemon listens there, else the errno. A daemon with a full queue gives EAGAIN."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            code = connection.connect_ex(os.fsencode(path))
        except (OSError, ValueError):  # a path too long for a socket, or with a NUL byte
            return errno.EINVAL
    return 0 if code == errno.EAGAIN else code
