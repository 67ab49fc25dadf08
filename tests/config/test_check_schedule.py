"""What check-config says of schedules and heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import Misfire
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from tests.config.conftest import Read


def problems(read: Read, keys: str) -> list[tuple[str, str, str]]:
    found = read(f"processes: {{job: {{command: a, {keys}}}}}")
    return [
        (p.field.removeprefix("processes.job."), p.message, p.recommendation)
        for p in found.problems
        if p.severity is not Severity.SUGGESTION
    ]


@pytest.mark.parametrize(
    ("keys", "field", "message", "hint"),
    [
        ("schedule: '61 * * * *'", "schedule", "bad minute", "*/5 * * * *"),
        ("schedule: '* * * * * *'", "schedule", "has 6 fields, expected 5", "five fields"),
        ("schedule: 'TZ=UTC'", "schedule", "'TZ=UTC' has 1 field, expected 5", "five fields"),
        ("schedule: 'CRON_TZ=Mars/X * * * * *'", "schedule_timezone", "unknown time zone", "Europe/Berlin"),
        ("schedule: '@reboot'", "schedule", "the names are @yearly", "@daily"),
        ("schedule: '@every 5'", "schedule", "has no interval such as 90s", "@every 90s"),
        ("schedule: '@every 10ms'", "schedule", "is not an interval from 1s", "@every 90s"),
        ("run_on_start: true", "run_on_start", "no effect without a schedule", "set schedule"),
        ("schedule: '0 0 30 2 *'", "schedule", "is not a schedule: bad day-of-month", "five fields"),
        (
            "schedule: '@daily', schedule_timezone: Europe/Berlni",
            "schedule_timezone",
            "unknown time zone 'Europe/Berlni'",
            "Europe/Berlin",
        ),
        ("schedule: '@daily', scale: 2", "scale", "no effect", "schedule_max_concurrent"),
        ("schedule_timeout: 60", "schedule_timeout", "no effect without a schedule", "set schedule"),
        ("heartbeat: {url: 'https://a/'}", "heartbeat", "no effect without a schedule", "set schedule"),
        (
            "schedule: '@daily', heartbeat: {url: 'ftp://k3y/'}",
            "heartbeat.url",
            "not an HTTP URL",
            "https://",
        ),
        ("schedule: '@daily', heartbeat: {method: 'A B'}", "heartbeat.method", "not an HTTP method", "POST"),
        (
            'schedule: "@daily", heartbeat: {headers: {X-Key: "k3y\\n"}}',
            "heartbeat.headers.X-Key",
            "cannot be sent",
            "ASCII",
        ),
    ],
)
def test_problems(read: Read, keys: str, field: str, message: str, hint: str) -> None:
    (found,) = problems(read, keys)
    assert found[0] == field
    assert message in found[1]
    assert hint in found[2]
    assert "k3y" not in str(found)


@pytest.mark.parametrize(
    "keys",
    [
        "schedule: '*/5 * * * *', schedule_timezone: Local, schedule_misfire: skip",
        "schedule: '@hourly', heartbeat: {interval: 1h, grace: 5m}",
        "schedule: '', scale: 2",  # as of a variable that is not set
    ],
)
def test_no_problem(read: Read, keys: str) -> None:
    assert problems(read, keys) == []


def test_misfire(read: Read) -> None:
    config = config_of(read("processes: {a: {command: a, schedule: '@daily', schedule_misfire: skip}}"))
    assert config.processes["a"].schedule_misfire is Misfire.SKIP


def test_a_zone_in_front_of_the_schedule(read: Read) -> None:
    found = read("processes: {job: {command: a, schedule: 'CRON_TZ=Europe/Berlin 0 3 * * *'}}")
    job = config_of(found).processes["job"]
    assert (job.schedule, job.schedule_timezone) == ("0 3 * * *", "Europe/Berlin")
    (found_,) = problems(read, "schedule: 'TZ=UTC 0 3 * * *', schedule_timezone: Local")
    assert found_[:2] == ("schedule_timezone", "the schedule begins with the zone UTC, which counts")
    (found_,) = problems(read, "schedule: 'TZ=Mars 0 3 * * *'")
    assert found_[:2] == ("schedule_timezone", "unknown time zone 'Mars'")
