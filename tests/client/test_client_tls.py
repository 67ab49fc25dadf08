"""The clients over https: which files they use, and what they say of one that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import AsyncClient, Client, ClientTls
from cbox_init.client.address import ClientSettings
from cbox_init.client.httpx_transport import HttpxTransport
from cbox_init.errors import ClientError, DaemonUnreachable
from tests.e2e.conftest import serve
from tests.e2e.daemon import wait_for
from tests.ports import free_port
from tests.supervisor.health.certificates import Certificate, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

__all__ = ("serve",)

URL = "https://localhost:1"


@pytest.fixture
def daemon_certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "localhost")


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "operator")


@pytest.fixture
def url(serve: Serve, daemon_certificate: Certificate, own: Certificate) -> str:
    """A daemon that lets in who has the client's certificate."""
    port = free_port()
    cert, key = daemon_certificate
    daemon = serve(
        f"""
global:
  api_socket: SOCKET
  api_enabled: true
  api_host: 127.0.0.1
  api_port: {port}
  api_auth: token-of-the-test
  api_tls: {{enabled: true, cert_file: {cert}, key_file: {key}, ca_file: {own.cert}, client_auth: verify}}
processes:
  web: {{command: [sleep, "1000"]}}
"""
    )
    wait_for(lambda: f'"https://127.0.0.1:{port}"' in daemon.output(), "the port is open")
    return f"https://localhost:{port}"


def command(url: str, *options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cbox_init", "--url", url, "--token", "token-of-the-test", "list"]
    return subprocess.run(
        [*line, *map(str, options)], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_command_line_with_a_client_certificate(
    url: str, daemon_certificate: Certificate, own: Certificate
) -> None:
    ca = ("--cacert", daemon_certificate.cert)
    done = command(url, *ca, "--cert", own.cert, "--key", own.key)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("web ")
    without = command(url, *ca)
    assert without.returncode == 3
    assert without.stderr == (
        f"cbox-init: {url} asks for a client certificate; give it with --cert and --key, "
        "or in CBOX_INIT_API_CERT and CBOX_INIT_API_KEY\n"
    )
    unknown = command(url)
    assert unknown.stderr.startswith(f"cbox-init: the certificate of {url} is not trusted: self-signed")
    assert "--cacert" in unknown.stderr
    other = command(url, *ca, "--cert", daemon_certificate.cert, "--key", daemon_certificate.key)
    assert other.stderr == (
        f"cbox-init: {url} does not accept the client certificate; "
        "it must be signed by the daemon's ca_file\n"
    )


async def test_the_asynchronous_client_takes_them_from_the_environment(
    url: str, daemon_certificate: Certificate, own: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBOX_INIT_API_CA", str(daemon_certificate.cert))
    monkeypatch.setenv("CBOX_INIT_API_CERT", str(own.cert))
    monkeypatch.setenv("CBOX_INIT_API_KEY", str(own.key))
    async with AsyncClient.connect(url, token="token-of-the-test") as client:
        assert [process.name for process in await client.processes()] == ["web"]
    with (
        Client.connect(url, token="x", tls=ClientTls(ca=str(own.cert))) as client,
        pytest.raises(DaemonUnreachable, match="is not trusted"),
    ):
        client.processes()


def test_one_file_may_have_both(own: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(own.cert.read_bytes() + own.key.read_bytes())
    HttpxTransport(ClientSettings.of(URL, None, None, 1.0, ClientTls(certificate=str(both)))).close()


def refusal(**files: object) -> str:
    tls = ClientTls(**{name: str(path) for name, path in files.items()})
    with pytest.raises(ClientError) as caught:
        HttpxTransport(ClientSettings.of(URL, None, None, 1.0, tls))
    return str(caught.value)


def test_files_that_cannot_be_used(own: Certificate, daemon_certificate: Certificate, tmp_path: Path) -> None:
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    sealed = tmp_path / "sealed.pem"
    seal = ["openssl", "pkey", "-in", str(own.key), "-aes256", "-passout", "pass:x", "-out", str(sealed)]
    subprocess.run(seal, check=True, capture_output=True)
    assert refusal(ca=missing) == (
        f"cannot read the certificates that --cacert or CBOX_INIT_API_CA names, {missing}: "
        "No such file or directory"
    )
    assert str(text) in refusal(ca=text)
    assert refusal(certificate=missing, key=own.key) == (
        f"cannot use the client certificate in {missing} and {own.key}: No such file or directory"
    )
    assert "which must have the key as well" in refusal(certificate=own.cert)
    assert "encrypted" in refusal(certificate=own.cert, key=sealed)
    assert "mismatch" in refusal(certificate=own.cert, key=daemon_certificate.key).lower()
    assert "has no certificate" in refusal(key=own.key)
    for said in (refusal(ca=text), refusal(certificate=own.cert)):
        assert "\n" not in said
