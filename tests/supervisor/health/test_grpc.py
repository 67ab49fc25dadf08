"""The gRPC check against the real server of gRPC, and against servers that are none."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cbox_init.config.endpoints import Endpoint
from cbox_init.config.model import HealthTlsConfig
from cbox_init.core.health import HealthState
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.grpc import GrpcProbe
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.supervisor.health.tls import TlsClient
from tests.supervisor.health.certificates import make_certificate
from tests.supervisor.health.servers import answering, serving, silent
from tests.supervisor.health.test_checks import one, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.supervisor.health.certificates import Certificate
    from tests.supervisor.health.servers import Talk
    from tests.supervisor.house import Build

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextmanager
def grpc_server(
    servicer: health_pb2_grpc.HealthServicer | None = None,
    *,
    certificate: Certificate | None = None,
    with_health: bool = True,
) -> Iterator[tuple[int, health.HealthServicer]]:
    """A server on a port of its own, and its health service, in which ``shop`` does not serve."""
    server = grpc.server(ThreadPoolExecutor(2))
    statuses = health.HealthServicer()
    statuses.set("shop", NOT_SERVING)
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(servicer or statuses, server)
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (certificate.key.read_bytes(), certificate.cert.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield port, statuses
    finally:
        server.stop(0).wait()


async def ask(
    port: int, service: str = "", *, host: str = "127.0.0.1", tls: HealthTlsConfig | None = None
) -> None:
    probe = GrpcProbe(
        Endpoint(host, port),
        service=service,
        resolver=Resolver(),
        tls=None if tls is None else lambda: TlsClient(tls, protocols=("h2",)),
        server_name=None if tls is None else tls.server_name,
    )
    async with asyncio.timeout(20):
        await probe()


async def test_the_health_of_the_whole_server_and_of_a_service() -> None:
    with grpc_server() as (port, statuses):
        await ask(port)
        with pytest.raises(CheckFailed, match=r"^status NOT_SERVING, expected SERVING$"):
            await ask(port, "shop")
        statuses.set("shop", SERVING)
        await ask(port, "shop")
        statuses.set("x" * 300, SERVING)
        await ask(port, "x" * 300)
        with pytest.raises(CheckFailed, match=r"^the server does not know the service 'other'$"):
            await ask(port, "other")


async def test_a_server_without_the_health_service() -> None:
    reason = "the server does not have the health service"
    with grpc_server(with_health=False) as (port, _), pytest.raises(CheckFailed, match=reason):
        await ask(port)


async def test_a_server_that_refuses() -> None:
    class Refusing(health_pb2_grpc.HealthServicer):
        def Check(self, request: object, context: grpc.ServicerContext) -> None:  # noqa: N802
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token\nfor grün")

    reason = "gRPC status UNAUTHENTICATED: no token for grün"
    with grpc_server(Refusing()) as (port, _), pytest.raises(CheckFailed, match=reason):
        await ask(port)


async def test_over_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    trusted = str(certificate.cert)
    with grpc_server(certificate=certificate) as (port, _):
        await ask(port, host="localhost", tls=HealthTlsConfig(ca_file=trusted))
        await ask(port, tls=HealthTlsConfig(ca_file=trusted, server_name="localhost"))
        await ask(port, tls=HealthTlsConfig(verify=False))
        with pytest.raises(CheckFailed, match=r"the certificate is not trusted"):
            await ask(port, tls=HealthTlsConfig())
        with pytest.raises(CheckFailed, match=r"IP address mismatch"):
            await ask(port, tls=HealthTlsConfig(ca_file=trusted))


async def test_a_service_as_an_instance_sees_it(build: Build) -> None:
    with grpc_server() as (port, statuses):
        statuses.set("web-0", SERVING)
        check = {"type": "grpc", "address": "127.0.0.1:${PORT}", "service": "${CBOX_INIT_INSTANCE_ID}"}
        house = build(one({**check, "timeout": "5s", "mode": "readiness"}, port_base=port))
        await until(house, HealthState.HEALTHY)
        statuses.set("web-0", NOT_SERVING)
        await until(house, HealthState.UNHEALTHY)
        assert f"127.0.0.1:{port}: status NOT_SERVING" in str(house.status("web").reason)
        statuses.set("web-0", SERVING)
        await until(house, HealthState.HEALTHY)


# -- servers that are none, or answer nonsense -------------------------------------------------------------


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n\r\n"), "the answer is HTTP/1, not HTTP/2"),
        (answering(b""), "the connection was closed before an answer"),
        (answering(b"\0" * 9 + b"\xff" * 100), "the answer is not HTTP/2"),
    ],
)
async def test_what_does_not_speak_http2(talk: Talk, reason: str) -> None:
    async with serving(talk) as port:
        with pytest.raises(CheckFailed, match=reason):
            await ask(port)


OK = [(":status", "200"), ("content-type", "application/grpc")]
WELL = [("grpc-status", "0")]


def replying(head: Sequence[tuple[str, str]], data: bytes, trailers: Sequence[tuple[str, str]]) -> Talk:
    """A server of HTTP/2 that answers a call with these."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        while data_in := await reader.read(65536):
            for event in connection.receive_data(data_in):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.stream_id
                    connection.send_headers(event.stream_id, head, end_stream=not data and not trailers)
                    for start in range(0, len(data), 16384):
                        connection.send_data(event.stream_id, data[start : start + 16384])
                    if trailers:
                        connection.send_headers(event.stream_id, trailers, end_stream=True)
            writer.write(connection.data_to_send())

    return talk


