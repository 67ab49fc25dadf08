"""A small house of processes in which one call fails: afterwards everything that should run runs."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from cbox_init.core.states import State
from cbox_init.errors import CboxError
from tests.faults.injector import TARGETS, Injector
from tests.supervisor.conftest import adopted_orphans  # noqa: F401  # the fixture
from tests.supervisor.house import House

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.supervisor.changes import Change

#: How many of the calls of each target fail in turn, spread over all; CBOX_INIT_FAULTS=all tries each.
PLACES: Final = None if os.environ.get("CBOX_INIT_FAULTS") == "all" else 4

PROCESSES: Final = """
global: {{restart_backoff_initial: 20ms, restart_backoff_max: 50ms, max_restart_attempts: 0, log_level: warn}}
processes:
  web:
    command:
      - sh
      - -c
      - 'echo "{{\\"level\\":\\"info\\",\\"message\\":\\"up {0}\\"}}"; exec sleep 1000'
    scale: 2
    health_check: {{command: ["true"], initial_delay: 0, period: 50ms, timeout: 5}}
    shutdown: {{timeout: 5, pre_stop_hook: {{name: bye, command: ["true"]}}}}
    logging:
      json: {{enabled: true}}
      redaction: {{enabled: true, patterns: [email]}}
  crasher: {{command: [sh, -c, "sleep 0.05; exit 3"]}}
  job: {{type: oneshot, command: [sh, -c, echo done], schedule: "0 3 1 1 *"}}
"""


async def play(house: House) -> None:
    """Everything that happens to processes, once. A command that is refused is given once more."""
    await house.until(lambda: len(house.pids("web")) == 2)
    await house.until(lambda: house.instance("crasher").restart_count > 0)
    house.kill("web")
    with suppress(CboxError):
        await house.over(await trigger(house))
    house.supervisor.scale("web", 3)
    await house.until(lambda: len(house.pids("web")) == 3)
    house.file.write_text(PROCESSES.format(2))
    try:
        await house.parts.configuration.reload()
    except (CboxError, OSError):
        await house.parts.configuration.reload()
    house.supervisor.stop("crasher")


async def trigger(house: House) -> Change:
    try:
        return house.supervisor.trigger("job")
    except Exception:  # noqa: BLE001  # the injected one
        return house.supervisor.trigger("job")


async def check(house: House) -> None:
    """All that should run runs, on the new configuration; all that should not does not; and it all ends."""
    await house.until(lambda: sum("up 2" in line for line in house.lines("web")) >= 3)
    await house.until(lambda: house.state("web") is State.RUNNING and len(house.pids("web")) == 3)
    await house.until_state("crasher", State.STOPPED)
    runs = len(house.supervisor.schedule("job").history(10))
    house.supervisor.trigger("job")
    await house.until(lambda: len(house.supervisor.schedule("job").history(10)) == runs + 1)
    assert house.supervisor.schedule("job").history(1)[0].exit_code == 0
    house.supervisor.shutdown("the test is over")
    assert await house.ended() == 0
    assert not [process for process in house.supervisor.table if process.alive]


async def run(folder: Path, injector: Injector) -> None:
    os.mkdir(folder)
    house = House(folder, PROCESSES.format(1))
    house.expects_defects = True
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            injector.install(monkeypatch)
            injector.arm()
            house.supervisor.start_all()
            house.attach()
            await play(house)
            injector.disarm()
        await check(house)
    finally:
        await house.close()


@pytest.mark.usefixtures("adopted_orphans")
@pytest.mark.parametrize("name", TARGETS)
async def test_one_failure_does_no_lasting_damage(name: str, tmp_path: Path) -> None:
    counted = Injector(TARGETS[name])
    await run(tmp_path / "counted", counted)
    places = range(1, counted.calls + 1)
    if PLACES is not None and len(places) > PLACES:
        places = range(1, counted.calls + 1, -(-counted.calls // PLACES))
    for nth in places:
        try:
            await run(tmp_path / str(nth), Injector(TARGETS[name], nth))
        except Exception as error:
            raise AssertionError(f"call {nth} of {counted.calls} failed for good") from error
