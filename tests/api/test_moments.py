"""Times as clients write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.api.log_queries import moment_ns
from cbox_init.logs.encode.base import Timestamps

NOW_NS = 1_795_511_283_778_794_659  # 2026-11-24T09:08:03.778794659Z
SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T09:08:03.778794659Z", NOW_NS),
        ("2026-11-24t09:08:03.778z", NOW_NS - 794_659),
        ("2026-11-24 09:08:03Z", NOW_NS - 778_794_659),
        ("2026-11-24T09:08:03", NOW_NS - 778_794_659),
        ("2026-11-24T10:08:03+01:00", NOW_NS - 778_794_659),
        ("2026-11-24T10:08:03 01:00", NOW_NS - 778_794_659),
        ("2026-11-24T03:38:03-05:30", NOW_NS - 778_794_659),
        ("2026-11-24T09:08", NOW_NS - 3_778_794_659),
        ("2026-11-24", NOW_NS - (9 * 3600 + 8 * 60 + 3) * SECOND_NS - 778_794_659),
        ("1970-01-01", 0),
        ("0", 0),
        ("5", 5 * SECOND_NS),
        ("1795511283", NOW_NS - 778_794_659),
        ("1795511283.778794659", NOW_NS),
        ("1795511283.5", NOW_NS - 278_794_659),
        ("5m", NOW_NS - 300 * SECOND_NS),
        ("1h30m", NOW_NS - 5400 * SECOND_NS),
        ("500ms", NOW_NS - SECOND_NS // 2),
        ("0s", NOW_NS),
        (" 5m ", NOW_NS - 300 * SECOND_NS),
    ],
)
def test_each_form(text: str, expected: int) -> None:
    assert moment_ns(text, NOW_NS) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "yesterday", "-5m", "+5m", "5x", "m", "1795511283778", "1.0000000000", "-1", "٣"),
        *("2026-13-01", "2026-02-30", "2026-11-24T25:00:00Z", "2026-11-24T09:08:03+25:00", "2026-11-24T"),
        *("24.11.2026", "2026-11-24T09:08:03Z2", "0000-01-01", "2026-11-24T09:08:03.Z"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        moment_ns(text, NOW_NS)


@given(st.integers(0, 4_000_000_000 * SECOND_NS))
def test_the_time_of_a_line_is_that_line(time_ns: int) -> None:
    written = Timestamps().nanoseconds(time_ns)
    assert moment_ns(written, 0) == time_ns
    assert moment_ns(f"{time_ns // SECOND_NS}.{time_ns % SECOND_NS:09d}", 0) == time_ns


@given(st.text(max_size=30) | st.from_regex(r"[0-9TZ:+. smhd-]{1,30}", fullmatch=True))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        moment_ns(text, NOW_NS)


def test_the_example() -> None:
    assert datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC).isoformat() == "2026-11-24T09:08:03+00:00"