def message(data: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    ("head", "data", "trailers", "reason"),
    [
        ([(":status", "503")], b"", [], "status 503 of HTTP: this is not a gRPC server"),
        ([(":status", "200")], b"", [], "the answer has no grpc-status"),
        (OK, message(b"\x08\x01"), [("grpc-status", "99")], "gRPC status 99$"),
        (OK, message(b"\x08\x01"), [("grpc-status", "-1")], "gRPC status UNKNOWN$"),
        (OK, b"", WELL, "not one message of gRPC"),
        (OK, message(b"\x08\x01", flag=1), WELL, "not one message of gRPC"),
        (OK, message(b"\x08\x01") * 2, WELL, "not one message of gRPC"),
        (OK, message(b""), WELL, "status UNKNOWN, expected SERVING"),
        (OK, message(b"\x08\x07"), WELL, "status 7, expected SERVING"),
        (OK, message(b"\x08"), WELL, "not a HealthCheckResponse"),
        (OK, message(b"\x08" + b"\xff" * 20), WELL, "not a HealthCheckResponse"),
        (OK, message(b"\x0f\x01"), WELL, "not a HealthCheckResponse"),
        (OK, message(b"x" * 5000), WELL, "the message is longer than 4 KiB"),
    ],
)
async def test_answers_that_are_no_success(
    head: list[tuple[str, str]], data: bytes, trailers: list[tuple[str, str]], reason: str
) -> None:
    async with serving(replying(head, data, trailers)) as port:
        with pytest.raises(CheckFailed, match=reason):
            await ask(port)


async def test_fields_of_a_later_version_are_passed_over() -> None:
    later = b"\x12\x03abc" + b"\x1d1234" + b"\x2112345678" + b"\x30\x96\x01"
    async with serving(replying(OK, message(later + b"\x08\x01"), WELL)) as port:
        await ask(port)


async def test_a_server_that_resets_the_call_or_ends_the_connection() -> None:
    def ending(*, call: bool) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            connection.initiate_connection()
            while data_in := await reader.read(65536):
                for event in connection.receive_data(data_in):
                    if isinstance(event, h2.events.RequestReceived):
                        assert event.stream_id
                        if call:
                            connection.reset_stream(event.stream_id, 7)
                        else:
                            connection.close_connection(11)
                writer.write(connection.data_to_send())

        return talk

    async with serving(ending(call=True)) as port:
        with pytest.raises(CheckFailed, match=r"the call was reset \(HTTP/2 error 7\)"):
            await ask(port)
    async with serving(ending(call=False)) as port:
        with pytest.raises(CheckFailed, match=r"the server closed the connection \(HTTP/2 error 11\)"):
            await ask(port)


async def test_a_server_that_talks_without_end_is_given_up() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        while True:
            connection.ping(b"12345678")
            writer.write(connection.data_to_send() * 1000)
            await writer.drain()

    async with serving(talk) as port:
        with pytest.raises(CheckFailed, match=r"the answer is longer than 256 KiB"):
            await ask(port)


async def test_a_server_that_says_nothing_can_be_given_up() -> None:
    async with serving(silent) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ask(port)
