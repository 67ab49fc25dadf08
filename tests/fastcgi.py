"""A small client of FastCGI, to ask PHP-FPM for its status page."""

from __future__ import annotations

import json
import socket
import struct
from typing import Final

_BEGIN: Final = 1
_END: Final = 3
_PARAMS: Final = 4
_STDIN: Final = 5
_STDOUT: Final = 6
_RESPONDER: Final = struct.pack("!HB5x", 1, 0)


def fpm_status(port: int, path: str = "/status") -> dict[str, object]:
    """The status page of the pool at a port, with its keys as php-fpm writes them."""
    _, _, body = get(port, path, "json").partition("\r\n\r\n")
    status = json.loads(body)
    assert isinstance(status, dict)
    return status


def get(port: int, path: str, query: str = "", script: str = "", timeout_s: float = 10.0) -> str:
    """The headers and the body of the answer to a GET. ``script`` is the file, by default the path."""
    values = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": path,
        "SCRIPT_FILENAME": script or path,
        "REQUEST_URI": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    params = b"".join(_pair(name.encode(), value.encode()) for name, value in values.items())
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        records = (_BEGIN, _RESPONDER), (_PARAMS, params), (_PARAMS, b""), (_STDIN, b"")
        connection.sendall(b"".join(_record(kind, content) for kind, content in records))
        answer = b""
        with connection.makefile("rb") as stream:
            while header := stream.read(8):
                _, kind, _, length, padding = struct.unpack("!BBHHBx", header)
                content = stream.read(length + padding)[:length]
                if kind == _STDOUT:
                    answer += content
                elif kind == _END:
                    break
    return answer.decode()


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def _pair(name: bytes, value: bytes) -> bytes:
    assert max(len(name), len(value)) < 128, "longer ones have another form"
    return bytes((len(name), len(value))) + name + value
