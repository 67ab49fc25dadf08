"""The API and the metrics over TLS, as real clients see them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import ssl
import subprocess
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from cbox_init.api import followed_files
from cbox_init.api import tls as module
from cbox_init.api.http import tls as layer
from cbox_init.api.listeners import Listeners
from cbox_init.api.routes import log_stream
from tests.api.service import WEB
from tests.metrics.conftest import scrape
from tests.supervisor.health.certificates import Authority, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve, Service
    from tests.metrics.scraped import Scrape
    from tests.supervisor.health.certificates import Certificate

__all__ = ("scrape",)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "localhost")


def section(certificate: Certificate, **keys: object) -> str:
    keys = {"enabled": "true", "cert_file": certificate.cert, "key_file": certificate.key, **keys}
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


async def opened(serve: Serve, certificate: Certificate, **keys: object) -> Service:
    """A service whose port is open."""
    service = await serve(WEB, api_tls=section(certificate, **keys))
    await service.house.until(lambda: service.listeners.tcp_open)
    return service


class Ran(NamedTuple):
    code: int
    output: str


async def run(*command: object) -> Ran:
    """Run a client. The supervisor under test reaps it, so a shell writes its exit code."""
    shell = ("sh", "-c", '"$@"; echo "exit $?"', "sh", *map(str, command))
    done = await asyncio.to_thread(
        subprocess.run,
        shell,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    output = done.stdout.decode()
    text, _, code = output.rpartition("exit ")
    return Ran(int(code), text)


async def curl(
    service: Service, certificate: Certificate, *more: object, path: str = "/api/v1/health"
) -> Ran:
    url = f"https://localhost:{service.port}{path}"
    return await run("curl", "-sS", "--cacert", certificate.cert, "--max-time", "20", *more, url)


async def s_client(service: Service, *more: str) -> Ran:
    return await run("openssl", "s_client", "-connect", f"localhost:{service.port}", *more)


async def shown(service: Service) -> bytes:
    """The certificate that a new connection gets."""
    return (await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", service.port))).encode()


async def test_curl(serve: Serve, certificate: Certificate) -> None:
    service = await opened(serve, certificate)
    done = await curl(service, certificate)
    assert done == Ran(0, done.output)
    assert '"status"' in done.output
    twice = await curl(service, certificate, f"https://localhost:{service.port}/api/v1/processes", "-v")
    assert "Re-using existing connection" in twice.output
    assert f"https://127.0.0.1:{service.port}" in service.listeners.addresses()[1].replace(
        "[::]", "127.0.0.1"
    )
    # What asks in plain text is refused in plain text.
    plain = await run("curl", "-sS", f"http://localhost:{service.port}/")
    assert plain == Ran(0, '{"error":"this port speaks HTTPS: use https:"}')


async def test_bodies_of_any_size_go_both_ways(
    serve: Serve, certificate: Certificate, tmp_path: Path
) -> None:
    tls = section(certificate, min_version="TLS 1.3")
    service = await serve(WEB, api_tls=tls, api_max_request_body="8MiB")
    await service.house.until(lambda: service.listeners.tcp_open)
    body = tmp_path / "body"
    body.write_bytes(b'{"command": ["true"], "x": "' + b"x" * 4_000_000 + b'"}')
    answer = await curl(
        service,
        certificate,
        "-X",
        "PUT",
        "-T",
        body,
        "-w",
        "%{http_code} %{size_upload}",
        path="/api/v1/processes/web",
    )
    assert answer.code == 0
    assert answer.output.endswith(f" {body.stat().st_size}")
    document = await curl(service, certificate, path="/api/v1/openapi.json")
    assert document.output.startswith("{")
    assert document.output.rstrip().endswith("}")


@pytest.mark.parametrize(
    ("mode", "without", "foreign"),
    [
        ("none", True, True),
        ("request", True, False),
        ("require", False, False),
        ("verify", False, False),
    ],
)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_certificates_of_clients(
    serve: Serve,
    certificate: Certificate,
    tmp_path: Path,
    mode: str,
    without: bool,
    foreign: bool,
    version: str,
) -> None:
    client = make_certificate(tmp_path, "client")
    other = make_certificate(tmp_path, "other")
    second = make_certificate(tmp_path, "second")
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(second.cert.read_bytes() + client.cert.read_bytes())
    service = await opened(serve, certificate, ca_file=authorities, client_auth=mode)
    only = ("--tls-max", version)

    async def gets_in(*more: object) -> bool:
        return (await curl(service, certificate, *only, *more)).code == 0

    assert await gets_in("--cert", client.cert, "--key", client.key)
    assert await gets_in("--cert", second.cert, "--key", second.key)
    assert await gets_in() == without
    assert await gets_in("--cert", other.cert, "--key", other.key) == foreign
    assert ("TLS handshakes fail" in service.house.messages()) != (without and foreign)
    assert await gets_in("--cert", client.cert, "--key", client.key)


async def test_versions_and_suites(serve: Serve, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost", rsa=True)
    service = await opened(
        serve,
        certificate,
        cipher_suites="[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, ECDHE-RSA-AES256-GCM-SHA384]",
    )
    for old in ("-tls1", "-tls1_1"):
        assert (await s_client(service, old, "-cipher", "ALL@SECLEVEL=0")).code != 0
    for suite, accepted in (
        ("ECDHE-RSA-AES128-GCM-SHA256", True),
        ("ECDHE-RSA-AES256-GCM-SHA384", True),
        ("ECDHE-RSA-CHACHA20-POLY1305", False),
    ):
        done = await s_client(service, "-tls1_2", "-cipher", suite)
        assert (f"Cipher is {suite}" in done.output) == accepted
    assert "TLSv1.3" in (await s_client(service, "-tls1_3")).output


@pytest.mark.parametrize("keys", [{"min_version": "TLS 1.3"}, {"cipher_suites": "[TLS_AES_128_GCM_SHA256]"}])
async def test_only_tls_1_3(serve: Serve, certificate: Certificate, keys: dict[str, str]) -> None:
    service = await opened(serve, certificate, **keys)
    assert (await s_client(service, "-tls1_2")).code != 0
    assert (await s_client(service, "-tls1_3")).code == 0


async def test_handshakes_that_never_end_are_cut(
    serve: Serve, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer, "HANDSHAKE_S", 0.3)
    service = await opened(serve, certificate)
    assert await service.raw(b"") == b""
    assert await service.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == b""
    assert (await curl(service, certificate)).code == 0


async def test_bytes_that_are_no_tls(serve: Serve, certificate: Certificate) -> None:
    service = await opened(serve, certificate)
    await service.raw(os.urandom(2000))
    await service.raw(b"\x16\x03\x01\x00\x05hello", eof=True)
    assert (await curl(service, certificate)).code == 0


async def test_new_files_are_used_and_no_connection_is_lost(
    serve: Serve, certificate: Certificate, tmp_path: Path
) -> None:
    """As Kubernetes replaces a secret: ``..data`` is a link to a directory, and is renamed over."""
    secret = tmp_path / "secret"
    secret.mkdir()

    def publish(new: Certificate, name: str) -> None:
        (secret / name).mkdir()
        shutil.copy(new.cert, secret / name / "tls.crt")
        shutil.copy(new.key, secret / name / "tls.key")
        (secret / "..tmp").symlink_to(name)
        (secret / "..tmp").rename(secret / "..data")

    publish(certificate, "..1")
    for name in ("tls.crt", "tls.key"):
        (secret / name).symlink_to(f"..data/{name}")
    files = type(certificate)(secret / "tls.crt", secret / "tls.key")
    service = await opened(serve, files, auto_reload="true")
    house = service.house
    await house.until(lambda: house.messages().count("Watching the certificate") == 2)
    context = ssl.create_default_context(cafile=str(certificate.cert))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", service.port, ssl=context, server_hostname="localhost"
    )
    before = await shown(service)

    other = make_certificate(tmp_path, "other")
    publish(type(certificate)(other.cert, certificate.key), "..2")  # they do not fit
    await house.until(lambda: any("stays in use" in message for message in house.messages()))
    (problem,) = (message for message in house.messages() if "stays in use" in message)
    assert "global.api_tls.key_file" in problem
    assert "does not fit the certificate" in problem
    assert await shown(service) == before

    publish(other, "..3")
    await house.until(lambda: "Certificate reloaded" in house.messages())
    assert await shown(service) == other.cert.read_bytes()
    writer.write(b"GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_the_interval_finds_what_inotify_does_not_see(
    serve: Serve, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(followed_files, "watch", blind)
    service = await opened(serve, certificate, auto_reload="true", auto_reload_interval="0.1")
    other = make_certificate(tmp_path, "other")
    shutil.copy(other.key, certificate.key)
    shutil.copy(other.cert, certificate.cert)
    await service.house.until(lambda: "Certificate reloaded" in service.house.messages())
    assert await shown(service) == other.cert.read_bytes()


async def test_the_port_stays_shut_until_the_files_are_good(
    serve: Serve, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.05)
    away = certificate.key.rename(tmp_path / "away")
    service = await serve(WEB, api_tls=section(certificate))
    house = service.house
    await house.until(lambda: any("is not opened on TCP" in message for message in house.messages()))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", service.port)
    away.rename(certificate.key)
    await house.until(lambda: service.listeners.tcp_open)
    assert (await curl(service, certificate)).code == 0
    assert sum("is not opened on TCP" in message for message in house.messages()) == 1


async def test_a_port_that_cannot_be_opened_is_tried_again(
    serve: Serve, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.05)
    open_tcp, failures = Listeners.open_tcp, [OSError(errno.EADDRINUSE, "in use")] * 2

    def fail_at_first(listeners: Listeners) -> None:
        if failures:
            raise failures.pop()
        open_tcp(listeners)

    monkeypatch.setattr(Listeners, "open_tcp", fail_at_first)
    service = await opened(serve, certificate)
    assert (await curl(service, certificate)).code == 0
    assert sum("in use" in message for message in service.house.messages()) == 1


async def test_a_certificate_that_expires_soon_is_a_warning_each_day(
    serve: Serve, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DAY_S", 0.1)
    service = await opened(serve, certificate)  # it is valid for two days
    text = f"global.api_tls.cert_file: {certificate.cert} expires on "
    await service.house.until(lambda: sum(one.startswith(text) for one in service.house.messages()) >= 3)


async def test_access_list_and_tls_together(serve: Serve, certificate: Certificate) -> None:
    """What a proxy says of its client counts behind TLS as without."""
    acl = "{enabled: true, allow_list: [127.0.0.1], deny_list: [192.0.2.0/24], trust_proxy: true}"
    service = await serve(WEB, api_tls=section(certificate), api_acl=acl)
    await service.house.until(lambda: service.listeners.tcp_open)
    status = "-o", "/dev/null", "-w", "%{http_code}"
    for forwarded, expected in (("127.0.0.1", "200"), ("192.0.2.7", "403"), ("198.51.100.1", "403")):
        done = await curl(service, certificate, *status, "-H", f"X-Forwarded-For: {forwarded}")
        assert (done.code, done.output) == (0, expected)


async def test_floods_within_tls(serve: Serve, certificate: Certificate) -> None:
    """Changes of keys without end and renegotiation end or are refused, and harm no other client."""
    service = await opened(serve, certificate)
    url = f"localhost:{service.port}"

    def flood(version: str, command: str, times: int) -> bytes:
        # s_client takes a command at the beginning of each thing that it reads.
        client = subprocess.Popen(
            ("openssl", "s_client", "-connect", url, version, "-quiet" if command == "-" else "-brief"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert client.stdin
        with contextlib.suppress(BrokenPipeError):
            for _ in range(times):
                client.stdin.write(f"{command}\n".encode())
                client.stdin.flush()
                time.sleep(0.002)
            client.stdin.close()
        assert client.stdout
        output = client.stdout.read()
        client.stdout.close()
        with contextlib.suppress(ChildProcessError):
            client.wait(20)
        return output

    updates = asyncio.create_task(asyncio.to_thread(flood, "-tls1_3", "K", 300))
    again = asyncio.create_task(asyncio.to_thread(flood, "-tls1_2", "R", 1))
    while not (updates.done() and again.done()):
        assert (await curl(service, certificate)).code == 0
    assert b"KEYUPDATE" in await updates
    assert b"no renegotiation" in (await again).lower()
    await service.house.until(lambda: not service.server._stack or not service.server._stack._tcp.connections)


async def test_what_is_offered(serve: Serve, certificate: Certificate) -> None:
    """As testssl lists it: old versions and weak suites are refused, also where OpenSSL would allow them."""
    service = await opened(serve, certificate)
    offered = {}
    for version in ("ssl3", "tls1", "tls1_1", "tls1_2", "tls1_3"):
        done = await s_client(service, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
        offered[version] = done.code == 0 and "Cipher is (NONE)" not in done.output
    assert offered == {"ssl3": False, "tls1": False, "tls1_1": False, "tls1_2": True, "tls1_3": True}
    weak = ["NULL", "aNULL", "EXPORT", "LOW", "3DES", "RC4", "MD5", "PSK", "CAMELLIA", "ARIA", "SEED", "IDEA"]
    weak += ["kRSA", "SHA1", "SHA256", "SHA384"]  # no forward secrecy; CBC
    for suite in weak:
        done = await s_client(service, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
        assert done.code != 0, suite
    compressed = await s_client(service, "-tls1_2", "-comp")
    assert "Compression: NONE" in compressed.output
    assert "Secure Renegotiation IS supported" in compressed.output


async def test_metrics(scrape: Scrape, certificate: Certificate) -> None:
    scraped = await scrape(WEB, metrics_tls=section(certificate))
    await scraped.house.until(lambda: "Metrics listening" in scraped.house.messages())
    url = f"https://localhost:{scraped.port}/metrics"
    done = await run("curl", "-sS", "--cacert", certificate.cert, url)
    assert done.code == 0
    assert "cbox_init_" in done.output
    (line,) = (one for one in done.output.splitlines() if 'not_after_seconds{listener="metrics"}' in one)
    assert 1 * 86_400 < float(line.split()[1]) - time.time() < 3 * 86_400


async def test_more_handshakes_than_places(serve: Serve, certificate: Certificate) -> None:
    """They do not keep others out: the oldest ends for the newest."""
    service = await serve(WEB, api_tls=section(certificate), api_max_connections=16)
    await service.house.until(lambda: service.listeners.tcp_open)
    silent = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(20)]
    assert (await curl(service, certificate)).code == 0
    assert await asyncio.wait_for(silent[0][0].read(), 20) == b""
    for _, writer in silent:
        writer.close()


async def test_roles_of_certificates(serve: Serve, certificate: Certificate, tmp_path: Path) -> None:
    names = ("deploy", "monitor", "stranger")
    clients = {name: make_certificate(tmp_path, name) for name in names}
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(b"".join(one.cert.read_bytes() for one in clients.values()))
    roles = "[{subject: CN=deploy, role: operator, processes: [web]}, {san: DNS:monitor, role: viewer}]"
    tls = section(certificate, client_auth="request", ca_file=authorities)
    service = await serve(WEB, api_tls=tls, api_certificate_roles=roles)
    await service.house.until(lambda: service.listeners.tcp_open)

    async def answer(name: str | None, method: str, path: str, *more: str) -> tuple[str, str]:
        shown = () if name is None else ("--cert", clients[name].cert, "--key", clients[name].key)
        more = ("-X", method, "-w", "\n%{http_code}", *more)
        done = await curl(service, certificate, *shown, *more, path=f"/api/v1/processes{path}")
        body, _, status = done.output.rpartition("\n")
        return status, body

    for name, allowed in (
        ("deploy", {"list": True, "act": True, "configure": False}),
        ("monitor", {"list": True, "act": False, "configure": False}),
    ):
        assert ((await answer(name, "GET", ""))[0] == "200") is allowed["list"]
        assert ((await answer(name, "POST", "/web/restart"))[0] == "202") is allowed["act"]
        assert ((await answer(name, "DELETE", "/web"))[0] == "409") is allowed["configure"]
    assert await answer("monitor", "POST", "/web/restart") == (
        "403",
        '{"error":"forbidden","details":["this needs the role operator: '
        'the certificate of CN=monitor has the role viewer"]}',
    )
    assert await answer("stranger", "GET", "") == (
        "403",
        '{"error":"forbidden","details":'
        '["the certificate of CN=stranger has no role: see api_certificate_roles"]}',
    )
    assert await answer(None, "GET", "") == ("401", '{"error":"unauthorized"}')
    # A browser shows its certificate to any page.
    origin = ("-H", "Origin: https://evil.example")
    assert (await answer("deploy", "POST", "/web/restart", *origin))[0] == "403"


async def test_a_certificate_that_expires_on_an_open_connection(
    serve: Serve, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_certificate(tmp_path, "deploy")  # for two days
    tls = section(certificate, client_auth="verify", ca_file=client.cert)
    service = await serve(WEB, api_tls=tls, api_certificate_roles="[{subject: CN=deploy, role: viewer}]")
    await service.house.until(lambda: service.listeners.tcp_open)
    context = ssl.create_default_context(cafile=str(certificate.cert))
    context.load_cert_chain(client.cert, client.key)
    url = f"https://localhost:{service.port}"
    async with httpx.AsyncClient(verify=context, base_url=url, timeout=20, trust_env=False) as http:
        assert (await http.get("/api/v1/processes")).status_code == 200
        in_a_day, in_three = (time.time() + days * 86_400 for days in (1, 3))
        for now, status in ((in_a_day, 200), (in_three, 401)):
            clock = SimpleNamespace(time=lambda now=now: now)
            monkeypatch.setattr("cbox_init.api.authentication.time", clock)
            assert (await http.get("/api/v1/processes")).status_code == status


async def connected(
    service: Service, certificate: Certificate, client: Certificate, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with a certificate of the client, and a first request."""
    context = ssl.create_default_context(cafile=str(certificate.cert))
    context.load_cert_chain(client.cert, client.key)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", service.port, ssl=context, server_hostname="localhost"
    )
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 200")
    return reader, writer


