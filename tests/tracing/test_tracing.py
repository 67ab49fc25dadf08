"""Tracing beside a supervisor with real children: turned on and off, changed, and made to fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.model import GlobalConfig, TracingExporter
from cbox_init.core.states import State
from cbox_init.tracing import tracing as module
from cbox_init.tracing.recorder import Recorder
from cbox_init.tracing.tracing import Tracing
from tests.tracing.collector import GrpcCollector, HttpCollector

if TYPE_CHECKING:
    import pytest

    from tests.supervisor.house import Build, House
    from tests.tracing.collector import Collector

STACK = """
processes:
  stays: {command: [sleep, "1000"]}
  migrate: {type: oneshot, command: [sh, -c, 'echo "none$TRACEPARENT"']}
"""


def put_in_force(house: House, **keys: object) -> None:
    """Change keys of tracing, as a reload does."""
    before = house.supervisor.config
    house.supervisor.put_in_force(replace(before, global_=replace(before.global_, **keys)))


def over(exporter: str, collector: Collector) -> dict[str, object]:
    return {
        "tracing_enabled": True,
        "tracing_exporter": TracingExporter(exporter),
        "tracing_endpoint": collector.address,
    }


def traced(house: House) -> Tracing:
    tracing = Tracing(house.supervisor, house.runtime, at_start=True)
    house.supervisor.on_config.append(tracing.reconfigure)
    return tracing


async def run(house: House, times: int) -> str:
    """Run the oneshot again; gives the context that it got."""
    await house.until(lambda: house.state("migrate") is State.COMPLETED)
    house.supervisor.start("migrate")
    await house.until(
        lambda: len(house.lines("migrate")) == times and house.state("migrate") is State.COMPLETED
    )
    given = house.lines("migrate")[-1]
    return given.removeprefix("none") or given


async def test_a_reload_turns_it_on_moves_it_and_turns_it_off(build: Build) -> None:
    house = build(STACK)
    tracing = traced(house)
    assert house.runtime.job_variables is None
    await house.until(lambda: house.lines("migrate") == ["none"])
    with GrpcCollector() as first, HttpCollector() as second:
        put_in_force(house, **over("otlp-grpc", first))
        given = await run(house, 2)
        await house.until(lambda: first.named("instance.start"))
        span = first.named("instance.start")[-1]
        assert given == f"00-{span.trace_id}-{span.span_id}-01"

        put_in_force(house, **over("otlp-http", second))
        given = await run(house, 3)
        await house.until(lambda: second.named("instance.start"))
        assert second.named("instance.start")[-1].span_id in given
        assert len(first.named("instance.start")) == 1
        assert second.paths[-1] == "/v1/traces"

        put_in_force(house, tracing_sample_rate=0.0)
        assert (await run(house, 4)).endswith("-00")

        put_in_force(house, tracing_enabled=False)
        assert await run(house, 5) == "none"
        await tracing.close()
        assert len(second.named("instance.start")) == 1
    assert house.runtime.events._listeners == ()


async def test_a_defect_of_tracing_concerns_nothing_else(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    house = build("global: {tracing_enabled: true}" + STACK, start=False)
    house.expects_defects = True
    for method in ("heard", "variables", "finish"):
        monkeypatch.setattr(Recorder, method, broken)
    tracing = traced(house)
    house.supervisor.start_all()
    await house.until(lambda: house.lines("migrate") == ["none"])
    await house.until(lambda: house.state("migrate") is State.COMPLETED)
    await tracing.close()
    said = house.messages()
    assert "Unexpected: the trace of a job could not be begun" in said
    assert "Unexpected: spans could not be ended" in said


async def test_without_the_extra_the_daemon_says_how_to_install_it(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "missing_package", lambda grpc: "grpc")
    house = build("global: {tracing_enabled: true, tracing_exporter: otlp-grpc}" + STACK)
    tracing = traced(house)
    given = await run(house, 2)
    assert given.startswith("00-")
    await tracing.close()
    log = house.log_text()
    assert log.count("Traces are not sent") == 1
    assert "grpc is not installed: pip install 'cbox-init[tracing]'" in log


async def test_a_start_that_fails_is_a_line_of_the_log_with_its_reason(build: Build) -> None:
    text = """
global: {tracing_enabled: true, log_level: error, max_restart_attempts: 1, restart_backoff_initial: 0.01}
processes:
  bad: {command: [/no/such]}
  stays: {command: [sleep, "1000"]}
"""
    house = build(text, start=False)
    tracing = traced(house)
    house.supervisor.start_all()
    await house.until_state("bad", State.FAILED)
    await tracing.close()
    records = [json.loads(line) for line in house.log_text().splitlines()]
    failed = [one for one in records if one["msg"] == "Span" and one["status"] == "error"]
    assert {one["name"] for one in failed} == {
        "instance.start",
        "process_manager.start_process",
        "process_manager.start",
    }
    assert all("/no/such" in one["error"] for one in failed)
    assert all("error" not in one for one in records if one.get("status") == "ok")


def test_all_its_keys_count_at_a_reload() -> None:
    from cbox_init.core.reload_diff import GLOBAL_IN_PLACE

    keys = {key for key in GlobalConfig.__struct_fields__ if key.startswith("tracing_")}
    assert len(keys) == 6
    assert keys <= GLOBAL_IN_PLACE
