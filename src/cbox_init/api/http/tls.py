"""TLS between the socket of a connection and the HTTP on it.

asyncio's own TLS needs ssl when asyncio is imported, which costs every daemon 4 MB, and 256 KiB for each
connection. Imported only where TLS is enabled.
"""

from __future__ import annotations

import ssl
from asyncio import BufferedProtocol, Transport
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from asyncio import BaseTransport, TimerHandle
    from collections.abc import Callable

    from cbox_init.api.http.connection import Connection
    from cbox_init.api.http.connections import Connections

#: How long a handshake may take, in seconds.
HANDSHAKE_S: Final = 10.0
#: How long a client may take to read why its handshake was refused, in seconds.
_REFUSED_S: Final = 1.0

#: Bytes of one connection that are encrypted in one turn of the event loop: 0.2 ms.
_PIECE_BYTES: Final = 64 * 1024
#: As the transport of a socket: above so much the client takes too slowly.
_HIGH_WATER: Final = 64 * 1024

_PLAIN_BODY: Final = b'{"error":"this port speaks HTTPS: use https:"}'
_PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_PLAIN_BODY), _PLAIN_BODY)
)


class TlsTransport(Transport, BufferedProtocol):
    """The protocol of the socket's transport below, and the transport of the HTTP connection above.

    The connection above begins when the handshake is done. Until then this is in ``of.handshakes``. What is
    written is encrypted in pieces, as the client takes it.
    """

    def __init__(self, of: Connections, above: Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._of = of
        self._above = above
        self._below: Transport = cast("Transport", None)
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._timer: TimerHandle | None = None
        self._open = False  # the handshake is done, and the connection above has not closed
        self._began = False  # the connection above has this as its transport
        self._received = False
        self._eof = False
        self._paused = False
        self._congested = False  # the client takes more slowly than is encrypted
        self._plain: deque[memoryview] = deque()  # what is not encrypted yet
        self._plain_bytes = 0
        self._above_waits = False
        self._scheduled = False
        self._ending: Callable[[], None] | None = None  # what follows when all is encrypted

    # -- of the socket's transport ---------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        self._below = cast("Transport", transport)
        self._above.place.holder = self
        self._of.handshakes[self] = self._above.place
        self._timer = self._of.loop.call_later(HANDSHAKE_S, self._too_slow)

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        self._end_handshake()
        self._above.place.release()
        if self._began:
            self._above.connection_lost(error)
        self._above.place.holder = None
        self._above = cast("Connection", None)  # nothing is called any more that needs it
        vars(self._below).pop("_read_ready_cb", None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._of.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._open and (self._began or self._eof):
            return  # closing, or refused: the rest is dropped
        self._received = True
        self._in.write(self._of.buffer[:nbytes])
        if self._began:
            self._read()
        else:
            # A step of a handshake takes about a millisecond, and thousands may come in one turn.
            self._below.pause_reading()
            self._of.turns.do(self._above.place.share, self._step)

    def eof_received(self) -> bool:
        if not self._began:
            if not self._eof and self._received:  # a check whether the port is open sends nothing
                self._of.handshake_failed("the client has closed the connection", self._above.client)
            return False
        if self._eof:
            return self._open
        self._eof = True
        if not self._above.eof_received():
            self.close()
        return self._open

    def pause_writing(self) -> None:
        self._congested = True
        if self._began:
            self._tell_above()

    def resume_writing(self) -> None:
        self._congested = False
        if self._began:
            self._encrypt_soon()
            self._tell_above()

    # -- of the connection above -----------------------------------------------------------------------

    def get_extra_info(self, name: str, default: object = None) -> object:
        """``peercert`` is the verified certificate of the client, as ssl.SSLObject.getpeercert() gives it."""
        if name == "peercert":
            return self._tls.getpeercert() or default
        return self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._open or self._ending is not None or not data:
            return
        self._plain.append(memoryview(data))
        self._plain_bytes += len(data)
        if not (self._scheduled or self._congested):
            self._encrypt()
        self._tell_above()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Send nothing more. What still comes is dropped."""
        self._end_by(self._below.write_eof)

    def close(self) -> None:
        self._end_by(self._below.close)

    def abort(self) -> None:
        self._forget()
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size() + self._plain_bytes

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self._below.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._below.resume_reading()
            # What was received before the pause, and is not decrypted yet.
            self._of.loop.call_soon(self._read)

    # -- TLS -------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Go on with the handshake by what has come."""
        if self._below.is_closing():
            return
        self._below.resume_reading()
        if self._shake_hands():
            self._read()

    def _shake_hands(self) -> bool:
        """Go on with the handshake; True when it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, ValueError) as error:
            self._refuse(error)
            return False
        self._flush()
        self._end_handshake()
        self._open = self._began = True
        self._above.connection_made(self)
        self._tell_above()
        return True

    def _refuse(self, error: ssl.SSLError | ValueError) -> None:
        """Let the client read the reason before the connection is closed: a reset could overtake it."""
        self._of.handshake_failed(_reason(error), self._above.client)
        self._eof = True
        self._flush()
        if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
            self._below.write(_PLAIN_HTTP)
        self._below.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._of.loop.call_later(_REFUSED_S, self._below.abort)

    def _too_slow(self) -> None:
        self._of.handshake_failed(f"not done after {HANDSHAKE_S:g} s", self._above.client)
        self._below.abort()

    def _end_handshake(self) -> None:
        self._of.handshakes.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        """Decrypt what has come, and hand it on."""
        buffer = self._of.buffer
        try:
            while self._open and not self._paused and not self._eof:
                size = cast("int", self._tls.read(len(buffer), buffer))
                if not size:
                    raise ssl.SSLZeroReturnError
                self._above.buffer_updated(size)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._eof = True
            if not self._above.eof_received():
                self.close()
        except ssl.SSLError:
            self.abort()
            return
        if self._open and self._out.pending:
            # An answer of TLS itself, as to a change of keys. A client that asks for more than it takes has
            # no other limit.
            if self._congested:
                self.abort()
            else:
                self._flush()

    def _encrypt(self) -> None:
        """Encrypt the next piece of what was written. A large response takes many turns of the event loop."""
        self._scheduled = False
        left = _PIECE_BYTES
        try:
            while self._plain and left > 0:
                rest = self._plain[0]
                done = self._tls.write(rest[:left])
                left -= done
                self._plain_bytes -= done
                if done == len(rest):
                    self._plain.popleft()
                else:
                    self._plain[0] = rest[done:]
        except ssl.SSLError:
            self.abort()
            return
        self._flush()
        self._encrypt_soon()
        if not self._plain and self._ending is not None:
            self._end()

    def _encrypt_soon(self) -> None:
        if self._plain and not (self._congested or self._scheduled):
            self._scheduled = True
            self._of.turns.later(self._above.place.share, self._go_on)

    def _go_on(self) -> None:
        if self._congested or not self._plain:
            self._scheduled = False
        else:
            self._encrypt()
            self._tell_above()

    def _tell_above(self) -> None:
        """Let the connection above write more slowly, or again."""
        if not self._open:
            return
        waits = self._congested or self._plain_bytes > _HIGH_WATER
        if waits != self._above_waits:
            self._above_waits = waits
            if waits:
                self._above.pause_writing()
            else:
                self._above.resume_writing()

    def _forget(self) -> None:
        self._open = False
        self._plain.clear()
        self._plain_bytes = 0

    def _end_by(self, ending: Callable[[], None]) -> None:
        """End the connection when all that was written is encrypted."""
        self._ending = ending
        if not self._plain:
            self._end()

    def _end(self) -> None:
        ending, self._ending = self._ending, None
        if self._open:
            self._open = False
            with suppress(ssl.SSLError, ValueError):  # it would wait for the client's
                self._tls.unwrap()
            self._flush()
        if ending is not None:
            ending()

    def _flush(self) -> None:
        if data := self._out.read():
            self._below.write(data)


def _reason(error: ssl.SSLError | ValueError) -> str:
    """Why a handshake has failed, in words: "no shared cipher"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not trusted: {error.verify_message}"
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason.lower().replace("_", " ") if reason else str(error)
