"""Health in the list of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core.health import HealthState
from tests.supervisor.health.test_checks import until

if TYPE_CHECKING:
    from tests.api.service import Serve

QUICK = "initial_delay: 0, period: 100ms, timeout: 300ms, start_period: 1ms"
PATIENT = QUICK.replace("timeout: 300ms", "timeout: 20s")


async def test_health_of_an_instance(serve: Serve) -> None:
    service = await serve(
        f"\n  well: {{command: [sleep, '1000'], health_check: {{command: ['true'], {PATIENT}}}}}"
        f"\n  ill: {{command: [sleep, '1000'], health_check: {{command: [sh, -c, 'echo no; exit 1'], {QUICK},"
        " mode: readiness}}"
        "\n  none: {command: [sleep, '1000']}"
    )
    house = service.house
    for name, state in (("well", HealthState.HEALTHY), ("ill", HealthState.UNHEALTHY)):
        await until(house, state, name)
    processes = (await service.unix.get("/api/v1/processes")).json()["processes"]
    well, ill, none = (process["instances"][0] for process in processes)
    assert (well["state"], ill["state"]) == ("running", "running")
    health = well["health"]
    assert (health["status"], health["ready"], health["last_result"]) == ("healthy", True, "success")
    assert health["latency_ms"] > 0
    assert abs(health["last_check"] - house.runtime.unix()) < 60
    health = ill["health"]
    assert (health["status"], health["ready"], health["last_result"]) == ("unhealthy", False, "failure")
    assert health["consecutive_failures"] >= 3
    assert health["reason"] == "sh: exit code 1: no"
    assert ill["reason"].startswith("unhealthy after")
    assert not {"health", "restart_reasons", "reason"} & set(none)


async def test_restarts_are_counted_by_reason(serve: Serve) -> None:
    service = await serve(
        f"\n  web: {{command: [sleep, '1000'], restart_delay: 1ms,"
        f" health_check: {{command: ['false'], {QUICK}, failure_threshold: 1}}}}"
        "\n  other: {command: [sleep, '1000']}"
    )
    await service.house.until_restarted("web", 2)
    (web, _) = (await service.unix.get("/api/v1/processes")).json()["processes"]
    (instance,) = web["instances"]
    assert instance["restart_reasons"] == {"health_check": instance["restart_count"]}
