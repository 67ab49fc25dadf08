"""The last lines of processes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cbox_init.api import waiting
from cbox_init.api.routes import logs

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
    names = ["timestamp", "process", "instance", "stream", "level", "message"]
    older = ["Timestamp", "ProcessName", "InstanceID", "Stream", "Level", "Message"]
    assert set(logs[0]) == {*names, *older}
    assert [[log[name] for name in older] for log in logs] == [[log[name] for name in names] for log in logs]
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
    assert await messages("all") == everything
    shown = (await talking.tcp.get("/api/v1/logs")).json()["logs"]
    errors = {log["message"] for log in shown if log["level"] == "error" and log["process"] == "one"}
    assert await messages("error") == errors < everything


async def said(service: Service, query: str, path: str = "/api/v1/processes/one/logs") -> list[str]:
    reply = await service.tcp.get(f"{path}?order=asc&{query}")
    assert reply.status_code == 200, reply.text
    return [log["message"] for log in reply.json()["logs"]]


async def test_by_stream(talking: Service) -> None:
    assert await said(talking, "stream=stderr") == ["bad"]
    assert len(await said(talking, "stream=stdout")) == 6
    assert len(await said(talking, "stream=stderr&stream=stdout")) == 7
    assert await said(talking, "stream=file") == []


async def test_by_instance(talking: Service) -> None:
    assert len(await said(talking, "instance=one-0")) == 7
    assert await said(talking, "instance=one-1") == []
    assert len(await said(talking, "instance=one-0&instance=two-0", "/api/v1/logs")) == 8


async def test_by_text(talking: Service) -> None:
    assert await said(talking, "grep=line&limit=2") == ["line 4", "line 5"]
    assert await said(talking, "grep=LINE") == []
    assert await said(talking, "grep=LINE+3&ignore_case=true") == ["line 3"]
    assert await said(talking, "grep=%E2%9C%93", "/api/v1/logs") == ["odd \0\\xff\033[1m ✓"]
    assert await said(talking, "grep=line.*") == []
    assert len(await said(talking, "grep=")) == 7


async def test_by_time(talking: Service) -> None:
    logs = (await talking.tcp.get("/api/v1/logs?order=asc")).json()["logs"]
    first, last = logs[0]["timestamp"], logs[-1]["timestamp"]
    everything = await said(talking, "", "/api/v1/logs")
    assert await said(talking, f"since={first}&until={last}", "/api/v1/logs") == everything
    assert await said(talking, "since=1h", "/api/v1/logs") == everything
    assert await said(talking, "until=1h", "/api/v1/logs") == []
    of_first = [log["message"] for log in logs if log["timestamp"] == first]
    assert await said(talking, f"until={first}", "/api/v1/logs") == of_first
    assert await said(talking, f"since={last[:-1]}%2B00:00", "/api/v1/logs") == [
        log["message"] for log in logs if log["timestamp"] == last
    ]
    assert await said(talking, "since=2h&until=1h") == []


async def test_several_processes(talking: Service) -> None:
    everything = await said(talking, "", "/api/v1/logs")
    assert await said(talking, "process=one&process=two", "/api/v1/logs") == everything
    assert await said(talking, "process=two", "/api/v1/logs") == ["odd \0\\xff\033[1m ✓"]
    reply = await talking.tcp.get("/api/v1/logs?process=one&process=nobody")
    assert (reply.status_code, reply.json()) == (404, {"error": "process not found: nobody"})


TIME = "must be a time such as 2026-11-24T09:08:03Z, Unix seconds, or a duration such as 5m, not"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", "limit must be a whole number from 1 to 10000, not '0'"),
        ("stream=out", "stream must be one of stdout, stderr, file, not 'out'"),
        ("stream=stdout&stream=", "stream must be one of stdout, stderr, file, not ''"),
        ("ignore_case=maybe", "ignore_case must be true or false, not 'maybe'"),
        ("since=", f"since {TIME} ''"),
        ("since=-5m", f"since {TIME} '-5m'"),
        ("until=tomorrow", f"until {TIME} 'tomorrow'"),
        ("until=2026-02-30", f"until {TIME} '2026-02-30'"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/processes/one/logs", "/api/v1/logs"])
async def test_what_is_wrong_is_said(talking: Service, path: str, query: str, error: str) -> None:
    reply = await talking.tcp.get(f"{path}?{query}")
    assert (reply.status_code, reply.json()) == (400, {"error": error})


async def test_a_long_search_lets_others_have_their_turn(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here after each block, so that they can be counted: a pipe cannot hold all lines as one."""
    monkeypatch.setattr(waiting, "SLICE_S", 0.0)
    line = f"echo $i {'-' * 100}"
    script = f"i=0; while [ $i -lt 3000 ]; do {line}; i=$((i+1)); done; echo end; exec sleep 1000"
    service = await serve(f"\n  many: {{command: [sh, -c, '{script}'], logging: {{ring_size: 4MiB}}}}")
    await service.house.until_said("many", "end")
    blocks = sum(map(len, service.house.logs.past().rings))
    query = "grep=nothing&ignore_case=1&limit=10000"
    searching = asyncio.ensure_future(service.unix.get(f"/api/v1/logs?{query}"))
    turns = 0
    while not searching.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await searching).json()["count"] == 0
    assert turns > blocks > 1
    assert len(await said(service, "limit=10000", "/api/v1/logs")) == 3001


async def test_the_lines_of_a_block_are_made_in_slices(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SLICE_S", 0.0)
    script = "yes | head -n 20000; echo end; exec sleep 1000"
    service = await serve(f"\n  many: {{command: [sh, -c, '{script}'], logging: {{ring_size: 4MiB}}}}")
    await service.house.until_said("many", "end")
    asking = asyncio.ensure_future(service.unix.get("/api/v1/logs?limit=10000"))
    turns = 0
    while not asking.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await asking).json()["count"] == 10_000
    assert turns > 2 * 10_000 / 100


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_reply_has_a_largest_size(serve: Serve, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 20_000)
    monkeypatch.setattr(logs, "_PIECE_ENTRIES", 5)
    line = 'printf "%d %0999d\\n" $i 0'
    script = f"i=0; while [ $i -lt 300 ]; do {line}; i=$((i+1)); done; echo end; exec sleep 1000"
    service = await serve(f"\n  many: {{command: [sh, -c, '{script}'], logging: {{ring_size: 4MiB}}}}")
    await service.house.until_said("many", "end")
    reply = (await service.unix.get(f"/api/v1/logs?limit=1000&order={order}")).json()
    found = [line["message"].split()[0] for line in reply["logs"]]
    if order == "asc":
        found.reverse()
    assert reply["count"] == len(found) < 30
    assert found == ["end", *(str(299 - number) for number in range(len(found) - 1))]  # the newest


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
