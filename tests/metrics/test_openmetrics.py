"""OpenMetrics: who gets it, and what it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from cbox_init.metrics.server import wants_openmetrics

if TYPE_CHECKING:
    from tests.metrics.scraped import Scrape

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_3 = (
    f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        (OPENMETRICS, True),
        (OPENMETRICS.upper(), True),
        (PROMETHEUS_3, True),
        (f"{OPENMETRICS}; version=1.0.0; charset=utf-8", True),
        (f'{OPENMETRICS}; version="1.0.0"', True),
        (f"{OPENMETRICS};version=2.0.0", False),
        (f"{OPENMETRICS};q=0", False),
        (f"{OPENMETRICS};q=0.2,text/plain;q=0.5", False),
        (f"{OPENMETRICS};q=0.5,text/plain;q=0.5", True),
        (f"{OPENMETRICS};q=0.5,*/*;q=0.9", False),
        (f"{OPENMETRICS};q=0.5,text/plain;q=0.1,*/*;q=0.9", True),
        (f"{OPENMETRICS};q=x", False),
        (f"{OPENMETRICS};q=7", False),
        (f"{OPENMETRICS};q=nan", False),
        (";;,=;q,,", False),
        ("a/b," * 1000 + OPENMETRICS, False),
    ],
)
def test_who_gets_it(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


async def test_both_formats_have_the_same_metrics(scrape: Scrape) -> None:
    scraped = await scrape(
        """
  web: {command: [sleep, '1000'], scale: 40, health_check: {type: tcp, address: "127.0.0.1:9"}}
  job: {command: [sleep, '1000'], schedule: '0 0 1 1 *'}
""",
        max_process_scale="50",
        resource_metrics_enabled="true",
        resource_metrics_interval="100ms",
    )
    threads = {"process": "web", "instance": "web-39"}
    samples = await scraped.until(lambda one: one.of("process_threads", **threads))
    reply = await scraped.get(accept=PROMETHEUS_3)
    assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert reply.body.endswith(b"\n# EOF\n") and reply.body.count(b"# EOF") == 1
    parsed = text_string_to_metric_families(reply.body.decode())  # type: ignore[no-untyped-call]
    families = {one.name: one for one in parsed}
    assert families.keys() == samples.families.keys()
    assert {name: one.type for name, one in families.items()} == {
        name: one.type for name, one in samples.families.items()
    }
    assert len(families["cbox_init_process_memory_bytes"].samples) == 80, "in pieces, with one head"
    reply = await scraped.get(accept="text/plain")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_promtool_has_nothing_to_say_but_of_a_name(scrape: Scrape) -> None:
    scraped = await scrape(
        " {web: {command: [sleep, '1000']}}",
        resource_metrics_enabled="true",
        resource_metrics_interval="100ms",
    )
    await scraped.until(lambda one: one.labels("process_threads"))
    checked = await asyncio.create_subprocess_exec(
        *("promtool", "check", "metrics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await checked.communicate((await scraped.get()).body)
    (remark,) = output.decode().splitlines()
    assert remark.startswith("cbox_init_manager_process_count"), "the name that dashboards know"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_several_headers_are_one(scrape: Scrape, method: str) -> None:
    scraped = await scrape(" {web: {command: [sleep, '1000']}}")
    accept = f"accept: text/plain;q=0.1\r\naccept: {OPENMETRICS}\r\n"
    reply = await scraped.ask(f"{method} /metrics HTTP/1.1\r\nhost: x\r\n{accept}\r\n".encode())
    assert reply.headers["content-type"].startswith(OPENMETRICS)
    assert bool(reply.body) is (method == "GET")
