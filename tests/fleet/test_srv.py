"""SRV records, from a DNS server that answers over UDP."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from cbox_init.errors import ClientError
from cbox_init.fleet.srv import targets_of
from cbox_init.fleet.targets import DaemonTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORDS = {
    "_cbox._tcp.example.": (
        "20 5 9180 third.example.",
        "10 5 9181 second.example.",
        "10 50 9180 first.example.",
    ),
    "empty.example.": (),
    "none.example.": ("0 0 0 .",),
}


def _answer(data: bytes) -> bytes:
    query = dns.message.from_wire(data)
    question = query.question[0]
    reply = dns.message.make_response(query)
    name = str(question.name)
    if name not in _RECORDS:
        reply.set_rcode(dns.rcode.SERVFAIL if name.startswith("broken") else dns.rcode.NXDOMAIN)
    elif _RECORDS[name]:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *_RECORDS[name]))
    return reply.to_wire()


@pytest.fixture
def server() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, client = sock.recvfrom(4096)
                if data == b"end":
                    return
                sock.sendto(_answer(data), client)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = sock.getsockname()
        yield f"{host}:{port}"
        sock.sendto(b"end", (host, port))
        thread.join()


def test_by_priority_and_weight(server: str) -> None:
    assert targets_of("_cbox._tcp.example", "https", 10, server) == [
        DaemonTarget("first.example:9180", "https://first.example:9180"),
        DaemonTarget("second.example:9181", "https://second.example:9181"),
        DaemonTarget("third.example:9180", "https://third.example:9180"),
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing.example", "nothing.example: there is no such name in DNS"),
        ("empty.example", "empty.example: the name has no SRV records"),
        ("broken.example", "broken.example: DNS cannot be asked: "),
        ("a..b", "a..b: DNS cannot be asked: "),
    ],
)
def test_no_records_are_one_line(server: str, name: str, why: str) -> None:
    with pytest.raises(ClientError) as raised:
        targets_of(name, "http", 2, server)
    assert str(raised.value).startswith(why)
    assert "\n" not in str(raised.value)


def test_a_service_that_is_not_available(server: str) -> None:
    """RFC 2782: a target of "." says so."""
    assert targets_of("none.example", "http", 10, server) == []


def test_a_server_that_does_not_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(ClientError, match=r"no DNS server has answered within 0\.2 s"):
            targets_of("a.example", "http", 0.2, f"127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("server", ["nonsense", "1.2.3.4.5:53"])
def test_an_address_that_is_none(server: str) -> None:
    with pytest.raises(ClientError, match="DNS cannot be asked"):
        targets_of("a.example", "http", 0.2, server)
