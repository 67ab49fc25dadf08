"""Values as words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.words import percent, size, to_milliseconds, to_seconds, uptime, use_utc

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-5, "0s"),
        (0.99, "0s"),
        (4, "4s"),
        (59.9, "59s"),
        (60, "1m0s"),
        (123, "2m3s"),
        (3599, "59m59s"),
        (3600, "1h0m"),
        (3900, "1h5m"),
        (86399, "23h59m"),
        (86400, "1d0h"),
        (3 * 86400 + 4 * 3600 + 59, "3d4h"),
        (1000 * 86400, "1000d0h"),
    ],
)
def test_uptime(seconds: float | None, text: str) -> None:
    assert uptime(seconds) == text


@settings(deadline=None)
@given(st.floats(0, 1e9))
def test_uptime_never_tells_more_than_has_passed(seconds: float) -> None:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    total, number = 0, ""
    for character in uptime(seconds):
        if character.isdigit():
            number += character
        else:
            total, number = total + int(number) * units[character], ""
    assert total <= seconds < total + (1 if total < 3600 else 60 if total < 86400 else 3600)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (12_900_000, "12.3 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5 * 1024**4, "5.0 TiB"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text


def test_percent() -> None:
    assert (percent(None), percent(0.0), percent(12.34)) == ("-", "0.0%", "12.3%")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    end = use_utc()
    end()  # takes in the variable
    yield
    monkeypatch.undo()
    use_utc()()


@pytest.mark.usefixtures("berlin")
def test_times_are_local_with_their_zone() -> None:
    assert to_milliseconds("2026-11-24T23:08:03.778794659Z") == "2026-11-25T00:08:03.778+01:00"
    assert to_milliseconds("2026-07-24T09:08:03Z") == "2026-07-24T11:08:03+02:00"
    assert to_seconds("2026-11-24T09:08:03.7Z") == "2026-11-24 10:08:03+01:00"
    assert [to_milliseconds(text) for text in ("soon", "soonZ", "")] == ["soon", "soonZ", ""]
    end = use_utc()
    assert to_milliseconds("2026-11-24T09:08:03.778794659Z") == "2026-11-24T09:08:03.778Z"
    end()
    assert to_seconds("2026-11-24T09:08:03.7Z") == "2026-11-24 10:08:03+01:00"
