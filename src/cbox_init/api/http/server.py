"""Accepts connections on sockets that are bound already, and ends them in good order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from socket import MSG_PEEK, SO_SNDBUF, SOL_SOCKET
from typing import TYPE_CHECKING, Final

from cbox_init.api.http.budget import MemoryBudget
from cbox_init.api.http.connection import Connection
from cbox_init.api.http.connections import Connections, ServedConnection
from cbox_init.api.http.places import is_this_machine, plain_address
from cbox_init.logs.daemon import RepeatedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from ssl import SSLContext

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.api.http.limits import HttpLimits
    from cbox_init.api.http.places import ConnectionPlace
    from cbox_init.logs.daemon import DaemonLog

#: How long nothing is accepted after accept(2) has failed, as for want of descriptors, in seconds.
ACCEPT_AGAIN_S: Final = 1.0

#: Connections that are accepted in one turn of the event loop. More than there are places for probes would
#: end a probe before it is read.
_ACCEPTED_AT_ONCE: Final = 4

#: What is looked at of a request before it has a place.
_PEEKED: Final = 4096
_REFUSED_BODY: Final = b'{"error":"too many connections"}'
_REFUSED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_REFUSED_BODY), _REFUSED_BODY)
)

#: Idle connections that are closed then, and how long nothing is accepted if there were any, in seconds.
_EVICTED_AT_ONCE: Final = 16
MADE_ROOM_S: Final = 0.02

#: What the kernel buffers of a response. By itself it would buffer megabytes for a client that reads slowly.
_SEND_BUFFER: Final = 128 * 1024

#: How long a stream may take to send what it has when the server closes, in seconds.
_STREAM_ENDS_S: Final = 0.5


class HttpServer:
    """Gives each request to ``handler``, which raises nothing.

    With ``tls``, each connection begins with a handshake by the context that it returns. ``exempt`` says of
    which addresses there may be more connections than ``limits.per_address``; ``memory`` can be shared.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Callable[[Exchange], None],
        limits: HttpLimits,
        log: DaemonLog,
        tls: Callable[[], SSLContext] | None = None,
        exempt: Callable[[str], bool] = is_this_machine,
        memory: MemoryBudget | None = None,
    ) -> None:
        self.on_handshake_failed: Callable[[str, str], object] = lambda why, address: None
        """Called with the reason and the address of the client for each TLS handshake that fails."""
        self._loop = loop
        self._tls = tls
        memory = memory or MemoryBudget(limits.memory_bytes)
        self._connections = Connections(loop, limits, handler, exempt, memory)
        if tls is not None:
            failed = RepeatedError(log, "TLS handshakes fail")

            def handshake_failed(why: str, client: tuple[str, int] | None) -> None:
                failed.report(why, client=client[0] if client else None)
                self.on_handshake_failed(why, plain_address(client[0]) if client else "")

            self._connections.handshake_failed = handshake_failed
        self._listeners: list[socket.socket] = []
        self._accepting: dict[asyncio.Task[None], tuple[socket.socket, ConnectionPlace]] = {}
        self._paused: asyncio.TimerHandle | None = None
        self._closed = False
        self._accept_failed = RepeatedError(log, "Connections cannot be accepted, tried again at intervals")

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return self._connections.requests

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._connections.all)

    def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Accept connections from now on."""
        for listener in listeners:
            listener.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)  # what it accepts has the same
            self._listeners.append(listener)
        self._resume()

    def distrust_certificates(self) -> None:
        """The certificate that a client has shown may not be valid any more: it has to show it again.

        Its connection is closed, behind the response if there is one under way.
        """
        for handshake in tuple(self._connections.handshakes):
            handshake.abort()
        for connection in tuple(self._connections.all):
            connection.distrust()

    def stop_accepting(self) -> None:
        """Accept no more connections. The sockets stay open: they belong to who has bound them."""
        self._closed = True
        self._pause()
        for task in tuple(self._accepting):
            task.cancel()
        for handshake in tuple(self._connections.handshakes):
            handshake.abort()

    def abort(self) -> None:
        """Accept no more, and end every connection at once."""
        self.stop_accepting()
        for connection in tuple(self._connections.all):
            connection.abort()

    async def close(self, timeout_s: float) -> None:
        """Accept no more, and let requests that are being answered end within ``timeout_s``.

        Idle connections are closed at once. A stream whose reader does not take the rest is not waited for.
        """
        self.stop_accepting()
        for connection in tuple(self._connections.all):
            connection.shut_down()
        if not await self._drains_within(min(_STREAM_ENDS_S, timeout_s)):
            self._abort(lambda connection: connection.streams)
            if not await self._drains_within(timeout_s):
                self._abort(lambda _: True)
                await self._drains_within(timeout_s)

    # -- accepting -------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        """Accept some connections; the listener stays readable while there are more."""
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._accept_one(listener):
                return

    def _accept_one(self, listener: socket.socket) -> bool:
        """Accept a connection; False when there is none, or there can be none."""
        try:
            connected, address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            # Without descriptors the listener stays readable: trying on would keep the loop busy.
            self._accept_failed.report(error)
            made_room = [self._connections.evict() for _ in range(_EVICTED_AT_ONCE)]
            self._pause()
            again_s = MADE_ROOM_S if any(made_room) else ACCEPT_AGAIN_S
            self._paused = self._loop.call_later(again_s, self._resume)
            return False
        connected.setblocking(False)
        client = address[:2] if isinstance(address, tuple) else None
        place = self._connections.places.admit(
            client, connected.fileno(), lambda: None if self._tls else self._is_probe(connected)
        )
        if place is None:
            self._refuse(connected)
            return True
        task = self._loop.create_task(self._connect(connected, client, place))
        self._accepting[task] = connected, place
        task.add_done_callback(self._connected)
        return True

    def _is_probe(self, connected: socket.socket) -> bool | None:
        """Whether a new connection has sent a probe's request already; None when it has sent nothing."""
        try:
            return self._connections.is_probe(connected.recv(_PEEKED, MSG_PEEK))
        except OSError:
            return None

    def _refuse(self, connected: socket.socket) -> None:
        """End a connection before anything is set up for it: there may be thousands."""
        if self._tls is None:
            with suppress(OSError):
                connected.recv(_PEEKED)  # what is left unread would be a reset, which overtakes the answer
            with suppress(OSError):
                connected.send(_REFUSED)
        connected.close()

    async def _connect(
        self, connected: socket.socket, client: tuple[str, int] | None, place: ConnectionPlace
    ) -> None:
        of, tls = self._connections, self._tls
        if tls is None:
            await self._loop.connect_accepted_socket(lambda: Connection(of, client, place), connected)
            return
        from cbox_init.api.http.tls import TlsTransport

        protocol = TlsTransport(of, Connection(of, client, place, scheme="https"), tls())
        await self._loop.connect_accepted_socket(lambda: protocol, connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        connected, place = self._accepting.pop(task)
        if task.cancelled():
            connected.close()
            place.release()
        elif (error := task.exception()) is not None:  # of one connection: the others go on
            connected.close()
            place.release()
            self._accept_failed.report(error)

    def _pause(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener)

    def _resume(self) -> None:
        self._paused = None
        if self._closed:
            return
        try:
            for listener in self._listeners:
                self._loop.add_reader(listener, self._accept, listener)
        except OSError as error:  # the kernel has no memory for it
            self._accept_failed.report(error)
            self._paused = self._loop.call_later(ACCEPT_AGAIN_S, self._resume)

    # -- the end ---------------------------------------------------------------------------------------

    def _abort(self, chosen: Callable[[ServedConnection], bool]) -> None:
        for connection in tuple(self._connections.all):
            if chosen(connection):
                connection.abort()

    async def _drains_within(self, timeout_s: float) -> bool:
        if self._connections.all:
            self._connections.drained = self._loop.create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._connections.drained
            except TimeoutError:
                return False
        return True
