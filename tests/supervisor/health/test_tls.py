"""The HTTP check over TLS, whose certificate is verified."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.endpoints import parse_url
from cbox_init.supervisor.health.http import HttpProbe
from cbox_init.supervisor.health.resolve import Resolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BODY = b"x" * 100_000 + b"well"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture
async def port(certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def ask(url: str) -> None:
    probe = HttpProbe(
        parse_url(url), expected_status=((200, 200),), expected_body="well", resolver=Resolver()
    )
    async with asyncio.timeout(10):
        await probe()


async def test_a_certificate_that_the_system_trusts(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    await ask(f"https://localhost:{port}/")


async def test_a_certificate_for_another_name(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        await ask(f"https://127.0.0.1:{port}/")


async def test_a_certificate_that_nobody_knows(port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"):
        await ask(f"https://localhost:{port}/")
