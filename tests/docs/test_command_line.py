"""docs/command-line.md has every command and every option, and no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from cbox_init.cli.app import commands
from cbox_init.cli.group import ALIASES
from cbox_init.client.address import SOCKET_VARIABLES, USUAL_SOCKETS, USUAL_URL
from tests.docs.markdown import PAGES, ROOT, code, sections

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs/command-line.md"
SHARED = "Which daemon"
_EXAMPLE = re.compile(r"(?:^\$ |^    (?:\.venv/bin/)?|`)cbox-init ([^`\n]*)", re.MULTILINE)
_COMMAND = re.compile(r"[a-z][a-z-]*")
_FLAG = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def flags(command: click.Command) -> set[str]:
    """Every spelling of the command's options, and of its subcommands'."""
    if isinstance(command, click.Group) and command is not commands:
        return set().union(*(flags(inner) for inner in command.commands.values()))
    return {
        flag
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


CONFIG = {"--config", "-c"}
"""What every command takes, documented once, and again where a command uses the file itself."""

OF_ALL = flags(commands) - {"--version"} - CONFIG
"""The options that say which daemon is meant: of the program itself, and again of each command."""


def documented(heading: str) -> set[str]:
    """The options in the tables under a heading."""
    (section,) = (section for section in sections(PAGE) if section.heading.strip("`") == heading)
    return {
        flag
        for header, *rows in section.tables
        if header[0] == "option"
        for row in rows
        for flag in _FLAG.findall(" ".join(code(row[0])))
    }


@pytest.mark.parametrize("name", commands.commands)
def test_options_of(name: str) -> None:
    own = flags(commands.commands[name])
    assert documented(name) - CONFIG == own - OF_ALL - CONFIG
    assert own >= CONFIG
    assert own >= OF_ALL or not own & OF_ALL


def test_options_that_say_which_daemon() -> None:
    assert documented(SHARED) == OF_ALL
    (section,) = (section for section in sections(PAGE) if section.heading == SHARED)
    first = section.prose.partition("take these options")[0]
    takers = {name for name, command in commands.commands.items() if flags(command) >= OF_ALL}
    assert set(code(first)) == takers


def test_every_command_is_in_the_table() -> None:
    (table,) = (table for section in sections(PAGE) for table in section.tables if table[0][0] == "command")
    page = [code(row[0])[0].split()[1] for row in table[1:]]
    assert page == list(commands.commands)


def test_where_the_daemon_is_looked_for() -> None:
    text = PAGE.read_text()
    for place in (*SOCKET_VARIABLES, *USUAL_SOCKETS, USUAL_URL):
        assert f"`{place}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_all_pages_are_commands_that_exist(page: Path) -> None:
    text = page.read_text()
    for line in _EXAMPLE.findall(text):
        words = line.partition(" #")[0].split()
        name = words[0] if words and not words[0].startswith("-") else "serve"
        if not _COMMAND.fullmatch(name):
            continue  # a word of the prose behind the program's name
        if f"no command is called {name!r}" in text:
            continue
        name = ALIASES.get(name, name)
        assert name in commands.commands, f"cbox-init {line}"
        known = flags(commands.commands[name]) | flags(commands)
        assert [word for word in words if _FLAG.fullmatch(word) and word not in known] == [], line
