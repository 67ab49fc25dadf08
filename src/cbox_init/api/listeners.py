"""The sockets of the API, bound before any process is started.

Imported at the start of the daemon, so it imports as little as possible.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from cbox_init.api.unix_socket import NoPlaceError, UnixSocket, bind_unix, shown
from cbox_init.errors import ListenError

if TYPE_CHECKING:
    from cbox_init.config.model import AclConfig, GlobalConfig, TlsConfig

#: Connections that the kernel accepts before we do: those that come while the HTTP stack is imported.
BACKLOG: Final = 1024


class Listeners:
    """The listening sockets of the API; connections wait in the backlog until they are accepted.

    With ``tls`` the TCP port is bound, and refuses connections until the certificate is read: `open_tcp`.
    ``missing`` has one line for each socket that could not be opened, with the reason.
    """

    def __init__(
        self,
        unix: UnixSocket | None,
        tcp: tuple[socket.socket, ...] = (),
        missing: tuple[str, ...] = (),
        tls: TlsConfig | None = None,
    ) -> None:
        self.unix = unix
        self.tcp = tcp
        self.missing = missing
        self.tls = tls
        self.tcp_open = tls is None

    @classmethod
    def bind(cls, settings: GlobalConfig) -> Listeners:
        """Open the sockets that ``settings`` ask for. Raises ListenError, with nothing left open.

        Without a writable directory for the Unix socket the daemon starts all the same, unless
        ``api_socket`` is set.
        """
        withheld = _why_withheld(settings)
        missing = [withheld] if withheld else []
        wanted = settings.api_enabled and not withheld
        tls = enabled(settings.api_tls) if wanted else None
        tcp = bind_tcp(settings.api_host, settings.api_port, listen=tls is None) if wanted else ()
        unix = None
        try:
            unix = bind_unix(
                settings.api_socket,
                BACKLOG,
                mode=settings.api_socket_mode,
                group=settings.api_socket_group,
            )
        except NoPlaceError as error:
            missing.append(f"The API has no Unix socket: {error}")
        except BaseException:
            for listener in tcp:
                listener.close()
            raise
        return cls(unix, tcp, tuple(missing), tls)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """All listening sockets."""
        return (self.unix.listener, *self.tcp) if self.unix else self.tcp

    @property
    def serving(self) -> tuple[socket.socket, ...]:
        """The sockets that accept connections."""
        tcp = self.tcp if self.tcp_open else ()
        return (self.unix.listener, *tcp) if self.unix else tcp

    def open_tcp(self) -> None:
        """Accept connections on the TCP port, whose certificate is there now. Raises OSError."""
        for listener in self.tcp:
            listener.listen(BACKLOG)
        self.tcp_open = True

    def addresses(self) -> tuple[str, ...]:
        """The addresses that accept connections, for messages.

        ``unix:/var/run/cbox-init.sock``, ``http://[::]:9180``.
        """
        unix = (f"unix:{self.unix.path}",) if self.unix else ()
        return (*unix, *self.tcp_urls()) if self.tcp_open else unix

    def tcp_urls(self) -> tuple[str, ...]:
        """The URLs of the TCP port, for messages."""
        return tuple(url(listener, tls=self.tls is not None) for listener in self.tcp)

    def hide(self) -> None:
        """Remove the path of the Unix socket, so that no client connects to a socket that does not answer."""
        if self.unix:
            self.unix.unlink()

    def close(self) -> None:
        """Stop listening and remove the path of the Unix socket."""
        self.hide()
        for listener in self.sockets:
            listener.close()


def _why_withheld(settings: GlobalConfig) -> str | None:
    """Why TCP is not opened although it is enabled: it could not be protected as configured."""
    if not settings.api_enabled:
        return None
    problem = acl_problem(settings.api_acl, "global.api_acl")
    return f"The API is not opened on TCP: {problem}" if problem else None


def acl_problem(acl: AclConfig | None, key: str) -> str | None:
    """Why the access list of ``key`` cannot be applied, if it is turned on: an entry that cannot be read."""
    if acl is None or not acl.enabled:
        return None
    from cbox_init.config.acl import bad_entries

    error = next(bad_entries(acl), None)
    return f"{key}.{error.key}[{error.index}]: {error} ({error.hint})" if error else None


def enabled(tls: TlsConfig | None) -> TlsConfig | None:
    """The section, None when it is off."""
    return tls if tls is not None and tls.enabled else None


def bind_tcp(
    host: str,
    port: int,
    host_key: str = "global.api_host",
    port_key: str = "global.api_port",
    *,
    listen: bool = True,
) -> tuple[socket.socket, ...]:
    """Listen on every address that ``host`` stands for ("" is every address of the machine).

    Without ``listen`` the address is taken, and connections are refused.
    Raises ListenError, which names the keys that ``host`` and ``port`` come from, with nothing left open.
    """
    where = f"{shown(host) or '*'}:{port}"
    listeners: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            listeners.append(_listen(family, address, listen=listen))
    except (OSError, ValueError) as error:  # a name such as "a..b" is a ValueError
        for listener in listeners:
            listener.close()
        raise ListenError(_tcp_problem(error, where, host_key, port_key)) from error
    return tuple(listeners)


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    if not host:
        # One socket for IPv6 and mapped IPv4; without IPv6 one for IPv4.
        if socket.has_dualstack_ipv6():
            return [(socket.AF_INET6, ("::", port))]
        return [(socket.AF_INET, ("0.0.0.0", port))]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list({(family, address): None for family, _, _, _, address in found})


def _listen(family: socket.AddressFamily, address: tuple[object, ...], *, listen: bool) -> socket.socket:
    # asyncio sets TCP_NODELAY only if the protocol is given; replies would wait for 40 ms without.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.bind(address)
        if listen:
            listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _tcp_problem(error: OSError | ValueError, where: str, host_key: str, port_key: str) -> str:
    what = f"cannot listen on {where}"
    if isinstance(error, ValueError):
        return f"{what}: {host_key} is neither a name nor an address; give an address of this machine"
    if isinstance(error, socket.gaierror):
        return f"{what}: {host_key} does not resolve ({error.strerror}); give an address of this machine"
    if error.errno == errno.EADDRINUSE:
        return f"{what}: the port is in use; stop what listens there, or set another {port_key}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{what}: no permission; set a {port_key} above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{what}: this machine has no such address; set {host_key} to one that it has"
    return f"{what}: {error.strerror}; see {host_key} and {port_key}"


def url(listener: socket.socket, *, tls: bool = False) -> str:
    """The URL of a TCP socket, for messages."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
