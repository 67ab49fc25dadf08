"""Limits the connections of one server, in all and of one address, and keeps places for probes.

A connection above a limit takes the place of one that is idle. Where none is idle, it gets one of a few
further places, in which only probes are answered. The newest connections have those, so that a probe is
answered whatever holds all others.
"""

from __future__ import annotations

from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from socket import AF_INET6, inet_pton
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.api.http.limits import HttpLimits

#: The share of the limit of open files that connections of all servers may take, and the least.
_SHARE_OF_FILES: Final = 4
_FEWEST_CONNECTIONS: Final = 16
_FEWEST_OF_A_SERVER: Final = 4

#: Descriptors that connections leave to the starts of children, and the least where the limit is low.
_LEFT_TO_CHILDREN: Final = 32
_LEAST_LEFT: Final = 8
_LEAST_LEFT_BY_ALL: Final = 2

_MAPPED: Final = "::ffff:"

#: Stands for the address of probes: the newest of them are answered, whatever else their address asks for.
_PROBES: Final = "probes"


class Holder(Protocol):
    """What has a place."""

    def abort(self) -> None: ...


class ConnectionPlace:
    """The place of one connection, from accept(2) to its end.

    With ``probe`` it is one in which only probes are answered.
    """

    __slots__ = ("_places", "address", "holder", "probe")

    def __init__(self, places: Places, address: str | bytes | None, *, probe: bool) -> None:
        self._places: Places | None = places
        self.address = address
        self.probe = probe
        self.holder: Holder | None = None

    @property
    def share(self) -> str | bytes | None:
        """With what it shares the turns of the event loop: connections of its address, or other probes."""
        return _PROBES if self.probe else self.address

    def counts_for(self, address: str | bytes | None) -> bool:
        """Whether its end would make room for a connection of an address, or for one of any (None)."""
        return self._places is not None and not self.probe and (address is None or address == self.address)

    def release(self) -> None:
        """The connection has ended, or ends now. May be called again."""
        places, self._places = self._places, None
        if places is not None:
            places.remove(self)


class Places:
    """The places of one server.

    ``evict`` ends something idle, of one address or of any (None), and says whether there was something.
    ``exempt`` says whether an address may have any number of them.
    """

    def __init__(
        self,
        limits: HttpLimits,
        evict: Callable[[str | bytes | None], bool],
        exempt: Callable[[str], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._evict = evict
        self._exempt = exempt
        self._clock = clock
        self._next_second: dict[str | bytes, float] = {}  # when an address has all its replacements again
        self._per_address = limits.per_address
        self._most_probes = limits.probe_places
        self._most, self._last_descriptor, left = _shares(limits)
        self._most_probes_crowded = max(1, left // 8)
        self._taken = 0
        self._by_address: dict[str | bytes, int] = {}
        self._probes: dict[ConnectionPlace, None] = {}

    @property
    def taken(self) -> int:
        """Places that are taken, without those of probes."""
        return self._taken

    def admit(
        self,
        client: tuple[str, int] | None,
        descriptor: int,
        is_probe: Callable[[], bool | None] = lambda: None,
    ) -> ConnectionPlace | None:
        """A place for a connection that was accepted; its descriptor was the lowest free one.

        Where all that is left are places for probes, ``is_probe`` says whether it is one, None when that is
        not known yet. The result is None when it gets no place: an address at its limit gets as many further
        connections a second as its limit is, so that others need not wait behind thousands of them.
        """
        crowded = descriptor >= self._last_descriptor
        address, room = None, True
        if client is not None:
            address = address_key(client[0])
            if self._by_address.get(address, 0) >= self._per_address > 0:
                room = self._exempt(client[0])
                if not room and not self._may_replace(address):
                    return self._for_probe(address, crowded=crowded) if is_probe() else None
                room = room or self._evict(address)
        if room and (crowded or self._taken >= self._most):
            room = self._evict(None)
        if not room:
            return None if is_probe() is False else self._for_probe(address, crowded=crowded)
        self._taken += 1
        if address is not None:
            self._by_address[address] = self._by_address.get(address, 0) + 1
        return ConnectionPlace(self, address, probe=False)

    def _for_probe(self, address: str | bytes | None, *, crowded: bool) -> ConnectionPlace:
        """A place for a probe; the oldest of them ends when there are too many."""
        place = ConnectionPlace(self, address, probe=True)
        most = self._most_probes_crowded if crowded else self._most_probes
        while len(self._probes) >= most:
            oldest = next(iter(self._probes))
            oldest.release()
            if oldest.holder is not None:
                oldest.holder.abort()
        self._probes[place] = None
        return place

    def _may_replace(self, address: str | bytes) -> bool:
        """Whether an address at its limit has another connection left of those of this second."""
        now = self._clock()
        full = max(self._next_second.get(address, now), now) + 1 / self._per_address
        if full > now + 1:
            return False
        self._next_second[address] = full
        return True

    def remove(self, place: ConnectionPlace) -> None:
        """For `ConnectionPlace.release`."""
        if place.probe:
            self._probes.pop(place, None)
            return
        self._taken -= 1
        if place.address is not None:
            left = self._by_address[place.address] - 1
            if left:
                self._by_address[place.address] = left
            else:
                del self._by_address[place.address]
                self._next_second.pop(place.address, None)


def plain_address(host: str) -> str:
    """An address as people write it: a socket for both families shows one of IPv4 mapped into IPv6."""
    return host.removeprefix(_MAPPED) if "." in host else host


def address_key(host: str) -> str | bytes:
    """What counts as one address: one of IPv4, also mapped into IPv6, or a /64 of IPv6.

    Whoever has one address of IPv6 has the whole /64.
    """
    host = plain_address(host)
    if ":" not in host:
        return host
    return inet_pton(AF_INET6, host.partition("%")[0])[:8]


def is_this_machine(host: str) -> bool:
    """Whether a peer is on a loopback address."""
    host = plain_address(host)
    return host.startswith("127.") or host == "::1"


def _shares(limits: HttpLimits) -> tuple[float, float, int]:
    """Connections of a server, the first descriptor that none may have, and those left to children."""
    files = getrlimit(RLIMIT_NOFILE)[0]
    if files == RLIM_INFINITY:
        return limits.connections * limits.eighths // 8, float("inf"), _LEFT_TO_CHILDREN
    left = min(_LEFT_TO_CHILDREN, max(_LEAST_LEFT, files // 4))
    if limits.urgent:
        left = _LEAST_LEFT_BY_ALL
    of_all = min(limits.connections, max(files // _SHARE_OF_FILES, _FEWEST_CONNECTIONS))
    return max(of_all * limits.eighths // 8, _FEWEST_OF_A_SERVER), files - left, left
