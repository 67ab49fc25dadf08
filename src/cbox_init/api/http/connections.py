"""All connections of one server: their places, their deadlines, and which one ends to make room."""

from __future__ import annotations

from functools import partial
from math import inf
from time import gmtime, time
from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.api.http.budget import MemoryUser
from cbox_init.api.http.head import HeadParser
from cbox_init.api.http.places import Places
from cbox_init.api.http.turns import ClientTurns

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, TimerHandle, Transport
    from collections.abc import Callable

    from cbox_init.api.http.budget import MemoryBudget
    from cbox_init.api.http.exchange import Exchange
    from cbox_init.api.http.limits import HttpLimits
    from cbox_init.api.http.places import ConnectionPlace

END_OF_HEAD: Final = b"\r\n\r\n"

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ServedConnection(MemoryUser, Protocol):
    """A connection, as its server sees it. ``deadline`` is the time of the loop at which to call `expire`."""

    place: ConnectionPlace
    deadline: float

    @property
    def streams(self) -> bool: ...
    def expire(self) -> None: ...
    def shut_down(self) -> None: ...
    def distrust(self) -> None: ...


class Connections:
    """All connections of one server, with what they share: limits, the handler of requests, one timer."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        limits: HttpLimits,
        handler: Callable[[Exchange], None],
        exempt: Callable[[str], bool],
        memory: MemoryBudget,
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.handler = handler
        self.parser = HeadParser(limits.headers)
        self.places = Places(limits, self.evict, exempt, loop.time)
        self.memory = memory
        self.turns = ClientTurns(loop)
        memory.serve(self)
        self.all: set[ServedConnection] = set()
        self.idle: dict[ServedConnection, None] = {}
        """Those that wait for a request, or send what is not read, in the order in which they began to."""
        self.buffer = memoryview(bytearray(limits.read_bytes))
        self.requests = 0
        """Requests that were answered."""
        self.handshakes: dict[Transport, ConnectionPlace] = {}
        """Connections whose TLS handshake is not done, oldest first."""
        self.handshake_failed: Callable[[str, tuple[str, int] | None], None] = lambda why, client: None
        self.drained: Future[None] | None = None
        self._second = 0
        self._date = b""
        self._timer: TimerHandle | None = None
        self._timer_at = inf

    def date_header(self) -> bytes:
        """The header ``date`` of a response that is made now (RFC 9110 6.6.1)."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = b"date: %b\r\n" % http_date(second).encode()
        return self._date

    def is_probe(self, data: bytes) -> bool | None:
        """Whether ``data`` begins a request of a probe, without a body; None when that is not known yet."""
        method, _, rest = data.partition(b" ")
        target, _, headers = rest.partition(b" ")
        if END_OF_HEAD not in headers:
            return None
        headers = headers.lower()
        return (
            method in (b"GET", b"HEAD")
            and target.partition(b"?")[0] in self.limits.probe_paths
            and not (b"content-length:" in headers or b"transfer-encoding:" in headers)
        )

    def evict(self, address: str | bytes | None = None) -> bool:
        """End a connection for which nothing is done, of one address or of any; False when there is none.

        That is the one that has waited for a request longest, or for its handshake. Then one whose client
        has not taken anything of a response for a while.
        """
        if len(self.handshakes) > len(self.idle) and self._drop_handshake(address):
            return True
        for connection in self.idle:
            if connection.place.counts_for(address) and not connection.unsent:
                connection.place.release()
                connection.close_now()
                return True
        return self._drop_handshake(address) or self._cut_stalled(address)

    def _drop_handshake(self, address: str | bytes | None) -> bool:
        for handshake, place in self.handshakes.items():
            if place.counts_for(address):
                del self.handshakes[handshake]
                place.release()
                handshake.abort()
                return True
        return False

    def _cut_stalled(self, address: str | bytes | None) -> bool:
        now = self.loop.time()
        for connection in self.all:
            if connection.place.counts_for(address) and connection.is_stalled(now):
                connection.place.release()
                connection.abort()
                return True
        return False

    def remove(self, connection: ServedConnection) -> None:
        """A connection has ended."""
        self.all.discard(connection)
        self.idle.pop(connection, None)
        if not self.all:
            if self._timer is not None:
                self._timer.cancel()
                self._timer, self._timer_at = None, inf
            if self.drained is not None and not self.drained.done():
                self.drained.set_result(None)

    def watch(self, deadline: float) -> None:
        """Expire what is due at this time of the loop, at the latest.

        There is one timer, for the earliest deadline; one that was moved to later does not move the timer.
        """
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self.loop.call_at(deadline, self._check)

    def _check(self) -> None:
        self._timer, self._timer_at = None, inf
        now, earliest = self.loop.time(), inf
        for connection in tuple(self.all):
            if connection.deadline <= now:
                self.turns.do(connection.place.share, partial(self._expire, connection))
            else:
                earliest = min(earliest, connection.deadline)
        self.watch(earliest)

    def _expire(self, connection: ServedConnection) -> None:
        if connection.deadline <= self.loop.time():  # not moved since it had to wait
            connection.expire()


def http_date(unix: int) -> str:
    """A time as headers have it (RFC 9110 5.6.7); email.utils would be a megabyte for every probe."""
    year, month, day, hour, minute, second, weekday = gmtime(unix)[:7]
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
