"""The next runs of schedules, as a calendar shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cbox_init.api.routes import upcoming
from tests.api.test_roles import headers_of

if TYPE_CHECKING:
    import pytest

    from tests.api.service import Serve, Service

PATH = "/api/v1/schedules/upcoming"
NOW = 1_795_824_000  # 2026-11-28T00:00:00Z
DAY = 86_400
JOBS = """
  daily: {command: ["true"], schedule: "0 3 * * *"}
  often: {command: ["true"], schedule: "@every 1s"}
  hourly: {command: ["true"], schedule: "30 * * * *"}
  leap: {command: ["true"], schedule: "0 0 29 2 *"}
  web: {command: [sleep, "1000"]}"""
TOKENS = """
    [{name: some, role: viewer, processes: [dai*, web], token: the-token-of-some-reader}]"""


async def served(serve: Serve, jobs: str = JOBS, **settings: object) -> Service:
    service = await serve(jobs, **settings)
    service.house.runtime.set_clock(NOW)
    supervisor = service.house.supervisor
    for one in supervisor.statuses():
        if one.schedule is not None:  # its next time is that of the new clock
            supervisor.pause(one.name)
            supervisor.resume(one.name)
    await service.house.until(
        lambda: all(one.schedule is None or one.schedule.next_run for one in supervisor.statuses())
    )
    return service


async def runs(service: Service, query: str, headers: dict[str, str] | None = None) -> Any:
    client = service.unix if headers is None else service.tcp
    reply = await client.get(f"{PATH}?{query}", headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_the_earliest_of_all_come_first(serve: Serve) -> None:
    service = await served(serve)
    found = await runs(service, f"from={NOW + DAY}&until={NOW + DAY + 4 * 3600}&limit=3")
    assert (found["from"], found["until"]) == (NOW + DAY, NOW + DAY + 4 * 3600)
    assert NOW <= found["time"] < NOW + 1000
    times = [run["time"] for run in found["runs"]]
    assert times == sorted(times)
    of = {
        name: [run["time"] - NOW - DAY for run in found["runs"] if run["process"] == name]
        for name in ("daily", "often", "hourly", "leap", "web")
    }
    assert len(of.pop("often")) == 3
    assert of == {"daily": [3 * 3600], "hourly": [1800, 5400, 9000], "leap": [], "web": []}
    assert (found["truncated"], found["more"]) == (True, ["hourly", "often"])


async def test_both_ends_are_among_them(serve: Serve) -> None:
    service = await served(serve)
    found = await runs(service, f"from={NOW + DAY + 1800}&until={NOW + DAY + 5400}")
    assert [run["time"] - NOW - DAY for run in found["runs"] if run["process"] == "hourly"] == [1800, 5400]


async def test_durations_count_from_now_on_and_the_past_is_not_shown(serve: Serve) -> None:
    service = await served(serve)
    by_default = await runs(service, "limit=1")
    assert NOW <= by_default["from"] < NOW + 1000
    assert by_default["until"] - by_default["from"] == 7 * DAY
    later = await runs(service, "from=1d&until=48h&limit=1000")
    assert 0 <= later["from"] - NOW - DAY < 1000
    assert [run["time"] for run in later["runs"] if run["process"] == "daily"] == [NOW + DAY + 3 * 3600]
    past = await runs(service, f"from={NOW - 30 * DAY}&until=1d&limit=1000")
    assert min(run["time"] for run in past["runs"]) >= NOW
    date = await runs(service, "from=2026-11-29T00:00:00Z&until=2026-11-30")
    assert date["from"] == NOW + DAY
    assert date["until"] == NOW + 2 * DAY


async def test_paused_schedules_have_none(serve: Serve) -> None:
    service = await served(serve)
    service.house.supervisor.pause("often")
    service.house.supervisor.pause("hourly")
    found = await runs(service, "until=366d")
    assert {run["process"] for run in found["runs"]} == {"daily"}
    assert (len(found["runs"]), found["more"]) == (100, ["daily"])


async def test_callers_see_those_of_their_processes(serve: Serve) -> None:
    service = await served(serve, api_tokens=TOKENS)
    found = await runs(service, "limit=1000", headers_of("the-token-of-some-reader"))
    assert {run["process"] for run in found["runs"]} == {"daily"}
    assert not found["truncated"]


async def test_all_together_are_limited(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcoming, "MOST_RUNS", 10)
    service = await served(serve)
    found = await runs(service, "limit=1000")
    assert len(found["runs"]) == 10
    assert found["more"] == ["daily", "hourly", "often"]


async def test_without_schedules(service: Service) -> None:
    found = await runs(service, "")
    assert (found["runs"], found["truncated"], found["more"]) == ([], False, [])


async def test_bad_queries(service: Service) -> None:
    for query, words in {
        "limit=0": "limit must be a whole number from 1 to 1000, not '0'",
        "limit=1001": "limit must be",
        "from=tomorrow": "from must be a time such as",
        "until=": "until must be a time",
        "until=-1h": "until must be a time",
        f"until={'9' * 11}": "by at most 366 days",
        "from=2d&until=1d": "until must be later than from",
        "until=1ms&from=1s": "until must be later",
        "from=99999d": "from must be at most 10 years from now",
        "from=9999-12-31T23:59:59Z": "from must be at most 10 years from now",
    }.items():
        reply = await service.unix.get(f"{PATH}?{query}")
        assert reply.status_code == 400, query
        assert words in reply.json()["error"]
