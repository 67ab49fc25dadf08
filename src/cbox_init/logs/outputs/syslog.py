"""Sends records to syslog over UDP, TCP or a Unix socket."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from cbox_init.logs.outputs.syslog_format import messages_in, without_length

if TYPE_CHECKING:
    from cbox_init.config.outputs import SyslogAddress
    from cbox_init.logs.outputs.retry import Retry
    from cbox_init.logs.writer import Chunk

_CONNECT_S: Final = 5.0
_SILENCE_MS: Final = 120_000
_SEND_BYTES: Final = 256 * 1024
_LOOK_UP_MS: Final = 1000  # while it waits for room: whether to give up
_ENDED: Final = select.POLLHUP | select.POLLERR | select.POLLRDHUP


class SyslogBackend:
    """Sends to ``address``, reconnects when the connection is lost, and waits for a server that is away.

    When a connection breaks, messages that the other side's system has not acknowledged are sent again
    over the next; some may arrive twice. Over UDP it cannot be known what arrives.
    """

    def __init__(self, address: SyslogAddress, retry: Retry) -> None:
        self._address = address
        self._retry = retry
        self._socket: socket.socket | None = None
        self._stream = False
        self._sent: deque[bytes] = deque()
        self._unsent = 0

    def write(self, chunks: list[Chunk]) -> int:
        """Send all chunks; those that are left when it gives up are lost."""
        if self._retry.drops:
            return sum([chunk.records for chunk in chunks])
        waiting = deque(message for chunk in chunks for message in messages_in(chunk.data))
        while waiting:
            if self._retry.given_up:
                break
            try:
                self._send(waiting)
            except (OSError, ValueError) as error:
                self._take_back(waiting)
                self.close()
                # A ValueError is an address that can never be one, such as a..b.
                hold_s = inf if isinstance(error, OSError) else 0.0
                if not self._retry.failed(_reason(error), hold_s=hold_s):
                    break
            else:
                self._retry.over()
        return min(len(waiting), sum([chunk.records for chunk in chunks]))

    def close(self) -> None:
        self._sent.clear()
        self._unsent = 0
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def reopen(self) -> None:
        """Retry at once when waiting."""
        self._retry.hurry()

    def _send(self, waiting: deque[bytes]) -> None:
        """Send ``waiting``, and remove what was sent. Raises OSError."""
        connection = self._socket or self._connect()
        if not self._stream:
            while waiting:
                self._send_datagram(connection, without_length(waiting[0]))
                waiting.popleft()
            return
        self._await_room(connection)
        self._forget_all_but(_unacknowledged(connection))
        data = memoryview(b"".join(waiting))
        self._sent.extend(waiting)
        self._unsent = len(data)
        waiting.clear()
        while self._unsent:
            self._unsent -= connection.send(data[len(data) - self._unsent :], socket.MSG_DONTWAIT)
            if self._unsent:
                self._await_room(connection)

    def _await_room(self, connection: socket.socket) -> None:
        """Wait until something can be sent.

        Raises OSError when the other side has closed the connection, which a blocking send would not
        notice.
        """
        poll = select.poll()
        poll.register(connection, _ENDED | select.POLLIN | select.POLLOUT)
        while not self._retry.given_up:
            for _, events in poll.poll(_LOOK_UP_MS):
                # What the other side sends is ignored, except its end.
                talks = events & select.POLLIN and connection.recv(4096, socket.MSG_DONTWAIT)
                if events & _ENDED or (events & select.POLLIN and not talks):
                    raise ConnectionResetError(errno.ECONNRESET, "The other side has closed the connection")
                if events & select.POLLOUT:
                    return
        raise TimeoutError(errno.ETIMEDOUT, "The other side does not read")

    def _send_datagram(self, connection: socket.socket, message: bytes) -> None:
        """Over UDP an error is about an earlier message, and no reason to wait."""
        try:
            connection.send(message)
        except ConnectionRefusedError:
            if self._address.transport == "unix":
                raise
            self._retry.refused("Nobody listens there; over UDP it cannot be seen which records are lost")
            with suppress(ConnectionRefusedError):
                connection.send(message)

    def _take_back(self, waiting: deque[bytes]) -> None:
        """Put messages that may not have arrived back in front of ``waiting``."""
        if self._socket is not None and self._stream:
            self._forget_all_but(_unacknowledged(self._socket) + self._unsent)
            waiting.extendleft(reversed(self._sent))

    def _forget_all_but(self, size: int) -> None:
        """Keep the sent messages that contain any of the last ``size`` bytes."""
        kept: deque[bytes] = deque()
        while self._sent and size > 0:
            message = self._sent.pop()
            size -= len(message)
            kept.appendleft(message)
        self._sent = kept

    def _connect(self) -> socket.socket:
        endpoint = self._address.endpoint
        if endpoint is None:
            found = self._connect_unix(self._address.path)
        elif self._address.transport == "tcp":
            found = socket.create_connection((endpoint.host, endpoint.port), _CONNECT_S)
            found.settimeout(None)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)
        else:
            (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
                endpoint.host, endpoint.port, type=socket.SOCK_DGRAM
            )
            found = _connected(socket.socket(family, kind, protocol), address)
        self._socket = found
        self._stream = found.type == socket.SOCK_STREAM
        return found

    def _connect_unix(self, path: str) -> socket.socket:
        try:
            return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
        return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "the address cannot be the name of a host"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _connected(fresh: socket.socket, address: tuple[object, ...] | str) -> socket.socket:
    try:
        fresh.connect(address)
    except OSError:
        fresh.close()
        raise
    return fresh


def _unacknowledged(connection: socket.socket) -> int:
    """Sent bytes that the other side's system has not acknowledged, as far as ours knows."""
    try:
        answer = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return _SEND_BYTES * 16  # in doubt all
    return int(struct.unpack("i", answer)[0])
