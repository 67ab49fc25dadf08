"""The transport on plain sockets: answers that only it has to understand, and its limits."""

from __future__ import annotations

import inspect
import socket
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import AsyncClient, Client, ClientError, DaemonUnreachable, calls
from cbox_init.client.address import ClientSettings
from cbox_init.client.socket_transport import SocketTransport

from .fake import Answer, fake_daemon, raw_server

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.client.transport import RawAnswer

BODY = b'{"status":"healthy"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "api.sock")


def settings(url: str | None = None, path: str | None = None) -> ClientSettings:
    return ClientSettings.of(url, path, None, 20.0)


def answer_to(path: str, *parts: bytes, largest_body: int = 1000) -> RawAnswer:
    """What the transport makes of an answer that comes in these parts, and then the end of the connection."""

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        if connection.recv(65536):
            for part in parts:
                connection.sendall(part)

    with raw_server(path, behave):
        return SocketTransport(settings(path=path), largest_body=largest_body).send(calls.health())


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"Content-Length: 20\r\n\r\n" + BODY,),
        (HEAD + b"Content-Length: 20\r\n\r\n" + BODY + b"and more",),
        (HEAD + b"\r\n" + BODY,),
        (HEAD + b"Connection: close\r\n\r\n", BODY[:5], BODY[5:]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n14\r\n", BODY, b"\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"Content-Length: 20\r\n\r\n" + BODY),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY,),
    ],
)
def test_every_form_of_an_answer(path: str, parts: tuple[bytes, ...]) -> None:
    assert answer_to(path, *parts) == (200, BODY)


def test_an_answer_without_a_body(path: str) -> None:
    assert answer_to(path, b"HTTP/1.1 204 No Content\r\n\r\n") == (204, b"")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((HEAD + b"Content-Length: 21\r\n\r\n" + BODY,), "before its answer was complete"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n14\r\n" + BODY,), "before its answer was complete"),
        ((HEAD,), "before its answer was complete"),
        (
            (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",),
            "another protocol",
        ),
        (
            (HEAD, *(b"X-%d: %b\r\n" % (number, b"x" * 1000) for number in range(99))),
            "headers have more than",
        ),
    ],
)
def test_an_answer_that_is_none(path: str, parts: tuple[bytes, ...], text: str) -> None:
    with pytest.raises(DaemonUnreachable, match=text):
        answer_to(path, *parts)


@pytest.mark.parametrize("head", [b"Content-Length: 5000\r\n\r\n", b"\r\n"])
def test_a_body_without_end_is_refused(path: str, head: bytes) -> None:
    with pytest.raises(ClientError, match="has more than 1000 bytes"):
        answer_to(path, HEAD + head, b"x" * 5000)


def test_a_daemon_that_refuses_before_it_has_read_the_request(path: str) -> None:
    """Its answer counts, not the connection that breaks while the request is sent."""

    def behave(connection: socket.socket) -> None:
        if connection.recv(10):
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 15\r\n\r\n" + b'{"error":"big"}')
            connection.shutdown(socket.SHUT_RD)

    with (
        raw_server(path, behave),
        pytest.raises(ClientError, match="big"),
        Client(SocketTransport(settings(path=path))) as client,
    ):
        client.add_process("web", {"command": ["x" * 10_000_000]})


def test_over_tcp_below_a_path_with_odd_characters() -> None:
    with fake_daemon() as daemon:
        daemon.answers["GET /a%20b%20/api/v1/health"] = Answer({"status": "healthy"})
        url = f"{daemon.url.replace('127.0.0.1', 'localhost')}/a b%20/"
        with Client(SocketTransport(settings(url))) as client:
            assert client.health().status == "healthy"
        assert daemon.sent[0].headers["host"] == url.split("/")[2]
        assert "content-length" not in daemon.sent[0].headers


@pytest.mark.parametrize("url", ["http://a..b", "http://[::1%bad]:1"])
def test_a_host_that_is_none(url: str) -> None:
    with pytest.raises(DaemonUnreachable, match="cannot connect to http://"):
        SocketTransport(settings(url)).send(calls.health())


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_methods_have_the_names_parameters_and_documentation_of_their_calls(client: type) -> None:
    for name, call in vars(calls).items():
        if inspect.isfunction(call) and call.__module__ == calls.__name__ and not name.startswith("_"):
            if name in ("document", "log_stream", "event_stream", "live_stream"):
                continue
            method = getattr(client, name)
            assert (method.__name__, method.__doc__) == (name, call.__doc__)
            _, *parameters = inspect.signature(method).parameters.values()
            assert parameters == list(inspect.signature(call).parameters.values())