async def test_a_revoked_certificate_is_refused_also_on_an_open_connection(
    serve: Serve, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "KEEPALIVE_S", 0.2)  # when a stream finds out at the latest
    authority, crl = Authority(tmp_path, "clients"), tmp_path / "clients.crl"
    kept, revoked = authority.sign("kept"), authority.sign("revoked")
    authority.write_list(crl)
    trust = {"ca_file": authority.cert, "crl_file": crl}
    service = await opened(serve, certificate, client_auth="verify", auto_reload="true", **trust)
    house = service.house
    await house.until(lambda: house.messages().count("Watching the certificate") == 4)

    async def gets_in(client: Certificate) -> bool:
        return (await curl(service, certificate, "--cert", client.cert, "--key", client.key)).code == 0

    assert await gets_in(kept)
    assert await gets_in(revoked)
    idle, idle_writer = await connected(service, certificate, revoked, "/api/v1/health")
    await asyncio.wait_for(idle.readuntil(b"}"), 20)
    stream, stream_writer = await connected(service, certificate, revoked, "/api/v1/logs/stream")

    authority.revoke(revoked)
    authority.write_list(crl)
    await house.until(lambda: "Certificate reloaded" in house.messages())
    assert await asyncio.wait_for(idle.read(), 20) == b""
    await asyncio.wait_for(stream.read(), 60)
    assert not await gets_in(revoked)
    assert await gets_in(kept)
    assert "the client's certificate is not trusted: certificate revoked" in house.log_text()
    idle_writer.close()
    stream_writer.close()


