"""Decides which client may use a port with an access list, for the API, the metrics and the check of a file.

Pure. Addresses are compared as numbers, so that the module `ipaddress` (3 ms) is not needed.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.model import AclMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.config.model import AclConfig

#: Proxies that one request may have passed; a request with more is refused.
MOST_HOPS: Final = 32

_MAPPED: Final = 0xFFFF << 32  # ::ffff:0:0/96, in which IPv6 holds the addresses of IPv4
_FORMS: Final = "write 10.0.0.5, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32"


class IpAddress(NamedTuple):
    """An address of IPv4 (32 bits) or IPv6 (128). An IPv4 address that is mapped into IPv6 is one of IPv4."""

    bits: int
    number: int

    def __str__(self) -> str:
        family = AF_INET if self.bits == 32 else AF_INET6
        return inet_ntop(family, self.number.to_bytes(self.bits // 8))


class Network(NamedTuple):
    """All addresses that begin with the first ``prefix`` bits of ``base``."""

    base: IpAddress
    prefix: int

    def __contains__(self, address: object) -> bool:
        base = self.base
        return (
            isinstance(address, IpAddress)
            and address.bits == base.bits
            and not (address.number ^ base.number) >> (base.bits - self.prefix)
        )

    def __str__(self) -> str:
        return f"{self.base}/{self.prefix}"


class _Networks:
    """Networks by the length of their prefixes, so that a long list takes as long as a short one."""

    def __init__(self, entries: Sequence[str]) -> None:
        by_prefix: dict[tuple[int, int], set[int]] = {}
        for base, prefix in map(parse_network, entries):
            free = base.bits - prefix
            by_prefix.setdefault((base.bits, free), set()).add(base.number >> free)
        self._by_prefix = tuple(by_prefix.items())

    def __bool__(self) -> bool:
        return bool(self._by_prefix)

    def __contains__(self, address: IpAddress) -> bool:
        bits, number = address
        return any(bits == of and number >> free in bases for (of, free), bases in self._by_prefix)


class BadEntryError(ValueError):
    """An entry that is not an address or CIDR: the ``key`` of its list, its index, and how to fix it."""

    def __init__(self, message: str, hint: str, key: str = "", index: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key
        self.index = index


class AccessDecision(NamedTuple):
    """Whether a request is allowed, and the address of its client: None when the request does not say."""

    allowed: bool
    client: IpAddress | None


class AccessList:
    """The access list of one port. Raises BadEntryError for an entry that cannot be read."""

    def __init__(self, config: AclConfig) -> None:
        for error in bad_entries(config):
            raise error
        self._only_allowed = config.mode is AclMode.ALLOW
        self._allow = _Networks(config.allow_list)
        self._deny = _Networks(config.deny_list)
        self._proxies = _Networks(config.trusted_proxies)
        if config.trust_proxy and not self._proxies:
            self._proxies = self._allow

    def trusts(self, peer: str) -> bool:
        """Whether ``peer`` is a proxy whose X-Forwarded-For counts."""
        address = parse_address(peer)
        return address is not None and address in self._proxies

    def decide(self, peer: str, forwarded: Sequence[str] = ()) -> AccessDecision:
        """Whether the client of a connection from ``peer`` is allowed.

        ``forwarded`` holds the X-Forwarded-For headers in their order. Only what a trusted proxy has added
        counts: from the last entry back to the first that is no trusted proxy, which is the client. A denied
        address on the way refuses the request, and so does an entry that is no address.
        """
        address = parse_address(peer)
        hops = _entries(forwarded)
        for _ in range(MOST_HOPS):
            if address is None or address in self._deny:
                return AccessDecision(False, address)
            entry = next(hops, None) if address in self._proxies else None
            if entry is None:
                allowed = not self._only_allowed or address in self._allow
                return AccessDecision(allowed, address)
            address = parse_address(_without_port(entry))
        return AccessDecision(False, address)


def bad_entries(config: AclConfig) -> Iterator[BadEntryError]:
    """The entries of all lists that cannot be read."""
    for key, entries in (
        ("allow_list", config.allow_list),
        ("deny_list", config.deny_list),
        ("trusted_proxies", config.trusted_proxies),
    ):
        for index, entry in enumerate(entries):
            try:
                parse_network(entry)
            except BadEntryError as error:
                yield BadEntryError(str(error), error.hint, key, index)


def parse_address(text: str) -> IpAddress | None:
    """The address that ``text`` is, without the zone of a link-local one; None when it is none."""
    text = text.partition("%")[0]
    try:
        if ":" not in text:
            return IpAddress(32, int.from_bytes(inet_pton(AF_INET, text)))
        number = int.from_bytes(inet_pton(AF_INET6, text))
    except (OSError, ValueError):  # ValueError: a NUL, or not ASCII
        return None
    return IpAddress(32, number & 0xFFFFFFFF) if number >> 32 << 32 == _MAPPED else IpAddress(128, number)


def parse_network(text: str) -> Network:
    """The network of an address or a CIDR. Raises BadEntryError."""
    text = text.strip()
    given, slash, length = text.partition("/")
    if "%" in text:
        message = f"{text!r} has a zone, and an access list has none"
        raise BadEntryError(message, "write the address without % and what follows")
    base = parse_address(given)
    if base is None:
        raise BadEntryError(f"{text!r} is not an address or CIDR", _FORMS)
    written_bits = 128 if ":" in given else 32
    prefix = written_bits
    if slash:
        prefix = int(length) if length.isascii() and length.isdigit() and len(length) <= 3 else -1
        if not 0 <= prefix <= written_bits:
            raise BadEntryError(
                f"{text!r} is not an address or CIDR: after / there is a number from 0 to {written_bits}",
                _FORMS,
            )
    if written_bits > base.bits:
        prefix -= 96
        if prefix < 0:
            raise BadEntryError(
                f"{text!r} is wider than all addresses of IPv4", "write 0.0.0.0/0 and ::/0 for all addresses"
            )
    network = Network(IpAddress(base.bits, _masked(base, prefix)), prefix)
    if network.base != base:
        raise BadEntryError(
            f"{text!r} has bits set behind its prefix", f"write {network} for the network, or {base} alone"
        )
    return network


def _masked(base: IpAddress, prefix: int) -> int:
    free = base.bits - prefix
    return base.number >> free << free


def _entries(forwarded: Sequence[str]) -> Iterator[str]:
    """The entries of the headers, last one first; empty ones mean nothing (RFC 9110 5.6.1).

    Of a header with too many only the last ones are split; what is left is not an address.
    """
    for value in reversed(forwarded):
        for entry in reversed(value.rsplit(",", 2 * MOST_HOPS)):
            if entry := entry.strip(" \t"):
                yield entry


def _without_port(entry: str) -> str:
    """The address of ``1.2.3.4:5678``, ``[2001:db8::1]:5678`` or ``[2001:db8::1]``, as some proxies write."""
    if entry.startswith("["):
        address, _, port = entry[1:].partition("]")
        return address if not port or (port[0] == ":" and port[1:].isdecimal()) else ""
    address, _, port = entry.partition(":")
    return address if port.isdecimal() else entry
