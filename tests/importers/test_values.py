"""Commands, times and calendars."""

from __future__ import annotations

import subprocess

import pytest

from cbox_init.config.command import parse_command
from cbox_init.importers.calendar import calendar_to_cron
from cbox_init.importers.model import literal
from cbox_init.importers.values import command_value, duration, pairs, seconds, shell_command


@pytest.mark.parametrize(
    ("line", "env", "words", "shell"),
    [
        ("node server.js", {}, ["node", "server.js"], False),
        ("exec node 'a b'", {}, ["node", "a b"], False),
        ("A=1 B='x y' node s.js", {"A": "1", "B": "x y"}, ["node", "s.js"], False),
        ("puma -p $PORT", {}, ["puma", "-p", "${PORT}"], False),
        ("puma -p ${PORT}", {}, ["puma", "-p", "${PORT}"], False),
        ("puma -p ${PORT:-3000}", {}, ["sh", "-c", "exec puma -p $${PORT:-3000}"], True),
        ("A=1 puma -e $RACK", {"A": "1"}, ["sh", "-c", "exec puma -e $RACK"], True),
        ("a | b", {}, ["sh", "-c", "a | b"], True),
        ("A=1 a && b", {}, ["sh", "-c", "A=1 a && b"], True),
        ("cd x; ./run", {}, ["sh", "-c", "cd x; ./run"], True),
        ("echo '$HOME; |'", {}, ["echo", "$HOME; |"], False),
        ("A=$B a", {}, ["sh", "-c", "A=$B a"], True),
        ("ls *.txt", {}, ["sh", "-c", "exec ls *.txt"], True),
        ("x '$PORT'", {}, ["sh", "-c", "exec x '$PORT'"], True),
    ],
)
def test_lines_of_a_shell(line: str, env: dict[str, str], words: list[str], shell: bool) -> None:
    found = shell_command(line)
    assert found is not None
    assert (found.env, found.words, found.shell) == (env, words, shell)


def test_a_line_whose_quotes_do_not_match() -> None:
    assert shell_command("echo 'open") is None


@pytest.mark.parametrize(
    "words", [["a", "b c"], ["a", "$x"], ["a", "\\"], ["A=1", "b"], ["a", ""], ["a", "'"]]
)
def test_a_command_comes_back(words: list[str]) -> None:
    value = command_value(words)
    assert (list(parse_command(value)) if isinstance(value, str) else value) == words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90.0),
        ("1min 30s", 90.0),
        ("500ms", 0.5),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("soon", None),
        ("", None),
    ],
)
def test_times(text: str, found: float | None) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize(
    ("number", "text"),
    [(3600, "1h"), (90, "1m30s"), (60, "1m"), (0.5, "500ms"), (5400, "1h30m"), (10, "10s"), (0, "0s")],
)
def test_durations_are_short(number: float, text: str) -> None:
    assert duration(number) == text


def test_what_is_literal_is_no_reference() -> None:
    assert literal("${A} $B $${C}") == "$${A} $B $$${C}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('A="1",B=2', {"A": "1", "B": "2"}),
        ("A='x,y=z',B=\"\"", {"A": "x,y=z", "B": ""}),
        ("A=1,", {"A": "1"}),
        ("A", None),
        ('A="open', None),
        ("", {}),
    ],
)
def test_pairs(text: str, found: dict[str, str] | None) -> None:
    assert pairs(text) == found


CALENDARS = [
    ("daily", "0 0 * * *", "Local"),
    ("hourly", "0 * * * *", "Local"),
    ("weekly", "0 0 * * 1", "Local"),
    ("quarterly", "0 0 1 1,4,7,10 *", "Local"),
    ("*-*-* 04:00:00", "0 4 * * *", "Local"),
    ("04:05", "5 4 * * *", "Local"),
    ("Mon..Fri *-*-* 03:30:00 Europe/Berlin", "30 3 * * 1-5", "Europe/Berlin"),
    ("Sat,Sun 10:00 UTC", "0 10 * * 6,7", "UTC"),
    ("*:0/15", "*/15 * * * *", "Local"),
    ("*-*-* 2/3:00", "0 2-23/3 * * *", "Local"),
    ("*-*-01 00:00:00", "0 0 1 * *", "Local"),
    ("*-01,07-01 00:00:00", "0 0 1 1,7 *", "Local"),
    ("*-*-1..7 5:30", "30 5 1-7 * *", "Local"),
]


@pytest.mark.parametrize(("text", "cron", "zone"), CALENDARS)
def test_calendars(text: str, cron: str, zone: str) -> None:
    assert calendar_to_cron(text) == (cron, zone)


@pytest.mark.parametrize(
    "text", ["Mon *-*-1..7 10:00", "2027-01-01 00:00", "*:*:0/10", "*-*~1", "nonsense", "", "25:00", "Mon"]
)
def test_calendars_without_a_form(text: str) -> None:
    if text == "Mon":
        assert calendar_to_cron(text) == ("0 0 * * 1", "Local")
    else:
        assert calendar_to_cron(text) is None


@pytest.mark.parametrize(
    "line", ["A=1 B='x y' printf '%s.' a 'b c' \"$HOME\"", "printf %s $((1+2))", 'printf %s "a\'b"']
)
def test_the_same_is_run(line: str) -> None:
    """What a shell does with the line, and what comes of the words without it."""
    found = shell_command(line)
    assert found is not None
    words = [word.replace("$${", "${") for word in found.words]
    wanted = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert subprocess.run(words, capture_output=True, check=True).stdout == wanted
