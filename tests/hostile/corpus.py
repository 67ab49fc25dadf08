"""What a hostile client sends: requests that once held up the daemon, and bytes that are no request."""

from __future__ import annotations

import json
from typing import Final

PROCESSES: Final = "/api/v1/processes"


def _process(**keys: object) -> bytes:
    return json.dumps({"name": "new", "process": {"command": ["true"], **keys}}).encode()


def _filter(pattern: str) -> bytes:
    return _process(logging={"filters": {"exclude": [pattern]}})


def _body(inside: bytes) -> bytes:
    return b'{"name":"new","process":' + inside + b"}"


#: By name: method, path, body. None of them is to succeed, or to take effect.
REQUESTS: Final[dict[str, tuple[str, str, bytes]]] = {
    "a pattern of 363 characters": ("POST", PROCESSES, _filter("(" + "|".join(["a"] * 180) + ")*b")),
    "a pattern of optional parts": ("POST", PROCESSES, _filter("(" + "|".join(["a?"] * 180) + ")*b")),
    "a pattern that is exponential": ("POST", PROCESSES, _filter("(a+)+b")),
    "a pattern of all letters": ("POST", PROCESSES, _filter(r"(?i)[\pL]" * 1500)),
    "a pattern of large sets": ("POST", PROCESSES, _filter(r"[\x{100}-\x{fff0}]" * 800)),
    "references in references": ("POST", PROCESSES, _process(command=["true", "${A:-" * 15_000])),
    "references to a long variable": ("POST", PROCESSES, _process(command=["true", "${PATH}" * 15_000])),
    "lists, by the million": ("POST", PROCESSES, _body(b'{"command":[' + b"[]," * 300_000 + b"[]]}")),
    "lists, as many as are read": ("POST", PROCESSES, _body(b'{"command":[' + b"[]," * 9_000 + b"[]]}")),
    "lists in lists": ("POST", PROCESSES, _body(b"[" * 9_000 + b"]" * 9_000)),
    "lists in 900 lists": ("PUT", f"{PROCESSES}/good", b'{"process":' + b"[" * 900 + b"]" * 900 + b"}"),
    "unknown keys": ("POST", PROCESSES, _body(json.dumps({f"k{n}": "" for n in range(30_000)}).encode())),
    "variables": ("POST", PROCESSES, _process(env={f"K{n}": "" for n in range(30_000)})),
    "a number of many digits": (
        "POST",
        PROCESSES,
        _body(b'{"scale":' + b"9" * 10_000 + b"}"),
    ),
    "a text of many digits": ("POST", PROCESSES, _process(scale="9" * 100_000)),
    "a command of many words": ("POST", PROCESSES, _process(command="a'b\\ " * 100_000)),
    "a body that is not JSON": ("POST", PROCESSES, b"\0" * 500_000),
    "a time of many digits": ("GET", f"/api/v1/logs?since={'9' * 5_000}", b""),
    "no time": ("GET", "/api/v1/logs?since=", b""),
    "many instances": ("GET", f"/api/v1/logs?{'instance=a&' * 1_000}limit=x", b""),
    "a name with a slash": ("POST", f"{PROCESSES}/go%2fod/restart", b""),
    "a name of 4,000 characters": ("POST", f"{PROCESSES}/{'a' * 4_000}/restart", b""),
    "a scale below nothing": ("POST", f"{PROCESSES}/good/scale", b'{"scale":-1}'),
    "a scale without end": ("POST", f"{PROCESSES}/good/scale", b'{"scale":1e308}'),
}

_POST: Final = b"POST /api/v1/processes/good/scale HTTP/1.1\r\nhost: x\r\n"

#: By name: what is sent on a connection. The answer is 400, and the connection is closed.
BYTES: Final[dict[str, bytes]] = {
    "a length and chunks": _POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": _POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": _POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
    "a length with a sign": _POST + b"content-length: +5\r\n\r\n{}",
    "another encoding": _POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a size": _POST + b"transfer-encoding: chunked\r\n\r\nz\r\n",
    "a chunk that is longer": _POST + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a chunk below nothing": _POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a size of many digits": _POST + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 400 + b"\r\n",
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
