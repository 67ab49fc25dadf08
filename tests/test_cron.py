"""When expressions come, above all where clocks are put forward and back."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.cron import Cron, CronError, Interval, find_zone, parse, split_zone

if TYPE_CHECKING:
    from pathlib import Path

NEW_YORK = ZoneInfo("America/New_York")  # 2026: forward on 8 March 02:00, back on 1 November 02:00


def times(cron: Cron | Interval, start: datetime, count: int) -> list[str]:
    """The next times, in UTC, as a daemon comes to them: each asked for at the one before."""
    at, found = start.timestamp(), []
    for _ in range(count):
        after = cron.after(at)
        assert after is not None
        assert after > at
        at = after
        found.append(datetime.fromtimestamp(at, UTC).strftime("%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["05 00:20", "05 00:40", "05 01:00"]),
        ("30 4 * * *", ["05 04:30", "06 04:30", "07 04:30"]),
        ("0 9-17/4 * * MON-FRI", ["05 09:00", "05 13:00", "05 17:00"]),
        ("0 0 1,15 * *", ["15 00:00", "01 00:00", "15 00:00"]),
        ("0 0 L * *", ["31 00:00", "28 00:00", "31 00:00"]),
        ("0 12 * * 7", ["11 12:00", "18 12:00", "25 12:00"]),
        ("0 0 ? * 3", ["07 00:00", "14 00:00", "21 00:00"]),
        ("0 0 10 * ?", ["10 00:00", "10 00:00", "10 00:00"]),
        # Day and weekday, both restricted: either, also with a step.
        ("0 0 6 * 4", ["06 00:00", "08 00:00", "15 00:00"]),
        ("0 0 */7 * 3", ["07 00:00", "08 00:00", "14 00:00"]),
        ("0 0 6 * */3", ["06 00:00", "07 00:00", "10 00:00"]),
        ("0 0 */15 * MON,*/5", ["09 00:00", "11 00:00", "12 00:00"]),
        ("0 0 */1 * 3", ["07 00:00", "14 00:00", "21 00:00"]),
        ("0 0 6 * */1", ["06 00:00", "06 00:00", "06 00:00"]),
        ("@hourly", ["05 01:00", "05 02:00", "05 03:00"]),
        ("@Daily", ["06 00:00", "07 00:00", "08 00:00"]),
        ("@midnight", ["06 00:00", "07 00:00", "08 00:00"]),
        ("@weekly", ["11 00:00", "18 00:00", "25 00:00"]),
        ("@monthly", ["01 00:00", "01 00:00", "01 00:00"]),
        ("@yearly", ["01 00:00", "01 00:00", "01 00:00"]),
        ("  5   1 * * *  ", ["05 01:05", "06 01:05", "07 01:05"]),
    ],
)
def test_in_utc(expression: str, expected: list[str]) -> None:
    assert times(parse(expression), datetime(2026, 1, 5, tzinfo=UTC), 3) == expected  # a Monday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # 02:00 to 02:59 of 8 March do not exist; 03:00 EDT is 07:00 UTC.
        ("30 2 * * *", ["08 07:00", "09 06:30"]),
        ("0,30 2 * * *", ["08 07:00", "09 06:00", "09 06:30"]),
        ("*/30 2 * * *", ["08 07:00", "09 06:00", "09 06:30"]),
        ("0 2,3 * * *", ["08 07:00", "09 06:00", "09 07:00"]),
        ("0 */2 * * *", ["08 07:00", "08 08:00", "08 10:00"]),
        # Every hour: elapsed time.
        ("30 * * * *", ["08 06:30", "08 07:30", "08 08:30"]),
        ("30 0-23 * * *", ["08 06:30", "08 07:30", "08 08:30"]),
    ],
)
def test_when_the_clock_goes_forward(expression: str, expected: list[str]) -> None:
    start = datetime(2026, 3, 8, 1, 0, tzinfo=NEW_YORK)
    assert times(parse(expression, NEW_YORK), start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # 01:00 to 01:59 of 1 November are there twice, at 05:00 and at 06:00 UTC.
        ("30 1 * * *", ["01 05:30", "02 06:30"]),
        ("*/30 1 * * *", ["01 05:00", "01 05:30", "02 06:00"]),
        ("0 1,2 * * *", ["01 05:00", "01 07:00", "02 06:00"]),
        ("30 * * * *", ["01 04:30", "01 05:30", "01 06:30", "01 07:30"]),
        ("*/30 * * * *", ["01 04:30", "01 05:00", "01 05:30", "01 06:00", "01 06:30", "01 07:00"]),
    ],
)
def test_when_the_clock_goes_back(expression: str, expected: list[str]) -> None:
    start = datetime(2026, 11, 1, 0, 10, tzinfo=NEW_YORK)
    assert times(parse(expression, NEW_YORK), start, len(expected)) == expected


def test_who_comes_in_the_second_of_two_equal_hours_has_missed_the_first() -> None:
    start = datetime(2026, 11, 1, 1, 10, tzinfo=NEW_YORK, fold=1)
    assert times(parse("30 1 * * *", NEW_YORK), start, 1) == ["02 06:30"]


def test_midnight_that_does_not_exist() -> None:
    santiago = ZoneInfo("America/Santiago")  # 6 September 2026, 00:00 becomes 01:00 (04:00 UTC)
    start = datetime(2026, 9, 5, 12, tzinfo=santiago)
    assert times(parse("@daily", santiago), start, 2) == ["06 04:00", "07 03:00"]
    assert times(parse("0 * 6 9 *", santiago), start, 2) == ["06 04:00", "06 05:00"]


@settings(deadline=None, max_examples=150)
@given(
    minute=st.sampled_from(["0", "30", "*/15", "5,50", "*"]),
    hour=st.sampled_from(["*", "0", "1", "2", "1,2,3", "*/2", "0-23"]),
    zone=st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago"]),
    month=st.sampled_from([3, 4, 9, 10, 11]),
    second=st.integers(0, 30 * 86_400),
)
def test_no_day_is_without_its_times_and_none_has_them_twice(
    minute: str, hour: str, zone: str, month: int, second: int
) -> None:
    place = ZoneInfo(zone)
    cron = parse(f"{minute} {hour} * * *", place)
    at = datetime(2026, month, 1, tzinfo=UTC).timestamp() + second
    seen = []
    for _ in range(60):
        following = cron.after(at)
        assert following is not None
        assert following > at
        # The same, from wherever between the two one asks.
        assert cron.after((at + following) / 2) == following
        seen.append(datetime.fromtimestamp(following, place))
        at = following
    if not cron.every_hour:
        shown = [moment.replace(tzinfo=None) for moment in seen]
        assert len(set(shown)) == len(shown)
        days = [moment.date() for moment in shown]
        assert all(after - before <= timedelta(days=1) for before, after in pairwise(days))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "has 0 fields, expected 5"),
        ("* * * *", "has 4 fields, expected 5"),
        ("0 * * * * *", "has 6 fields, expected 5"),
        ("61 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 32 * *", "bad day-of-month"),
        ("* * * * FOO", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 2,4 *", "bad day-of-month"),
        ("@reboot", "the names are @yearly"),
    ],
)
def test_what_is_no_schedule_says_why(expression: str, reason: str) -> None:
    with pytest.raises(CronError, match=reason):
        parse(expression)


@settings(deadline=None, max_examples=500)
@given(st.lists(st.text("0123456789*/-,LW#MONJA ", max_size=7), min_size=5, max_size=5).map(" ".join))
def test_any_text_is_a_schedule_or_an_error(text: str) -> None:
    try:
        cron = parse(text)
    except CronError:
        return
    assert cron.after(0.0) is not None


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_zone("UTC") is find_zone("utc") is find_zone("") is UTC
    assert find_zone("America/New_York") == NEW_YORK
    assert find_zone("Local", {"TZ": ":America/New_York"}) == NEW_YORK
    here = datetime(2026, 7, 1, tzinfo=find_zone("Local", {})).utcoffset()
    monkeypatch.delenv("TZ", raising=False)
    assert here == timedelta(seconds=time.localtime(datetime(2026, 7, 1, tzinfo=UTC).timestamp()).tm_gmtoff)


@pytest.mark.parametrize("name", ["Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "Europe/\0"])
def test_unknown_zones(name: str) -> None:
    with pytest.raises(CronError, match="unknown time zone"):
        find_zone(name)


def hours(zone: str) -> tuple[float, float]:
    """What TZ=``zone`` is ahead of UTC, in January and in July."""
    found = find_zone("Local", {"TZ": zone})
    offsets = [datetime(2026, month, 1, tzinfo=found).utcoffset() for month in (1, 7)]
    january, july = (offset.total_seconds() / 3600 for offset in offsets if offset is not None)
    return january, july


@pytest.mark.parametrize(
    ("zone", "ahead"),
    [
        ("JST-9", (9, 9)),
        (":JST-9", (9, 9)),
        ("<+0330>-3:30", (3.5, 3.5)),
        ("CET-1CEST,M3.5.0,M10.5.0/3", (1, 2)),
        ("Europe/Berlin", (1, 2)),
        (":Europe/Berlin", (1, 2)),
        ("UTC0", (0, 0)),
    ],
)
def test_every_form_of_tzset(zone: str, ahead: tuple[float, float]) -> None:
    assert hours(zone) == ahead


def test_a_path_in_tz(tmp_path: Path) -> None:
    file = tmp_path / "zone"
    file.write_bytes(files("tzdata").joinpath("zoneinfo", "Europe", "Berlin").read_bytes())
    assert hours(str(file)) == hours(f":{file}") == (1, 2)
    with pytest.raises(CronError, match="is not a time zone file"):
        find_zone("Local", {"TZ": f":{tmp_path}/none"})


@pytest.mark.parametrize("zone", ["nonsense", "Europe/Berlni", "JST-9\nx", "JST-99"])
def test_no_zone_in_tz(zone: str) -> None:
    with pytest.raises(CronError, match="is not a time zone"):
        find_zone("Local", {"TZ": zone})


@pytest.mark.parametrize(
    ("expression", "split"),
    [
        ("CRON_TZ=Europe/Berlin 0 3 * * *", ("Europe/Berlin", "0 3 * * *")),
        ("TZ=UTC @daily", ("UTC", "@daily")),
        ("0 3 * * *", (None, "0 3 * * *")),
    ],
)
def test_a_zone_in_front(expression: str, split: tuple[str | None, str]) -> None:
    assert split_zone(expression) == split


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("@every 90s", 90.0),
        ("@every 1h30m", 5400.0),
        ("@EVERY  1.5s", 1.5),
        ("@every 1000ms", 1.0),
        ("@every 1h0m0.5s", 3600.5),
        ("@every 87600h", 315_360_000.0),
    ],
)
def test_an_interval(text: str, seconds: float) -> None:
    every = parse(text, NEW_YORK, origin=1000.0)
    assert isinstance(every, Interval)
    assert every.seconds == seconds
    assert every.after(1000.0) == 1000.0 + seconds
    assert every.after(1000.0 + 2.5 * seconds) == pytest.approx(1000.0 + 3 * seconds)
    assert every.after(0.0) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@every", "has no interval"),
        ("@every 5", "has no interval"),
        ("@every -5s", "has no interval"),
        ("@every 5x", "has no interval"),
        ("@every 1 h", "has no interval"),
        ("@every 500ms", "is not an interval from 1s"),
        ("@every 0s", "is not an interval from 1s"),
        ("@every 99999999h", "is not an interval from 1s"),
        ("@reboot", "@every INTERVAL"),
    ],
)
def test_no_interval(text: str, message: str) -> None:
    with pytest.raises(CronError, match=message):
        parse(text)


@given(st.floats(1.0, 1e8), st.floats(0.0, 4e9), st.floats(0.0, 4e9))
def test_the_next_time_of_an_interval_is_later_and_no_more_than_it_away(
    seconds: float, origin: float, unix: float
) -> None:
    at = Interval(seconds, origin).after(unix)
    assert unix < at <= unix + seconds * (1 + 1e-6) + 1e-6
