"""Finds daemons by SRV records of DNS (RFC 2782), as Consul and headless services of Kubernetes have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.errors import ClientError
from cbox_init.fleet.targets import DaemonTarget

if TYPE_CHECKING:
    from dns.resolver import Resolver

_DNS_PORT: Final = 53


def targets_of(name: str, scheme: str, timeout_s: float, server: str | None = None) -> list[DaemonTarget]:
    """The targets of the SRV records of ``name``, by priority, then by weight, the largest first.

    ``server`` is the address of a DNS server, with its port if that is not 53; by default that of
    /etc/resolv.conf is asked. Raises ClientError. Blocks for at most ``timeout_s``.
    """
    try:
        import dns.exception
        import dns.resolver
    except ModuleNotFoundError:
        raise ClientError("SRV records need dnspython: pip install 'cbox-init[fleet]'") from None

    try:
        answer = _resolver(server).resolve(name, "SRV", lifetime=timeout_s)
    except dns.resolver.NXDOMAIN:
        raise ClientError(f"{name}: there is no such name in DNS") from None
    except dns.resolver.NoAnswer:
        raise ClientError(f"{name}: the name has no SRV records") from None
    except dns.resolver.LifetimeTimeout:
        raise ClientError(f"{name}: no DNS server has answered within {timeout_s:g} s") from None
    except (dns.exception.DNSException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ClientError(f"{name}: DNS cannot be asked: {reason}") from None
    records = sorted(answer, key=lambda record: (record.priority, -record.weight, str(record.target)))
    found = [(str(record.target).rstrip("."), record.port) for record in records]
    return [DaemonTarget(f"{host}:{port}", f"{scheme}://{host}:{port}") for host, port in found if host]


def _resolver(server: str | None) -> Resolver:
    from dns.resolver import Resolver

    if server is None:
        return Resolver()
    host, _, port = server.rpartition(":") if server.count(":") == 1 or "]" in server else (server, "", "")
    resolver = Resolver(configure=False)
    resolver.nameservers = [(host or server).strip("[]")]
    resolver.port = int(port) if port.isascii() and port.isdigit() else _DNS_PORT
    return resolver
