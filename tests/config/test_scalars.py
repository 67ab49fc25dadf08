from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.config.scalars import (
    format_duration,
    parse_bool,
    parse_duration,
    parse_float,
    parse_int,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("1.5", 1.5),
        ("-1", -1.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("-1s", -1.0),
        ("+2s", 2.0),
        ("1h2m3s4ms", 3723.004),
        (".5s", 0.5),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("100ns", 1e-7),
        (" 5s ", 5.0),
        ("24h", 86400.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "5 s", "5x", "1w", "--1s", "1s-1s", "1m30", "nan", "inf", "1e999", "-", "٣s", "1_0"],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|number"):
        parse_duration(text)


def test_bare_durations_take_the_keys_unit() -> None:
    assert parse_duration("500", 1e-3) == 0.5
    assert parse_duration("500s", 1e-3) == 500.0


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_formatted_duration_reads_as_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-4)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (0.5, "500ms"), (-1, "-1s")],
)
def test_durations_as_text(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("50MB", 50_000_000),
        ("8 MiB", 8 * 2**20),
        ("8M", 8 * 2**20),
        ("1.5kib", 1536),
        ("2g", 2**31),
        ("10b", 10),
        ("1TB", 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "5XB", "5iB", "5 M B", "1e3"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["true", "True", "YES", "on", "1", "y", "t", " true "])
def test_true(text: str) -> None:
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["false", "No", "OFF", "0", "n", "f"])
def test_false(text: str) -> None:
    assert parse_bool(text) is False


@pytest.mark.parametrize("text", ["", "2", "maybe", "truee", "null"])
def test_neither(text: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse_bool(text)


@pytest.mark.parametrize("text", ["", "-", "1.0", "0x10", "1_000", "1e3", "²", "9" * 5000, "1 2", "--1"])
def test_no_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_int(text)


def test_whole_numbers() -> None:
    assert [parse_int(text) for text in ("0", "007", "-3", "+4", " 5 ")] == [0, 7, -3, 4, 5]


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e9999", "1,5", "0x1p3", "1_0"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="a number"):
        parse_float(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_bool, parse_int, parse_float, parse_duration, parse_size):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)
