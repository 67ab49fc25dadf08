"""The port of the metrics."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
from msgspec.structs import replace

from cbox_init.api.http import limits
from cbox_init.config.model import AclConfig, GlobalConfig, TlsConfig
from cbox_init.errors import ListenError
from cbox_init.metrics import families
from cbox_init.metrics import server as servers
from cbox_init.metrics.server import MetricsServer
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.metrics.page import Page
    from tests.metrics.scraped import Scrape

WEB = " {web: {command: [sleep, '1000']}}"


async def test_a_scrape_and_health(scrape: Scrape) -> None:
    scraped = await scrape(WEB)
    reply = await scraped.get()
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["content-length"] == str(len(reply.body))
    health = await scraped.get("/health")
    assert (health.status, health.body) == (200, b"OK")


async def test_the_path_is_what_is_configured(scrape: Scrape) -> None:
    scraped = await scrape(WEB, metrics_path="/internal/m")
    assert scraped.server.addresses() == (f"http://127.0.0.1:{scraped.port}/internal/m",)
    assert (await scraped.get("/internal/m?format=prometheus")).status == 200
    assert (await scraped.get("/metrics")).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/health"])
async def test_head_is_get_without_the_body(scrape: Scrape, path: str) -> None:
    scraped = await scrape(WEB)
    reply = await scraped.ask(f"HEAD {path} HTTP/1.1\r\n\r\n".encode())
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"HEAD /metric HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", 405),
        (b"DELETE /health HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_what_is_refused(scrape: Scrape, request_: bytes, status: int) -> None:
    scraped = await scrape(WEB)
    reply = await scraped.ask(request_)
    assert reply.status == status
    assert reply.headers.get("allow") == ("GET, HEAD" if status == 405 else None)


async def test_scrapes_at_one_time_are_one_text(scrape: Scrape) -> None:
    scraped = await scrape(WEB)
    replies = await asyncio.gather(*(scraped.get() for _ in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) < 5


async def test_who_leaves_before_the_answer_harms_nobody(scrape: Scrape) -> None:
    scraped = await scrape(WEB)
    _, writer = await asyncio.open_connection("127.0.0.1", scraped.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    writer.transport.abort()
    assert (await scraped.get()).status == 200
    assert not [message for message in scraped.house.messages() if "Unexpected" in message]


async def test_closing_drops_a_scrape_under_way(scrape: Scrape) -> None:
    scraped = await scrape(WEB)
    reader, writer = await asyncio.open_connection("127.0.0.1", scraped.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    await writer.drain()
    await scraped.server.close()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(reader.readexactly(1 << 20), 20)
    with pytest.raises(ConnectionRefusedError):
        await scraped.get()
    writer.close()


async def test_what_cannot_be_imported_is_said(scrape: Scrape, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> NoReturn:
        raise ImportError("No module named 'prometheus_client'")

    scraped = await scrape(WEB)
    with monkeypatch.context() as broken:
        broken.setattr(servers, "_import_page", missing)
        assert (await scraped.get()).status == 503
    assert "The metrics cannot be served" in scraped.house.messages()
    assert (await scraped.get()).status == 200


async def test_a_metric_that_fails_does_not_hide_the_others(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    scraped = await scrape(WEB)
    assert (await scraped.get()).status == 200
    whole = families.FAMILIES
    broken = tuple(
        replace(one, samples=lambda _: [((), 1 / 0)]) if one.name == "build_info" else one for one in whole
    )
    monkeypatch.setattr("cbox_init.metrics.page.FAMILIES", broken)
    for _ in range(2):
        reply = await scraped.get()
        assert reply.status == 200
        assert b"cbox_init_process_up" in reply.body
        assert b"build_info" not in reply.body
    assert scraped.house.messages().count("Unexpected: a metric is left out") == 1


async def test_who_has_asked_may_wait_longer_than_who_says_nothing(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Event()

    def slow() -> type[Page]:
        assert imported.wait(20)
        from cbox_init.metrics.page import Page

        return Page

    monkeypatch.setattr(limits, "PROBE_LIMITS", replace(limits.PROBE_LIMITS, head_s=0.1))
    monkeypatch.setattr(servers, "_import_page", slow)
    scraped = await scrape(WEB)
    reply = asyncio.create_task(scraped.get())
    reader, writer = await asyncio.open_connection("127.0.0.1", scraped.port)
    assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 408 "), "it has said nothing"
    writer.close()
    imported.set()
    assert (await reply).status == 200


async def test_without_metrics_nothing_is_counted(scrape: Scrape) -> None:
    scraped = await scrape(WEB, metrics_enabled="false")
    assert scraped.house.runtime.counters is None


async def test_a_door_that_cannot_be_locked_stays_shut(scrape: Scrape) -> None:
    scraped = await scrape(WEB, metrics_tls="{enabled: true}")
    assert scraped.server.addresses() == ()
    with pytest.raises(ConnectionRefusedError):
        await scraped.get("/health")
    told = "The metrics are not served until this is fixed: global.metrics_tls.cert_file: is not set"
    await scraped.house.until(lambda: any(told in message for message in scraped.house.messages()))


def test_a_list_that_cannot_be_read_opens_nothing() -> None:
    acl = AclConfig(enabled=True, deny_list=("10.0.0.1/8",))
    server = MetricsServer.bind(GlobalConfig(metrics_host="127.0.0.1", metrics_acl=acl))
    assert server.addresses() == ()
    assert server.missing == (
        "The metrics are not served: global.metrics_acl.deny_list[0]: '10.0.0.1/8' has bits set behind its "
        "prefix (write 10.0.0.0/8 for the network, or 10.0.0.1 alone)"
    )


@pytest.mark.parametrize("path", ["/metrics", "/health", "/nowhere"])
async def test_who_is_refused_by_the_list(scrape: Scrape, path: str) -> None:
    acl = "{enabled: true, allow_list: [127.0.1.0/24], trusted_proxies: [127.0.0.1]}"
    scraped = await scrape(WEB, metrics_acl=acl)
    reply = await scraped.get(path)
    assert (reply.status, reply.body) == (403, b'{"error":"forbidden"}')
    through = f"GET {path} HTTP/1.1\r\nX-Forwarded-For: 127.0.1.7\r\n\r\n".encode()
    assert (await scraped.ask(through)).status == (404 if path == "/nowhere" else 200)


def test_a_section_that_is_off_is_no_reason() -> None:
    port = free_port()
    settings = GlobalConfig(
        metrics_host="127.0.0.1", metrics_port=port, metrics_tls=TlsConfig(), metrics_acl=AclConfig()
    )
    server = MetricsServer.bind(settings)
    assert (server.missing, server.addresses()) == (None, (f"http://127.0.0.1:{port}/metrics",))
    server.release()


def test_a_port_that_is_taken_names_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            MetricsServer.bind(GlobalConfig(metrics_host="127.0.0.1", metrics_port=port))
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: the port is in use; "
        "stop what listens there, or set another global.metrics_port"
    )


async def test_a_refused_client_and_the_figures_of_the_audit(scrape: Scrape, tmp_path: Path) -> None:
    acl = "{enabled: true, allow_list: [127.0.1.0/24], trusted_proxies: [127.0.0.1]}"
    path = str(tmp_path / "audit.log")
    scraped = await scrape(WEB, metrics_acl=acl, audit_enabled="true", audit_output=path)
    assert (await scraped.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).status == 403
    audit = scraped.house.parts.runtime.audit
    assert audit is not None
    await scraped.house.until(lambda: audit.written >= 1 and audit.queued == 0)
    found = await asyncio.to_thread(read_text, path)
    assert '"event_type":"acl.deny"' in found and '"id":"metrics"' in found
    allowed = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.1.1\r\n\r\n"
    reply = await scraped.ask(allowed)
    assert b"cbox_init_audit_records_written_total" in reply.body
    assert b"cbox_init_audit_records_lost_total 0.0" in reply.body


def read_text(path: str) -> str:
    with open(path) as file:
        return file.read()
