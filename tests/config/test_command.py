"""Commands as one text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.command import operators_in, parse_command, shell_syntax
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("php artisan queue:work --queue=mail", []),
        ("serve --url=http://x/?a=1&b=2;c --filter=a|b --exp='$a && b'", []),
        ("serve --price 5\\$ '>' \\> \\&\\&", []),
        ("serve ${PORT} ${CBOX_INIT_INSTANCE_ID:-x}", []),
        ("serve $1 $? $$", []),
        ("a && b", ["&&"]),
        ("a&&b", ["&&"]),
        ("a || b | c", ["||", "|"]),
        ("cd /srv; serve", [";"]),
        ("serve &", ["&"]),
        ("serve $HOME/a", ["$HOME"]),
        ('serve "$HOME"', ["$HOME"]),
        ("serve $${HOME}", ["${HOME}"]),
        ("serve $(nproc)", ["$(nproc)"]),
        ("serve `nproc`", ["`"]),
        ("serve > /dev/null 2>&1", [">", "2>&1"]),
        ("serve 2>err </in", ["2>", "<"]),
        ("FOO=bar serve", ["FOO="]),
        ("FOO=bar", []),
    ],
)
def test_what_only_a_shell_understands(text: str, found: list[str]) -> None:
    assert shell_syntax(text) == found


def test_several_lines_are_a_script() -> None:
    script = "set -u\nexec serve\n"
    assert parse_command(script) == ("sh", "-ec", script)
    assert parse_command("  serve a\n") == ("serve", "a")


def test_a_command_of_several_lines(read: Read) -> None:
    found = read(
        "processes:\n  web:\n    command: |\n      FOO=bar a && b\n      exec c $HOME ${PORT} > /dev/null\n"
    )
    assert config_of(found).processes["web"].command == (
        *("sh", "-ec"),
        "FOO=bar a && b\nexec c $HOME ${PORT} > /dev/null\n",
    )
    assert found.problems == ()
    folded = read("processes:\n  web:\n    command: >\n      serve\n      --all\n")
    assert config_of(folded).processes["web"].command == ("serve", "--all")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cd /srv; serve > $HOME", "no shell runs this, so it has no use for ;, >, $HOME"),
        ("[a, '&&', b]", "no shell runs this, so it has no use for &&"),
        ("FOO=bar serve", "FOO= is taken as the program, since no shell runs it"),
    ],
)
def test_warnings(read: Read, command: str, message: str) -> None:
    (warning,) = read(f"processes:\n  web:\n    command: {command}\n").problems
    assert (warning.message, warning.line, warning.severity) == (message, 3, Severity.WARNING)


@pytest.mark.parametrize("command", ["sh -c 'a && b'", "[sh, -c, 'a && b']", "[/bin/bash, -c, a, '&&']"])
def test_a_shell_gets_them(read: Read, command: str) -> None:
    assert read(f"processes:\n  web:\n    command: {command}\n").problems == ()


def test_quotes_that_do_not_match(read: Read) -> None:
    error = the_error(read("processes:\n  web:\n    command: a 'b\n"))
    assert error.message == "cannot be split into words: no closing quotation"


def test_operators_of_a_list() -> None:
    assert operators_in(("a", "&&", "b", "x>y")) == ["&&"]
    assert operators_in(("sh", "-c", "a", "&&")) == []
