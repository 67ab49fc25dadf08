"""What the kernel and TLS say about the other end of a connection: its process, or its certificate."""

from __future__ import annotations

import socket
import struct
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, cast

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Iterable

_CREDENTIALS: Final = struct.Struct("iII")
_SO_PEERGROUPS: Final = 59  # the module socket does not name it
_GROUP: Final = struct.Struct("I")
_LARGEST_OPTION: Final = 1024  # of Python's getsockopt: 256 groups

#: The names of RFC 4514 for what OpenSSL spells out.
_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "domainComponent": "DC",
    "userId": "UID",
}


class Peer(NamedTuple):
    """The other end of a connection, as far as it is known.

    ``uid``, ``pid`` and ``groups`` are those of the process that has connected to a Unix socket; ``pid`` is 0
    when it is in another PID namespace. ``subject`` ("CN=deploy", "O=Example") and ``names`` (subjectAltName:
    "DNS:deploy.example.com") are of a client certificate that was verified, and that is valid until
    ``expires``, in Unix seconds.
    """

    uid: int | None = None
    pid: int | None = None
    groups: tuple[int, ...] = ()
    subject: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    expires: float = inf


def peer_of(transport: BaseTransport) -> Peer:
    """The other end of ``transport``; an empty Peer for TCP without a client certificate."""
    certificate = transport.get_extra_info("peercert")
    if certificate:
        return _of_certificate(certificate)
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family != socket.AF_UNIX:
        return Peer()
    try:
        data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return Peer()
    pid, uid, gid = _CREDENTIALS.unpack(data)
    return Peer(uid, pid, (gid, *_other_groups(connected)))


def _other_groups(connected: socket.socket) -> tuple[int, ...]:
    """The supplementary groups that the process had when it connected.

    None with a kernel before 4.13, and for a process with more than 256.
    """
    try:
        data = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LARGEST_OPTION)
    except OSError:
        return ()
    return tuple(gid for (gid,) in _GROUP.iter_unpack(data))


def _of_certificate(certificate: dict[str, object]) -> Peer:
    parts = cast("Iterable[Iterable[tuple[str, str]]]", certificate.get("subject", ()))
    names = cast("Iterable[tuple[str, str]]", certificate.get("subjectAltName", ()))
    from ssl import cert_time_to_seconds  # loaded already where there are certificates

    return Peer(
        subject=tuple(f"{_SHORT.get(key, key)}={value}" for part in parts for key, value in part),
        names=tuple(f"{kind}:{value}" for kind, value in names),
        expires=cert_time_to_seconds(cast("str", certificate["notAfter"])),
    )
