"""The last lines of processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

TWO = """
  one: {command: [sh, -c, "for n in 1 2 3 4 5; do echo line $n; done; echo bad >&2; echo end; sleep 1000"]}
  two: {command: [sh, -c, 'printf "odd \\000\\377\\033[1m \\342\\234\\223\\n"; sleep 1000']}
"""


@pytest.fixture
async def talking(serve: Serve) -> Service:
    service = await serve(TWO)
    await service.house.until_said("one", "end")
    await service.house.until(lambda: service.house.lines("two"))
    await service.house.until(lambda: len(service.house.lines("one")) == 7)
    return service


async def test_of_one_process_newest_first(talking: Service) -> None:
    reply = await talking.tcp.get("/api/v1/processes/one/logs?limit=3")
    assert list(reply.json()) == ["process", "limit", "count", "logs"]
    assert reply.json()["process"] == "one"
    assert (reply.json()["limit"], reply.json()["count"]) == (3, 3)
    logs = reply.json()["logs"]
    assert list(logs[0]) == ["timestamp", "process", "instance", "stream", "level", "message"]
    assert [log["message"] for log in logs] == talking.house.lines("one")[::-1][:3]
    stamp = datetime.fromisoformat(logs[0]["timestamp"][:26] + "+00:00")
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 60
    assert logs[0]["timestamp"].endswith("Z")


async def test_ascending_shows_the_same_lines(talking: Service) -> None:
    down = (await talking.tcp.get("/api/v1/processes/one/logs?limit=3")).json()["logs"]
    up = (await talking.tcp.get("/api/v1/processes/one/logs?limit=3&order=asc")).json()["logs"]
    assert up == down[::-1]


async def test_of_all(talking: Service) -> None:
    reply = await talking.tcp.get("/api/v1/logs")
    assert list(reply.json()) == ["scope", "limit", "count", "logs"]
    assert (reply.json()["scope"], reply.json()["limit"], reply.json()["count"]) == ("stack", 100, 8)
    assert {log["process"] for log in reply.json()["logs"]} == {"one", "two"}


async def test_streams_are_told_apart(talking: Service) -> None:
    logs = (await talking.tcp.get("/api/v1/processes/one/logs")).json()["logs"]
    streams = {log["message"]: (log["instance"], log["stream"]) for log in logs}
    assert streams["line 1"] == ("one-0", "stdout")
    assert streams["bad"] == ("one-0", "stderr")


async def test_any_bytes_are_shown(talking: Service) -> None:
    (log,) = (await talking.tcp.get("/api/v1/processes/two/logs")).json()["logs"]
    assert log["message"] == "odd \0\\xff\033[1m ✓"


@pytest.mark.parametrize("limit", [1, 7, 100, 9999, 10_000])
async def test_limits(talking: Service, limit: int) -> None:
    reply = (await talking.tcp.get(f"/api/v1/processes/one/logs?limit={limit}")).json()
    assert (reply["limit"], reply["count"]) == (limit, min(limit, 7))
    assert len(reply["logs"]) == reply["count"]


async def test_least_level(talking: Service) -> None:
    async def messages(level: str) -> set[str]:
        reply = await talking.tcp.get(f"/api/v1/processes/one/logs?level={level}")
        return {log["message"] for log in reply.json()["logs"]}

    everything = set(talking.house.lines("one"))
    assert await messages("debug") == await messages("INFO") == everything
    shown = (await talking.tcp.get("/api/v1/logs")).json()["logs"]
    errors = {log["message"] for log in shown if log["level"] == "error" and log["process"] == "one"}
    assert await messages("error") == errors < everything


async def test_fields_of_json_and_masked_secrets(serve: Serve) -> None:
    service = await serve(r"""
  shop:
    command: [printf, '{"msg":"paid by ann@example.org","order":7}\nplain\n']
    type: oneshot
    logging:
      redaction: {enabled: true, patterns: [email]}
      json: {enabled: true, extract_message: true, merge_fields: true}
  other: {command: [sleep, '1000']}
""")
    await service.house.until_said("shop", "plain")
    first, second = (await service.tcp.get("/api/v1/processes/shop/logs?order=asc")).json()["logs"]
    assert (first["message"], first["fields"]) == ("paid by ***", {"order": 7})
    assert "fields" not in second
