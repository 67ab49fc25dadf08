"""A new configuration under processes with health checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core.health import HealthState
from cbox_init.supervisor.process import LongrunProcess
from tests.supervisor.test_reload import born, reload, up

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

PLAIN = "processes:\n  web: {{command: [sleep, '{0}'], scale: 2, restart_delay: 0}}\n"
CHECKED = (
    "processes:\n  web:\n    command: [sleep, '{0}']\n    scale: 2\n    restart_delay: 0\n"
    "    health_check: {{command: [sh, -c, 'test -e $DIR/{1}'], initial_delay: 0, period: 50ms, "
    "failure_threshold: 2}}\n"
)


def healthy(house: House) -> bool:
    found = [instance.health for instance in house.status("web").instances]
    return len(found) == 2 and all(one is not None and one.state is HealthState.HEALTHY for one in found)


def checks(house: House) -> int:
    """Results that have come in for the first instance."""
    health = house.instance("web").health
    return health.successes if health is not None else 0


async def test_a_check_comes_to_instances_that_run(build: Build) -> None:
    house = build(PLAIN.format(1000))
    await up(house, web=2)
    before = born(house)
    (house.file.parent / "well").touch()
    assert await reload(house, CHECKED.format(1000, "well")) == {"adjusted": ("web",)}
    assert healthy(house)  # until it shows otherwise
    await house.until(lambda: checks(house) >= 2)
    assert born(house) == before


async def test_one_that_fails_ends_them(build: Build) -> None:
    house = build(PLAIN.format(1000))
    await up(house, web=2)
    first = set(house.pids("web"))
    await reload(house, CHECKED.format(1000, "missing"))
    await house.until(lambda: "Process marked as unhealthy" in house.messages())
    await house.until(lambda: not first & set(house.pids("web")))


async def test_one_that_was_healthy_is_checked_each_period_after_a_reload(build: Build) -> None:
    """It does not start, so that its failures come no sooner than those of any other."""
    house = build(CHECKED.format(1000, "well"))
    (house.file.parent / "well").touch()
    await house.until(lambda: healthy(house))
    began = house.runtime.now()
    slower = CHECKED.replace("period: 50ms", "period: 400ms, start_interval: 1ms")
    await reload(house, slower.format(1000, "missing"))
    await house.until(lambda: "Process marked as unhealthy" in house.messages())
    assert house.runtime.now() - began >= 0.4, "two failures, a period between them"


async def test_a_check_goes(build: Build) -> None:
    house = build(CHECKED.format(1000, "well"))
    (house.file.parent / "well").touch()
    await house.until(lambda: healthy(house))
    before = born(house)
    assert await reload(house, PLAIN.format(1000)) == {"adjusted": ("web",)}
    assert house.instance("web").health is None
    (house.file.parent / "well").unlink()
    assert born(house) == before
    assert await reload(house, PLAIN.format(1001)) == {"changed": ("web",)}
    await house.until(lambda: not {p for p, _ in before["web"]} & set(house.pids("web")))


async def test_another_check_with_another_program_gates_the_replacement(build: Build) -> None:
    house = build(CHECKED.format(1000, "old"))
    (house.file.parent / "old").touch()
    await house.until(lambda: healthy(house))
    second = house.instance("web", 1).pid
    changed = CHECKED.format(1001, "new").replace("failure_threshold: 2", "failure_threshold: 1000")
    assert await reload(house, changed) == {"changed": ("web",)}
    # The first successor is not healthy by its check; the old one is by its own, and stays.
    await house.until(lambda: (health := house.instance("web").health) is not None and health.failures > 3)
    assert house.instance("web", 1).pid == second
    assert (health := house.instance("web", 1).health) is not None and health.state is HealthState.HEALTHY
    (house.file.parent / "new").touch()
    await house.until(lambda: house.instance("web", 1).pid not in (None, second) and healthy(house))


async def test_many_changes_in_a_row_leave_one_monitor(build: Build) -> None:
    house = build(CHECKED.format(1000, "well"))
    (house.file.parent / "well").touch()
    await house.until(lambda: healthy(house))
    for number in range(1, 8):
        await reload(house, CHECKED.format(1000 + number, "well"))
    process = house.supervisor.table["web"]
    assert isinstance(process, LongrunProcess)
    await house.until(lambda: process.settled and healthy(house))
    await house.until(lambda: checks(house) > 2)
    assert process._measurers._outgoing == []
