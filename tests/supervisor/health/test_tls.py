"""Checks over TLS: whom they trust."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.endpoints import parse_url
from cbox_init.config.model import HealthTlsConfig
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health import tls
from cbox_init.supervisor.health.http import Expected, HttpProbe
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.supervisor.health.tls import TlsClient
from tests.ports import free_port
from tests.supervisor.health.certificates import make_certificate
from tests.supervisor.health.servers import answering, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.supervisor.health.certificates import Certificate

BODY = b"x" * 100_000 + b"well"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "localhost")


@asynccontextmanager
async def serving_tls(certificate: Certificate, asked: list[str | None] | None = None) -> AsyncIterator[int]:
    """A server on a port of its own, which is given. ``asked`` gets the names that clients ask for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if asked is not None:
        context.sni_callback = lambda _, name, __: asked.append(name)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
async def port(certificate: Certificate) -> AsyncIterator[int]:
    async with serving_tls(certificate) as port:
        yield port


def probe_of(url: str, config: HealthTlsConfig) -> HttpProbe:
    client = TlsClient(config)
    return HttpProbe(
        parse_url(url),
        expected=Expected(((200, 200),), "well"),
        resolver=Resolver(),
        tls=lambda: client,
        server_name=config.server_name,
    )


async def ask(url: str, **keys: bool | str) -> None:
    async with asyncio.timeout(20):
        await probe_of(url, HealthTlsConfig(**keys))()  # type: ignore[arg-type]


async def test_a_certificate_that_the_system_trusts(
    port: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
    await ask(f"https://localhost:{port}/")


async def test_a_certificate_that_the_system_trusts_at_a_place_that_openssl_does_not_know(
    port: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Alpine, with an OpenSSL built for Debian."""
    nowhere = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(tls, "_SYSTEMS", ("/missing.pem", str(certificate.cert)))
    await ask(f"https://localhost:{port}/")


async def test_a_certificate_for_another_name(port: int, certificate: Certificate) -> None:
    with pytest.raises(CheckFailed, match="not trusted: IP address mismatch"):
        await ask(f"https://127.0.0.1:{port}/", ca_file=str(certificate.cert))
    with pytest.raises(CheckFailed, match="not trusted: Hostname mismatch"):
        await ask(f"https://localhost:{port}/", ca_file=str(certificate.cert), server_name="shop.example")


async def test_a_certificate_that_nobody_knows(port: int) -> None:
    with pytest.raises(CheckFailed, match=r"not trusted: self.signed certificate; set health_check.tls.ca_f"):
        await ask(f"https://localhost:{port}/")


async def test_a_certificate_that_is_not_verified(port: int) -> None:
    await ask(f"https://127.0.0.1:{port}/", verify=False)


async def test_the_name_that_is_asked_for_and_verified(certificate: Certificate) -> None:
    asked: list[str | None] = []
    async with serving_tls(certificate, asked) as port:
        await ask(f"https://127.0.0.1:{port}/", ca_file=str(certificate.cert), server_name="localhost")
        await ask(f"https://localhost:{port}/", ca_file=str(certificate.cert))
    assert asked == ["localhost", "localhost"]


async def test_the_name_is_for_the_url_alone_not_for_where_it_redirects_to(certificate: Certificate) -> None:
    asked: list[str | None] = []
    async with serving_tls(certificate, asked) as port:
        there = f"HTTP/1.1 302 No\r\nLocation: https://localhost:{port}/\r\n\r\n".encode()
        async with serving(answering(there)) as first:
            await ask(f"http://127.0.0.1:{first}/", ca_file=str(certificate.cert), server_name="shop.example")
    assert asked == ["localhost"]


async def test_a_file_of_certificates_that_cannot_be_used(port: int, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    with pytest.raises(CheckFailed, match=r"tls.ca_file .*missing.pem: No such file or directory"):
        await ask(f"https://localhost:{port}/", ca_file=str(missing))
    with pytest.raises(CheckFailed, match=r"tls.ca_file .*empty.pem: no certificate or crl found"):
        await ask(f"https://localhost:{port}/", ca_file=str(empty))


async def test_a_replaced_certificate_is_trusted_after_one_failure(
    certificate: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    new = make_certificate(tmp_path / "new", "localhost")
    probe: HttpProbe | None = None
    for served in (certificate, new):
        async with serving_tls(served) as port:
            url = parse_url(f"https://localhost:{port}/")
            if probe is None:
                probe = probe_of(str(url), HealthTlsConfig(ca_file=str(certificate.cert)))
                await probe()
                continue
            probe._url = url
            os.replace(new.cert, certificate.cert)
            with pytest.raises(CheckFailed, match="not trusted"):
                await probe()
            await probe()


async def test_servers_that_do_not_speak_tls() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with serving(refuse) as port:
        with pytest.raises(
            CheckFailed, match=r"the TLS handshake failed: (wrong version number|record layer)"
        ):
            await ask(f"https://localhost:{port}/")

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write_eof()
        await reader.read()

    async with serving(close) as port:
        with pytest.raises(CheckFailed, match="the TLS handshake failed: the connection was closed"):
            await ask(f"https://localhost:{port}/")


async def test_certificates_that_cannot_be_read_in_time_have_one_thread(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    """A file system that does not answer."""
    answers, reads = threading.Event(), []
    original = ssl.create_default_context

    def hang(cafile: str | None = None) -> ssl.SSLContext:
        reads.append(cafile)
        answers.wait(20)
        return original(cafile=cafile)

    monkeypatch.setattr(ssl, "create_default_context", hang)
    async with serving_tls(certificate) as port:
        probe = probe_of(f"https://localhost:{port}/", HealthTlsConfig(ca_file=str(certificate.cert)))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await probe()
        assert len(reads) == 1
        answers.set()
        await probe()
    assert len(reads) == 1


async def test_a_check_of_http_alone_does_not_load_certificates() -> None:
    port = free_port()

    def made() -> TlsClient:
        raise AssertionError("not for http")

    probe = HttpProbe(
        parse_url(f"http://127.0.0.1:{port}/"),
        expected=Expected(((200, 200),)),
        resolver=Resolver(),
        tls=made,
    )
    with pytest.raises(CheckFailed):
        await probe()
