"""Where records go, as the API tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve


async def test_standard_output_is_always_there(serve: Serve) -> None:
    service = await serve()
    (stdout,) = (await service.tcp.get("/api/v1/logs/outputs")).json()["outputs"]
    assert list(stdout) == ["type", "target", "written", "dropped", "queued_bytes"]
    assert (stdout["type"], stdout["target"], stdout["dropped"]) == ("stdout", "stdout", 0)


async def test_what_rate_limits_have_held_back(serve: Serve) -> None:
    service = await serve("""
  web:
    command: [sh, -c, "seq 50; exec sleep 1000"]
    logging: {rate_limit: {lines: 1, burst: 10}}
  calm: {command: [sleep, '1000'], logging: {rate_limit: {lines: 10}}}
  free: {command: [sleep, '1000']}
""")
    await service.house.until(lambda: service.house.logs.rate_limited()["web"] >= 39)
    held_back = (await service.tcp.get("/api/v1/logs/outputs")).json()["rate_limited"]
    assert list(held_back) == ["web", "calm"]
    assert 39 <= held_back["web"] <= 40
    assert held_back["calm"] == 0


async def test_outputs_of_processes_are_counted(serve: Serve, tmp_path: Path) -> None:
    service = await serve(f"""
  web:
    command: [sh, -c, "echo one; echo two; exec sleep 1000"]
    logging:
      outputs:
        good: {{path: {tmp_path}/web.log}}
        bad: {{path: {tmp_path}}}
""")
    await service.house.until_said("web", "two")
    await service.house.until(lambda: service.house.logs.outputs()[1].written == 2)
    await service.house.until(lambda: service.house.logs.outputs()[2].dropped == 2)
    _, good, bad = (await service.tcp.get("/api/v1/logs/outputs")).json()["outputs"]
    assert (good["type"], good["target"], good["written"]) == ("file", f"{tmp_path}/web.log", 2)
    assert (bad["written"], bad["dropped"], bad["queued_bytes"]) == (0, 2, 0)
    assert bad["error"] == "Is a directory"
