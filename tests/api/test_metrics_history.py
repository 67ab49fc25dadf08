"""``GET /api/v1/metrics/history``: its forms, its selection and its limits."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import ApiError, AsyncClient
from cbox_init.telemetry.history import Sample

if TYPE_CHECKING:
    import httpx

    from tests.api.service import Serve, Service

PATH = "/api/v1/metrics/history"
WEB_0 = "process=web&instance=web-0"
CONTRACT = [
    *("timestamp", "cpu_percent", "memory_rss_bytes", "memory_vms_bytes"),
    *("memory_percent", "threads", "file_descriptors"),
]
NOW = 1_795_000_000.0


def sample(unix: float, number: int = 1) -> Sample:
    return Sample(unix, number, number * 4096, 8192, number, None, number, 4096, 1, None, 4.0, None)


async def with_samples(serve: Serve, count: int) -> Service:
    """A service whose web-0 has these samples, a second apart up to ``NOW``, and will have no other."""
    service = await serve(resource_metrics_enabled="true", resource_metrics_interval="1h")
    resources = service.house.supervisor.resources
    assert resources is not None
    resources.close()
    resources.history.forget("web")
    resources.history.resize(20_000)
    for number in range(count):
        resources.history.add("web", "web-0", sample(NOW - count + number + 1, number))
    return service


async def get(service: Service, query: str) -> httpx.Response:
    return await service.unix.get(f"{PATH}?{query}")


async def test_real_samples(serve: Serve) -> None:
    service = await serve(resource_metrics_enabled="true", resource_metrics_interval="100ms")
    house = service.house
    house.supervisor.start_all()

    def sampled() -> bool:
        assert house.supervisor.resources is not None
        ring = house.supervisor.resources.history.ring("web", "web-0")
        if ring is None or len(ring) < 4:
            return False
        last = ring.since(0, 3)  # in the moment of its exec a process has no memory
        return all(last.sample(at).memory_rss_bytes for at in range(3))

    await house.until(sampled)
    reply = (await get(service, f"{WEB_0}&limit=3")).json()
    assert list(reply) == ["process", "instance", "since", "limit", "samples", "data"]
    assert (reply["process"], reply["instance"], reply["limit"]) == ("web", "web-0", 3)
    assert reply["samples"] == len(reply["data"]) == 3
    for entry in reply["data"]:
        assert list(entry)[:7] == CONTRACT
        assert entry["threads"] == 1 and entry["file_descriptors"] >= 3
    assert any(entry["memory_rss_bytes"] for entry in reply["data"])
    times = [entry["timestamp"] for entry in reply["data"]]
    assert times == sorted(times), "oldest first"
    assert (await get(service, "process=web&instance=web-4")).status_code == 404


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("since=0&limit=3", [147, 148, 149]),
        ("since=0", list(range(50, 150))),
        (f"since={NOW - 1:.0f}", [148, 149]),
        ("since=2026-11-18T11:06:39Z&limit=5", [148, 149]),
        (f"since={NOW + 1:.0f}", []),
        ("", []),
        ("since=0&step=60&limit=2", [78.5, 129]),
        ("since=0&step=1m&limit=1", [129]),
        ("since=0&step=1d", [74.5]),
        ("since=0&step=1s&limit=1", [149]),
    ],
)
async def test_what_is_selected(serve: Serve, query: str, numbers: list[float]) -> None:
    service = await with_samples(serve, 150)
    reply = (await get(service, f"{WEB_0}&{query}")).json()
    assert [entry["cpu_percent"] for entry in reply["data"]] == numbers


async def test_steps_have_averages_and_largest_values(serve: Serve) -> None:
    service = await with_samples(serve, 100)
    (entry,) = (await get(service, f"{WEB_0}&since=0&step=1m&limit=1")).json()["data"]
    assert entry["timestamp"] == "2026-11-18T11:06:00.000Z", "a multiple of the step"
    assert entry["samples"] == 41
    assert entry["memory_rss_bytes"] == 79 * 4096 and entry["max"]["memory_rss_bytes"] == 99 * 4096
    assert entry["file_descriptors"] is None and "io_read_bytes_per_second" not in entry["max"]


async def test_since_is_shown_as_rfc_3339(serve: Serve) -> None:
    service = await with_samples(serve, 1)
    for since, shown in (
        ("1795000000", "2026-11-18T11:06:40Z"),
        ("2026-11-18T12:06:40.5%2B01:00", "2026-11-18T11:06:40.500Z"),
        ("0001-01-01", "1970-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"),
    ):
        assert (await get(service, f"{WEB_0}&since={since}")).json()["since"] == shown
    shown = (await get(service, WEB_0)).json()["since"]
    assert shown[:13] == time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - 3600))


async def test_csv(serve: Serve) -> None:
    service = await with_samples(serve, 3)
    reply = await get(service, f"{WEB_0}&since=0&format=csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert list(rows[0])[:7] == CONTRACT
    assert [row["cpu_percent"] for row in rows] == ["0.0", "1.0", "2.0"]
    assert rows[0]["file_descriptors"] == rows[0]["io_read_bytes_per_second"] == ""
    rows = list(csv.DictReader(io.StringIO((await get(service, f"{WEB_0}&since=0&format=csv&step=1d")).text)))
    assert (rows[0]["samples"], rows[0]["threads"], rows[0]["max_threads"]) == ("3", "1", "2")


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("process=web", 400, "instance is required: write ?process=web&instance=web-0"),
        ("instance=web-0", 400, "process is required: write ?process=web&instance=web-0"),
        (f"{WEB_0}&limit=0", 400, "limit must be a whole number from 1 to 10000, not '0'"),
        (f"{WEB_0}&limit=10001", 400, "limit must be a whole number from 1 to 10000, not '10001'"),
        (f"{WEB_0}&step=0", 400, "step must be seconds or a time such as 5m, not '0'"),
        (f"{WEB_0}&step=1w", 400, "step must be seconds or a time such as 5m, not '1w'"),
        (f"{WEB_0}&step=", 400, "step must be seconds or a time such as 5m, not ''"),
        (f"{WEB_0}&format=xml", 400, "format must be json or csv, not 'xml'"),
        ("process=nothing&instance=web-0", 404, "process not found: nothing"),
        ("process=web&instance=web-7", 404, "no instance 'web-7' of web is known"),
        ("process=web&instance=web-1", 200, None),
    ],
)
async def test_what_cannot_be_answered(serve: Serve, query: str, status: int, error: str | None) -> None:
    service = await with_samples(serve, 0)
    reply = await get(service, query)
    assert reply.status_code == status
    assert reply.json().get("error") == error
    if status == 200:
        assert (reply.json()["samples"], reply.json()["data"]) == (0, [])


async def test_without_collection(service: Service) -> None:
    reply = await get(service, WEB_0)
    assert reply.status_code == 503
    assert reply.json()["error"] == (
        "resource metrics are not collected: global.resource_metrics_enabled is false"
    )


async def test_the_largest_reply(serve: Serve) -> None:
    service = await with_samples(serve, 10_500)
    reply = (await get(service, f"{WEB_0}&since=0&limit=10000")).json()
    assert reply["samples"] == len(reply["data"]) == 10_000
    assert reply["data"][-1]["cpu_percent"] == 10_499


async def test_by_the_client(serve: Serve) -> None:
    service = await with_samples(serve, 100)
    async with AsyncClient.connect(socket=service.path) as client:
        found = await client.metrics_history("web", "web-0", since=0, limit=2)
        assert [entry.cpu_percent for entry in found.data] == [98, 99]
        found = await client.metrics_history("web", "web-0", since="2026-01-01", step=60, limit=1)
        assert found.data[0].samples == 41 and found.data[0].max
        with pytest.raises(ApiError, match="no instance 'web-9'"):
            await client.metrics_history("web", "web-9")
