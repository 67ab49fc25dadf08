"""One connection: reads requests one after another, and gives each to the server's handler."""

from __future__ import annotations

from asyncio import BufferedProtocol
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, cast

from cbox_init.api.http.body import ChunkedBody, SizedBody
from cbox_init.api.http.connections import END_OF_HEAD
from cbox_init.api.http.exchange import Exchange
from cbox_init.api.http.head import CHUNKED, HttpError, RequestHead, bad_request
from cbox_init.api.http.peer import Peer, peer_of

if TYPE_CHECKING:
    from asyncio import BaseTransport, Future, Transport

    from cbox_init.api.http.connections import Connections
    from cbox_init.api.http.places import ConnectionPlace

#: Bytes that a client must take of a response within ``write_s``, so that none holds it by single bytes.
_LEAST_TAKEN: Final = 4096

#: What a connection may hold without being counted: most requests, and most responses are taken at once.
_UNCOUNTED: Final = 4096
#: What comes at once and is not counted before it is answered: no more than some requests that are small.
_QUICK: Final = 1024
#: What a header takes besides its bytes.
_HEADER_BYTES: Final = 150
_NO_MEMORY: Final = "too much memory is taken by requests and responses; see api_memory_budget"

#: Stands for a request whose head could not be read, so that its refusal goes the way of every response.
_UNREADABLE: Final = RequestHead("", b"", "1.1", [], 0, False, False)


