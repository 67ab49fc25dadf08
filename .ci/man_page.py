"""Makes the manual page src/cbox_init/cli/cbox-init.1 from the commands, for `make reference`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from cbox_init.cli.app import commands
from cbox_init.cli.group import ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXIT_CODES = (
    ("0", "Done; what was asked for is well."),
    ("1", "It failed, or something is not well."),
    ("2", "A mistake in the command line. (serve, run, health and audit: 1)"),
    ("3", "No daemon answers. (health: 1)"),
    ("130", "After Ctrl-C."),
)
_ENVIRONMENT = (
    ("CBOX_INIT_CONFIG", "The configuration file."),
    ("CBOX_INIT_API_AUTH", "The token of the API over TCP."),
    ("CBOX_INIT_API_SOCKET", "The path of the Unix socket."),
    ("CBOX_INIT_FLEET", "The file with the daemons of fleet."),
    ("TZ", "The zone of times."),
    ("NO_COLOR", "No colours."),
)


def page() -> str:
    """The page in troff."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield '.TH CBOX\\-INIT 1 "" "cbox\\-init" "User Commands"'
    yield ".SH NAME"
    yield "cbox\\-init \\- a process manager for PID 1 of a container"
    yield ".SH SYNOPSIS"
    yield ".B cbox\\-init\n[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..."
    yield ".br\n.B cbox\\-init\n[\\fB\\-c\\fR \\fIFILE\\fR]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(commands.help or "")
    yield ".SH OPTIONS"
    yield "Options that say which daemon is meant may stand before or after every command that talks to one."
    common = {name for option in commands.params for name in option.opts}
    yield from _options(commands, set())
    yield ".SH COMMANDS"
    for name, command in commands.commands.items():
        yield from _command(name, command, common)
    yield ".SH OTHER WORDS"
    yield _text("; ".join(f"{word} is {command}" for word, command in ALIASES.items()) + ".")
    for title, rows in (("EXIT STATUS", _EXIT_CODES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {title}"
        for term, meaning in rows:
            yield f".TP\n.B {_text(term)}\n{_text(meaning)}"


def _command(name: str, command: click.Command, common: set[str]) -> Iterator[str]:
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from _command(f"{name} {inner}", one, common)
        return
    context = click.Context(command)
    words = [
        word
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        for word in (parameter.make_metavar(context),)
        if word
    ]
    yield f".SS {_text(' '.join((name, *words)))}"
    yield from _paragraphs(command.help or "")
    yield from _options(command, common | {"-c", "--config"})


def _options(command: click.Command, but: set[str]) -> Iterator[str]:
    context = click.Context(command)
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None and not set(option.opts) & but:
            yield f".TP\n.B {_text(record[0])}\n{_text(record[1])}"


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help; those marked with a backspace character keep their lines."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith("\b\n"):
            yield ".nf\n" + "\n".join(map(_text, paragraph.splitlines()[1:])) + "\n.fi"
        else:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """The text for troff, whatever its line begins with."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