async def test_an_authority_that_is_taken_out_of_the_file_ends_its_connections(
    serve: Serve, certificate: Certificate, tmp_path: Path
) -> None:
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(first.cert.read_bytes() + second.cert.read_bytes())
    service = await opened(serve, certificate, ca_file=authorities, client_auth="verify", auto_reload="true")
    house = service.house
    await house.until(lambda: house.messages().count("Watching the certificate") == 3)
    reader, writer = await connected(service, certificate, second, "/api/v1/health")
    await asyncio.wait_for(reader.readuntil(b"}"), 20)
    authorities.write_bytes(first.cert.read_bytes())
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


async def test_a_token_counts_before_a_certificate(
    serve: Serve, certificate: Certificate, tmp_path: Path
) -> None:
    client = make_certificate(tmp_path, "client")
    tls = section(certificate, client_auth="verify", ca_file=client.cert)
    tokens = "[{name: reader, role: viewer, token: the-token-of-the-reader}]"
    service = await serve(WEB, api_tls=tls, api_tokens=tokens)
    await service.house.until(lambda: service.listeners.tcp_open)

    async def status(*more: str) -> str:
        shown = ("--cert", client.cert, "--key", client.key)
        path = "/api/v1/processes/web"
        return (
            await curl(service, certificate, *shown, "-o/dev/null", "-w%{http_code}", *more, path=path)
        ).output

    assert await status() == "401"  # the certificate alone has no role
    assert await status("-H", "Authorization: Bearer the-token-of-the-reader") == "403"
    assert await status("-H", "Authorization: Bearer another") == "401"


@pytest.mark.parametrize("mode", ["request", "verify"])
async def test_a_certificate_alone_is_an_admin_as_before(
    serve: Serve, certificate: Certificate, tmp_path: Path, mode: str
) -> None:
    client = make_certificate(tmp_path, "client")
    tls = section(certificate, client_auth=mode, ca_file=client.cert)
    service = await serve(WEB, api_tls=tls, api_insecure="false")
    await service.house.until(lambda: service.listeners.tcp_open)
    shown = ("--cert", client.cert, "--key", client.key, "-H", "Authorization: Bearer whatever")
    change = ("-o/dev/null", "-w%{http_code}", "-X", "POST")
    done = await curl(service, certificate, *shown, *change, path="/api/v1/config/reload")
    assert done.output == "200"
    # Without one the port is as open as without TLS, or shut.
    done = await curl(service, certificate, *change, path="/api/v1/config/reload")
    assert done.output == ("403" if mode == "request" else done.output)
    assert (done.code == 0) is (mode == "request")