class Connection(BufferedProtocol):
    """Serves the requests of one client in their order.

    A head is parsed when all of it is there, so that no more requests are read ahead than the limits say.
    ``deadline`` is the time of the loop at which `expire` is called.
    """

    def __init__(
        self,
        connections: Connections,
        client: tuple[str, int] | None,
        place: ConnectionPlace,
        *,
        scheme: str = "http",
    ) -> None:
        self.client = client
        self.place = place
        self.held = 0
        """Bytes that are counted in the memory of requests and responses."""
        self.scheme = scheme
        self.turns = connections.turns
        self.deadline = inf
        self._of = connections
        self._limits = connections.limits
        self._loop = connections.loop
        self._transport: Transport = cast("Transport", None)
        self._unparsed = b""
        self._in_head = True
        self._queue: deque[Exchange] = deque()  # the first is being answered
        self._body: SizedBody | ChunkedBody | None = None  # of the last of them, while it comes
        self._refusal: HttpError | None = None  # the answer to what came behind the queue
        self._eof = False
        self._no_more = False  # no further request is read
        self._lingering = False
        self._closing = False
        self._advancing = False
        self._waits_for_turn = False
        self._reading_paused = False
        self._ended_stream = False
        self._to_be_taken = False  # a response is written, and more of it than the buffers hold not taken
        self._dropped = False  # something came that is not read
        self._writable: Future[None] | None = None
        self._unsent = 0
        self._unsent_since = 0.0
        self._peer: Peer | None = None

    # -- asyncio ---------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self.place.holder = self
        self._of.all.add(self)
        self._of.idle[self] = None
        self._expire_in(self._limits.probe_head_s if self.place.probe else self._limits.head_s)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self.place.release()
        self.place.holder = None
        self._of.remove(self)
        for exchange in self._queue:
            exchange.disconnect()
        self._queue.clear()
        self._unparsed = b""
        if self.held:
            self.count()
        self.resume_writing()
        # asyncio's transport refers to itself by this: without, it is freed at once and not by a
        # collection of garbage, which thousands of connections a second would make frequent.
        vars(self._transport).pop("_read_ready_cb", None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._of.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._no_more and self._body is None:
            self._dropped = True
        elif not (self._lingering or self._closing):
            data = bytes(self._of.buffer[:nbytes])
            self._unparsed = self._unparsed + data if self._unparsed else data
            self._advance()
            if nbytes > _QUICK or self.held or len(self._unparsed) > _UNCOUNTED:
                self.count()
                if self._unparsed and self.held and not self._of.memory.admits(self, 0):
                    self._refuse(HttpError(503, _NO_MEMORY))

    def eof_received(self) -> bool:
        """The client sends nothing more. It may still take what it has asked for."""
        if self._lingering or self._closing:
            return False
        self._eof = True
        for exchange in self._queue:
            exchange.disconnect()
        self._advance()
        return bool(self._queue) or self._waits_for_turn

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()
            self._expect_progress()

    def resume_writing(self) -> None:
        waiting, self._writable = self._writable, None
        if waiting is None:
            return
        if not waiting.done():
            waiting.set_result(None)
        if self.held:
            self.count()
        if self._to_be_taken:
            self._to_be_taken = False
            if not self._closing:
                self._go_on()
        elif self._queue:
            self.deadline = inf

    # -- requests --------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Read on in what has come, as far as the limits allow."""
        if self._advancing:
            return  # a request was answered at once; the loop below goes on
        self._advancing = True
        try:
            while self._take_body() if self._body is not None else self._take_head():
                pass
        except HttpError as error:
            # Without its traceback and context: their frames hold this connection, and what has come.
            self._refuse(HttpError(error.status, str(error)))
        finally:
            self._advancing = False

    def _take_head(self) -> bool:
        """Begin the next request; False when its head is not there, or its time has not come."""
        if self._no_more:
            if self._unparsed:
                self._dropped = True
                self._unparsed = b""
            return False
        data = self._unparsed
        if data[:1] in (b"\r", b"\n"):  # line ends between requests mean nothing (RFC 9112 2.2)
            data = self._unparsed = data.lstrip(b"\r\n")
        if not data:
            return False
        if len(self._queue) > self._limits.requests_ahead:
            self._read_no_further()
            return False
        if self.turns.left <= 0:
            self._wait_for_turn()
            return False
        end = data.find(END_OF_HEAD)
        if end < 0 and not self._limits.keep_alive_s and data.endswith(b"\n\n"):
            data = data.replace(b"\r", b"").replace(b"\n", b"\r\n")  # from a probe in a shell
            end = len(data) - 4
        if (len(data) if end < 0 else end) > self._limits.head_bytes:
            largest = self._limits.head_bytes
            message = f"request line and headers are larger than {largest} bytes"
            raise HttpError(431, message)
        if end < 0:
            if self._eof or not data[:1].isalpha():  # TLS to a port without, for one
                raise bad_request()
            if not (self._in_head or self._queue or self._to_be_taken):
                self._in_head = True
                self._expire_in(self._limits.head_s)
            return False
        paid_s = self.turns.request_s
        self.turns.spend(paid_s)
        end += len(END_OF_HEAD)
        head = self._of.parser.parse(data if end == len(data) else data[:end])
        self._unparsed = data[end:]
        exchange = Exchange(self, head)
        exchange.paid_s = paid_s
        exchange.held = end + _HEADER_BYTES * len(head.headers)
        self._begin(exchange)
        return True

    def _wait_for_turn(self) -> None:
        """Read on in a later turn of the event loop: this one has no time left for requests."""
        self._pause_reading()
        if not self._waits_for_turn:
            self._waits_for_turn = True
            self.turns.later(self.place.share, self._have_turn)

    def _have_turn(self) -> None:
        self._waits_for_turn = False
        if not self._closing:
            self._resume_reading()
            self._advance()
            if self._eof and not (self._queue or self._waits_for_turn):
                self.close_now()

    def _begin(self, exchange: Exchange) -> None:
        """Answer a request, when those before it are answered."""
        head = exchange.head
        if head.length:
            self._body = ChunkedBody() if head.length == CHUNKED else SizedBody(head.length)
        if not head.keep_alive:
            self._no_more = True
        if self.place.probe:
            exchange.keep_alive = False
            self._no_more = True
            if head.length or exchange.path not in self._limits.probe_paths:
                self._body = None
                raise HttpError(503, "too many connections")
        elif exchange.held > _UNCOUNTED and not self._of.memory.admits(self, exchange.held):
            self._body = None
            raise HttpError(503, _NO_MEMORY)
        self._queue.append(exchange)
        if len(self._queue) == 1 and not self._to_be_taken:
            self._in_head = False
            self._of.idle.pop(self, None)
            self._answer(exchange)

    def _answer(self, exchange: Exchange) -> None:
        if self._limits.answer_s is None:
            self.deadline = inf
        else:
            self._expire_in(self._limits.answer_s)
        if self._eof:
            exchange.disconnect()
        self._of.handler(exchange)

    def _take_body(self) -> bool:
        """Take what has come of a body; False when more is to come."""
        body = self._body
        assert body is not None
        if not self._unparsed:
            if self._eof:
                raise bad_request("the body ended too early")
            return False
        part, self._unparsed = body.feed(self._unparsed)
        if body.complete:
            self._body = None
        if self._queue:
            exchange = self._queue[-1]
            if len(part) > _UNCOUNTED and not self._of.memory.admits(self, len(part)):
                self._body = body
                raise HttpError(503, _NO_MEMORY)
            exchange.body_came(part, complete=body.complete)
            if exchange.unread > self._limits.body_ahead_bytes and not body.complete:
                self._read_no_further()
        elif body.complete:
            self._be_idle()  # the rest of a body that nobody wanted
        return body.complete

    def _be_idle(self) -> None:
        self._of.idle.pop(self, None)
        self._of.idle[self] = None
        self._in_head = False
        self._expire_in(self._limits.keep_alive_s)

    # -- what an exchange asks for ---------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        return self._writable is not None

    @property
    def may_stay_open(self) -> bool:
        if len(self._queue) == 1 and self._eof and not self._unparsed:
            return False
        if not self._limits.keep_alive_s:
            return False
        if self._body is None or len(self._queue) > 1:
            return True
        left = self._body.left
        # If we answer without asking for the body, nobody can say whether it comes nevertheless.
        return (
            left is not None
            and left <= self._limits.discard_bytes
            and not self._queue[0].head.expects_continue
        )

    @property
    def date_header(self) -> bytes:
        return self._of.date_header()

    @property
    def peer(self) -> Peer:
        if self._peer is None:
            self._peer = peer_of(self._transport)
        return self._peer

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._transport.write(data)
            if self.held or self.congested:
                self.count()

    def may_hold(self, size: int) -> bool:
        return self._of.memory.admits(self, size)

    def count(self) -> None:
        """Say how much is held now."""
        held = len(self._unparsed) + self.unsent
        for exchange in self._queue:
            held += exchange.held
        if held <= _UNCOUNTED:
            held = 0
        if held != self.held:
            before, self.held = self.held, held
            self._of.memory.change(self, before, held)

    async def drained(self) -> None:
        if self._writable is not None:
            await self._writable

    def body_taken(self) -> None:
        self._resume_reading()

    def answered(self, exchange: Exchange) -> None:
        """The response to the first request of the queue is written; go on with the next."""
        self._of.requests += 1
        if self._closing or self._lingering:
            return
        queue = self._queue
        queue.popleft()
        if self.held:
            self.count()
        self._ended_stream = exchange.streams
        if not exchange.keep_alive or (self._eof and not queue and not self._unparsed):
            queue.clear()
            self._finish()
        elif self.congested:
            self._to_be_taken = True
        else:
            self._go_on()

    def stream_begins(self) -> None:
        """The response to the first request has no end of its own: its client's end must be noticed."""
        if self._reading_paused and len(self._queue) > 1:
            self._drop_rest()

    def _go_on(self) -> None:
        """Turn to what is behind a response, most of which the client has taken."""
        if self._queue:
            self._in_head = False
            self._of.idle.pop(self, None)
            self._answer(self._queue[0])
        elif self._refusal is not None:
            self._answer_unreadable(self._refusal)
            return
        elif self._body is not None:
            self._of.idle[self] = None
            self._expire_in(self._limits.discard_s)
        else:
            self._be_idle()
        self._resume_reading()
        self._advance()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()
        if self.held:
            self.count()

    # -- the end ---------------------------------------------------------------------------------------

    @property
    def streams(self) -> bool:
        """Whether a response without a length, or the end of one, is being sent."""
        return self._queue[0].streams if self._queue else self._ended_stream

    @property
    def unsent(self) -> int:
        """Bytes of responses that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def is_stalled(self, now: float) -> bool:
        """Whether the client has taken nothing of a response for a while, at a time of the loop.

        From the first call on where something was taken: the next deadline counts from then.
        """
        if not (self._closing or self.congested):
            return False
        if self._has_taken():
            self._expect_progress()
            return False
        return now - self._unsent_since >= self._limits.stalled_s

    def shut_down(self) -> None:
        """Close when what is being answered is answered; at once when nothing is."""
        self._no_more = True
        if self._queue:
            self._queue[0].keep_alive = False
        else:
            self.close_now()

    def distrust(self) -> None:
        """Accept nothing more by the certificate that the client has shown, if it has."""
        if self.peer.names or self.peer.subject:
            self._peer = self.peer._replace(expires=0.0)
            self.shut_down()

    def close_now(self) -> None:
        """Close a connection on which nothing is being answered; what was written still goes out."""
        self._of.idle.pop(self, None)
        self._closing = True
        self._unparsed = b""
        self._transport.close()
        if self.unsent:
            self._expect_progress()
        if self.held:
            self.count()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = inf
        if self._closing or self.congested:
            if self._has_taken():
                self._expect_progress()
            else:
                self._transport.abort()
        elif self._queue:
            self._transport.abort()
        elif self._lingering or not self._in_head:
            self.close_now()
        else:
            self._refuse(HttpError(408, "the request did not come in time"))

    def _refuse(self, error: HttpError) -> None:
        """Answer what cannot be read, behind the responses to what came before, and close."""
        self._no_more = True
        self._unparsed = b""
        if self._body is not None:  # it is the body of the last request that is wrong
            self._body = None
            if not self._queue:
                self.close_now()
                return
            broken = self._queue[-1]
            broken.disconnect()
            broken.held = 0
            if len(self._queue) == 1 and broken.response_started:
                broken.keep_alive = False  # it is answered already, whatever its body is
                return
            self._queue.pop()
            broken.response_complete = True  # what its application answers later is dropped
        self._refusal = error
        if not self._queue:
            self._answer_unreadable(error)

    def _answer_unreadable(self, error: HttpError) -> None:
        exchange = Exchange(self, _UNREADABLE)
        self._queue.append(exchange)
        exchange.refuse(error)

    def _finish(self) -> None:
        """Close behind the last response.

        A client that is still sending would lose the response to a reset, so what it sends is taken for a
        while, and dropped.
        """
        refused = self._refusal is not None
        sends_more = self._body is not None or self._unparsed or self._dropped or refused
        self._unparsed = b""
        self._body = None
        if not sends_more or not self._transport.can_write_eof():
            self.close_now()
            return
        self._lingering = True
        self._resume_reading()
        self._transport.write_eof()
        self._of.idle[self] = None
        self._expire_in(self._limits.discard_s)

    def _expect_progress(self) -> None:
        """Abort later, unless the client takes something of what was written."""
        self._unsent = self.unsent
        self._unsent_since = self._loop.time()
        self._expire_in(self._limits.stream_write_s if self.streams else self._limits.write_s)

    def _has_taken(self) -> bool:
        unsent = self.unsent
        return bool(unsent) and self._unsent - unsent >= min(self._unsent, _LEAST_TAKEN)

    def _expire_in(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds
        self._of.watch(self.deadline)

    def _read_no_further(self) -> None:
        """As much is read ahead as may be. Behind a stream it would wait for ever, and is dropped."""
        if len(self._queue) > 1 and self._queue[0].streams:
            self._drop_rest()
        else:
            self._pause_reading()

    def _drop_rest(self) -> None:
        """Answer the first request only, and close behind it; what comes is dropped until then."""
        self._no_more = self._dropped = True
        self._queue[0].keep_alive = False
        while len(self._queue) > 1:
            self._queue.pop()
        self._body = None
        self._unparsed = b""
        self._resume_reading()

    def _pause_reading(self) -> None:
        if not (self._reading_paused or self._closing):
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._closing:
            self._reading_paused = False
            self._transport.resume_reading()
