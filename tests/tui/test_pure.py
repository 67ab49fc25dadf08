"""What needs no screen: the form, the texts, the clock of the daemon."""

from __future__ import annotations

import pytest

from cbox_init.client import LiveProcesses, RolloutEntry
from cbox_init.tui.edit import form_values, parse_form
from cbox_init.tui.look import clean, gauge, memory, percent, sparkline, state_look
from cbox_init.tui.rows import process_rows, why
from cbox_init.tui.state import HISTORY, ScreenState
from cbox_init.words import uptime
from tests.tui.fake import NOW, FakeClient, instance, process, some_processes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb\nc\x9bd", "a\\rb\\nc\\x9bd"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("tab\tstop", "tab stop"),
        ("日本語 ✔", "日本語 ✔"),
    ],
)
def test_nothing_that_a_terminal_acts_on_is_left(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_figures_are_short() -> None:
    assert [uptime(one) for one in (None, -3, 4, 123, 3900, 273_600)] == [
        "-",
        "0s",
        "4s",
        "2m3s",
        "1h5m",
        "3d4h",
    ]
    assert [memory(one) for one in (0, 900, 2048, 12_900_000, 5 * 1024**3)] == [
        "0B",
        "900B",
        "2K",
        "12.3M",
        "5.0G",
    ]
    assert [percent(one) for one in (0.04, 99.9, 250.4)] == ["0.0%", "99.9%", "250%"]
    assert sparkline([0, 50, 100], 5) == "  ▁▅█"
    assert [gauge(1, 2, 4), gauge(0, 0, 2), gauge(9, 3, 2)] == ["▰▰▱▱", "▰▰", "▰▰"]
    assert state_look("of a newer daemon").sign == "?"


FORMS: list[dict[str, object]] = [
    {"command": "nginx -g 'daemon off;'", "scale": 2, "depends_on": ["a", "b"], "restart": "always"},
    {"command": ["sh", "-c", "echo '[x]: {y}'; exit 1"], "env": {"A": "1", "B": "x=y"}},
    {"command": "true", "schedule": "*/5 * * * *", "health_check": {"type": "tcp", "port": 80}},
    {"command": "true", "env": {"LINES": "one\ntwo"}, "user": "www-data", "working_dir": "/srv"},
]


@pytest.mark.parametrize("keys", FORMS)
def test_a_form_that_is_not_changed_changes_nothing(keys: dict[str, object]) -> None:
    assert parse_form(form_values(keys)) == (keys, {})


def test_what_is_no_key_is_said_at_its_field() -> None:
    parsed = parse_form({"command": "[sh, -c", "env": "A=1\nnonsense", "more": "a: [", "scale": "two"})
    assert set(parsed.problems) == {"command", "env", "more"}
    assert parsed.problems["env"] == "line 2: expected NAME=value"
    assert parsed.process == {"scale": "two", "env": {"A": "1"}}
    assert parse_form({"more": "just words"}).problems == {
        "more": "expected keys with values, such as: max_scale: 10"
    }


def test_times_are_on_the_clock_of_the_daemon() -> None:
    """It may be hours ahead of the one here; an uptime is right all the same."""
    state = ScreenState(clock=lambda: NOW - 7200)
    state.take(FakeClient(some_processes()).snapshot())
    assert state.now() == NOW
    row = process_rows([state.processes["web"]], state, state.now(), ())[0]
    assert row.cells[8].text == "2m5s"


def test_the_sparkline_of_what_is_gone_is_forgotten() -> None:
    state = ScreenState(clock=lambda: NOW)
    client = FakeClient(some_processes())
    snapshot = client.snapshot()
    for _ in range(HISTORY + 5):
        state.take(snapshot)
    assert len(state.recent_cpu("web")) == HISTORY
    state.take(LiveProcesses(time=NOW, processes=(), removed=("web",)))
    client.entries = [entry for entry in client.entries if entry.name != "web"]
    state.take(client.snapshot())
    assert list(state.recent_cpu("web")) == []


def test_why_is_the_worst_that_is_known() -> None:
    rollout = RolloutEntry(state="failed", updated=1, total=3, instance="web-3", reason="not ready")
    entry = process("web", instance("web-0"), rollout=rollout)
    assert why(entry, NOW) == ("▰▰▱▱▱▱ rollout failed, 1/3 new: web-3: not ready", "bad")
    assert why(process("web", waiting_for=("db", "queue")), NOW) == ("waits for db, queue", "care")
    assert why(process("web", instance("web-0")), NOW)[0] == ""
