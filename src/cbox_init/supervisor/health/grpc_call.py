"""One call of the standard health service of gRPC, as bytes; imports h2."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from cbox_init.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

_PATH: Final = "/grpc.health.v1.Health/Check"
#: What is read of a connection at most: a right answer has some 100 bytes.
_MOST_BYTES: Final = 256 * 1024
_MOST_MESSAGE_BYTES: Final = 4096
_LONGEST_TEXT: Final = 200
#: The first bytes of a gRPC message: whether it is compressed, and its length.
_PREFIX_BYTES: Final = 5
_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED: Final = {1: 8, 5: 4}


class ServingStatus(IntEnum):
    """What the service answers (grpc.health.v1.HealthCheckResponse.ServingStatus)."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Code(IntEnum):
    """How a call of gRPC has ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class GrpcCall:
    """One call on a connection of its own: bytes in, bytes out. ``over``: the answer is complete."""

    def __init__(self, authority: str, service: str, *, tls: bool) -> None:
        self.over = False
        self._service = service
        self._http_status = b""
        self._code: int | None = None
        self._text = ""
        self._message = b""
        self._received = 0
        self._connection = H2Connection(H2Configuration(client_side=True))
        self._connection.initiate_connection()
        stream = self._connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https" if tls else "http"),
            (":path", _PATH),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "cbox-init"),
        ]
        self._connection.send_headers(stream, headers)
        self._connection.send_data(stream, _request(service), end_stream=True)

    def outgoing(self) -> bytes:
        """What must be sent now."""
        return self._connection.data_to_send()

    def feed(self, data: bytes) -> None:
        """Take in what came next. Raises CheckFailed."""
        if not self._received and data.startswith(b"HTTP/1"):
            raise CheckFailed("the answer is HTTP/1, not HTTP/2: this is not the port of a gRPC server")
        self._received += len(data)
        if self._received > _MOST_BYTES:
            raise CheckFailed(f"the answer is longer than {_MOST_BYTES >> 10} KiB")
        try:
            events = self._connection.receive_data(data)
        except ProtocolError as error:
            raise CheckFailed("the answer is not HTTP/2") from error
        for event in events:
            if isinstance(event, ResponseReceived | TrailersReceived):
                self._take_headers(event.headers or ())
            elif isinstance(event, DataReceived):
                self._message += event.data or b""
                if len(self._message) > _MOST_MESSAGE_BYTES:
                    raise CheckFailed(f"the message is longer than {_MOST_MESSAGE_BYTES >> 10} KiB")
            elif isinstance(event, StreamEnded):
                self.over = True
                self._connection.close_connection()
            elif isinstance(event, StreamReset) and not self.over:
                raise CheckFailed(f"the call was reset (HTTP/2 error {event.error_code or 0:d})")
            elif isinstance(event, ConnectionTerminated) and not self.over and event.error_code:
                raise CheckFailed(f"the server closed the connection (HTTP/2 error {event.error_code:d})")

    def judge(self) -> None:
        """Raise CheckFailed unless the complete answer says that the service is healthy."""
        if self._code is None:
            if self._http_status != b"200":
                status = self._http_status.decode("ascii", "replace")
                raise CheckFailed(f"status {status} of HTTP: this is not a gRPC server")
            raise CheckFailed("the answer has no grpc-status: this is not a gRPC server")
        if self._code == Code.UNIMPLEMENTED:
            raise CheckFailed("the server does not have the health service grpc.health.v1.Health")
        if self._code == Code.NOT_FOUND and self._service:
            raise CheckFailed(f"the server does not know the service {self._service!r}")
        if self._code != Code.OK:
            more = f": {self._text}" if self._text else ""
            raise CheckFailed(f"gRPC status {_name_of(Code, self._code)}{more}")
        serving = _serving_status(self._message)
        if serving != ServingStatus.SERVING:
            raise CheckFailed(f"status {_name_of(ServingStatus, serving)}, expected SERVING")

    def _take_headers(self, headers: Iterable[tuple[bytes | str, bytes | str]]) -> None:
        for name, value in headers:
            assert isinstance(value, bytes)
            if name == b":status":
                self._http_status = value
            elif name == b"grpc-status":
                self._code = int(value) if value.isdigit() and len(value) <= 3 else Code.UNKNOWN
            elif name == b"grpc-message":
                from urllib.parse import unquote

                text = unquote(value.decode("ascii", "replace"), errors="replace")
                self._text = "".join(one if one.isprintable() else " " for one in text)[:_LONGEST_TEXT]


def _name_of(kind: type[IntEnum], number: int) -> str:
    return next((member.name for member in kind if member == number), str(number))


def _request(service: str) -> bytes:
    """A HealthCheckRequest, in which ``service`` is the field 1, with the prefix of gRPC."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _serving_status(data: bytes) -> int:
    """The field 1 of the HealthCheckResponse; 0 when it is not set. Raises CheckFailed."""
    if len(data) < _PREFIX_BYTES or data[0] or len(data) - _PREFIX_BYTES != int.from_bytes(data[1:5], "big"):
        raise CheckFailed("the answer is not one message of gRPC without compression")
    status, at = int(ServingStatus.UNKNOWN), _PREFIX_BYTES
    while at < len(data):
        key, at = _read_varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            if field == 1:
                status = value
        elif kind == _LENGTH_DELIMITED:
            length, at = _read_varint(data, at)
            at += length
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise CheckFailed("the answer is not a HealthCheckResponse")
    return status


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise CheckFailed("the answer is not a HealthCheckResponse")
