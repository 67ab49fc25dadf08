"""Runs at the start of the daemon: ``run_on_start``, and times that were missed while it was down."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.core.states import State
from cbox_init.supervisor.schedule.kept_times import FILE_NAME
from tests.supervisor.house import WAITS
from tests.supervisor.test_reload import reload
from tests.supervisor.test_scheduled import HOUR, MIDNIGHT, at, planned, schedule, set_clock, until_over

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.house import Build, House


def text(folder: Path, *, keep: bool = True, others: object = None, **keys: Any) -> str:
    keys = {"command": ["sh", "-c", "echo ran"], "schedule": "0 3 * * *", **keys}
    document: dict[str, object] = {"processes": {"job": keys}}
    if isinstance(others, dict):
        document["processes"] = {"job": keys, **others}
    if keep:
        document["global"] = {"state_dir": str(folder / "state")}
    return json.dumps(document)


def keep(folder: Path, answered: float, schedule: str = "0 3 * * *", timezone: str = "UTC") -> None:
    """What an earlier daemon has left."""
    (folder / "state").mkdir(exist_ok=True)
    kept = {"job": {"schedule": schedule, "timezone": timezone, "answered": answered}}
    (folder / "state" / FILE_NAME).write_text(json.dumps({"version": 1, "schedules": kept}))


def kept(folder: Path) -> dict[str, Any]:
    file = folder / "state" / FILE_NAME
    if not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text())["schedules"]
    return found


async def end(house: House) -> None:
    house.supervisor.shutdown("test")
    await house.ended()
    await house.supervisor.close(5)


async def quiet(house: House) -> None:
    """Nothing has run, and nothing is about to."""
    await planned(house)
    await asyncio.sleep(0.02)
    assert schedule(house).started == 0


async def test_it_runs_once_at_the_start(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path, keep=False, run_on_start=True))
    (run,) = await until_over(house, 1)
    assert (run.exit_code, run.manual) == (0, False)
    assert schedule(house).next_run == MIDNIGHT + 3 * HOUR
    await reload(house, text(tmp_path, keep=False, run_on_start=True, schedule="0 4 * * *"))
    house.supervisor.pause("job")
    house.supervisor.resume("job")
    await asyncio.sleep(0.02)
    assert schedule(house).started == 1


async def test_one_that_begins_paused_does_not_run(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path, keep=False, run_on_start=True, initial_state="stopped"))
    house.supervisor.resume("job")
    await quiet(house)


async def test_the_run_of_the_start_waits_for_dependencies(build: Build, tmp_path: Path) -> None:
    others = {"db": {"type": "oneshot", "command": ["sh", "-c", WAITS]}}
    house = at(
        build, MIDNIGHT, text(tmp_path, keep=False, run_on_start=True, depends_on=["db"], others=others)
    )
    await house.until_state("db", State.RUNNING)
    await quiet(house)
    house.let_go()
    await until_over(house, 1)


async def test_the_run_of_the_start_is_given_up(build: Build, tmp_path: Path) -> None:
    others = {"db": {"type": "oneshot", "command": ["sh", "-c", WAITS]}}
    keys: dict[str, Any] = {"run_on_start": True, "depends_on": ["db"], "dependency_timeout": "100ms"}
    house = at(build, MIDNIGHT, text(tmp_path, keep=False, others=others, **keys))
    await house.until(lambda: "Scheduled run is skipped" in house.messages())
    house.let_go()
    await house.until_state("db", State.COMPLETED)
    await quiet(house)


async def test_a_time_that_was_missed_while_the_daemon_was_down(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path))
    await quiet(house)
    await end(house)
    assert kept(tmp_path)["job"]["answered"] == pytest.approx(MIDNIGHT, abs=60)

    again = at(build, MIDNIGHT + 77 * HOUR, text(tmp_path))
    await until_over(again, 1)
    assert "Scheduled time was missed" in again.messages()
    assert schedule(again).next_run == MIDNIGHT + 99 * HOUR
    await end(again)
    assert kept(tmp_path)["job"]["answered"] == pytest.approx(MIDNIGHT + 77 * HOUR, abs=60)

    third = at(build, MIDNIGHT + 78 * HOUR, text(tmp_path))
    await quiet(third)


@pytest.mark.parametrize(
    ("answered", "keys"),
    [
        (MIDNIGHT - 8 * HOUR, {"schedule_misfire": "skip"}),
        (MIDNIGHT - 8 * HOUR, {"schedule": "0 4 * * *"}),
        (MIDNIGHT - 8 * HOUR, {"schedule_timezone": "Europe/Berlin"}),
        (MIDNIGHT - 30 * 24 * HOUR, {"initial_state": "stopped"}),
        (MIDNIGHT - 1, {}),
        (MIDNIGHT + 9 * HOUR, {}),  # the clock was set back
        (1e300, {}),
        (-1e300, {}),
        (1e300, {"schedule": "@every 1h"}),
    ],
)
async def test_nothing_is_made_up_for(
    build: Build, tmp_path: Path, answered: float, keys: dict[str, Any]
) -> None:
    keep(tmp_path, answered)
    house = at(build, MIDNIGHT + HOUR, text(tmp_path, **keys))
    await house.until(lambda: house.state("job") in (State.SCHEDULED, State.PAUSED))
    if not keys.get("initial_state"):
        await planned(house)
    await asyncio.sleep(0.02)
    assert schedule(house).started == 0


async def test_a_missed_time_and_run_on_start_are_one_run(build: Build, tmp_path: Path) -> None:
    keep(tmp_path, MIDNIGHT - 48 * HOUR)
    house = at(build, MIDNIGHT, text(tmp_path, run_on_start=True))
    await until_over(house, 1)
    await asyncio.sleep(0.02)
    assert schedule(house).started == 1


async def test_an_interval_goes_on_from_its_last_time(build: Build, tmp_path: Path) -> None:
    keep(tmp_path, MIDNIGHT - HOUR, "@every 3h")
    house = at(build, MIDNIGHT, text(tmp_path, schedule="@every 3h"))
    await quiet(house)
    assert schedule(house).next_run == MIDNIGHT + 2 * HOUR
    set_clock(house, MIDNIGHT + 2 * HOUR)
    await until_over(house, 1)
    await house.until(lambda: schedule(house).next_run == MIDNIGHT + 5 * HOUR)


async def test_an_interval_counts_from_the_start_of_the_daemon(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path, keep=False, schedule="@every 90s"))
    await planned(house)
    due = schedule(house).next_run
    assert due is not None and 0 <= due - (MIDNIGHT + 90) < 30
    set_clock(house, due)
    await until_over(house, 1)
    await house.until(lambda: schedule(house).next_run == pytest.approx(due + 90))


async def test_times_of_a_pause_are_not_missed(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path))
    await planned(house)
    house.supervisor.pause("job")
    await end(house)
    assert kept(tmp_path) == {}
    await quiet(at(build, MIDNIGHT + 50 * HOUR, text(tmp_path)))


async def test_what_ran_is_written_while_the_daemon_runs(build: Build, tmp_path: Path) -> None:
    house = at(build, MIDNIGHT, text(tmp_path))
    await planned(house)
    set_clock(house, MIDNIGHT + 3 * HOUR)
    await until_over(house, 1)
    await house.until(lambda: kept(tmp_path).get("job", {}).get("answered", 0) >= MIDNIGHT + 3 * HOUR)
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE_NAME]
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\x00",
        b'{"version": 1, "schedules": {"job": {"answered": "x"}}}',
        b" " * (9 << 20),
    ],
)
async def test_a_damaged_file_is_ignored(build: Build, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE_NAME).write_bytes(content)
    house = at(build, MIDNIGHT, text(tmp_path))
    await quiet(house)
    assert "The kept times of schedules cannot be read and are ignored" in house.messages()
    await end(house)
    assert "job" in kept(tmp_path)


async def test_a_directory_that_cannot_be_written(build: Build, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    house = at(build, MIDNIGHT, text(tmp_path))
    await house.until(lambda: "The times of schedules cannot be kept" in house.messages())
    set_clock(house, MIDNIGHT + 3 * HOUR)
    await until_over(house, 1)
