"""``completion``: the script for a shell, and the live names that it offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cbox_init.cli import COMPLETION_VARIABLE, PROGRAM
from cbox_init.cli.connection import DaemonOptions, connect
from cbox_init.errors import CboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from click.shell_completion import CompletionItem

    from cbox_init.client import Client

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]

#: How long a shell waits for the daemon's names, in seconds.
_TIMEOUT_S: Final = 1.0
_SHELLS: Final = ("bash", "zsh", "fish")
_SIGNALS: Final = ("HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "STOP", "CONT", "WINCH")

#: bash would take the @ of a group for the beginning of another word.
_BEFORE: Final = {"bash": "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}\n"}


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and the daemon's names in a shell.

    \b
    bash   eval "$(cbox-init completion bash)"    in ~/.bashrc
    zsh    eval "$(cbox-init completion zsh)"     in ~/.zshrc, after compinit
    fish   cbox-init completion fish | source     in ~/.config/fish/config.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    made_by = get_completion_class(shell)
    assert made_by is not None
    # Not `made_by.source`, which runs bash to see its version: here may be none.
    script = ShellComplete.source(made_by(click.Group(PROGRAM), {}, PROGRAM, COMPLETION_VARIABLE))
    click.echo(_BEFORE.get(shell, "") + script.strip())


def names_of(*, several: bool = True, instances: bool = True, scheduled: bool = False) -> Completer:
    """What completes the names of processes.

    ``instances``: also ids such as web-0; ``several``: also groups and ``all``; ``scheduled``: only processes
    with a schedule.
    """

    def find(client: Client) -> Iterator[tuple[str, str]]:
        from cbox_init.cli.selection import groups_of

        entries = client.processes()
        groups: dict[str, None] = {}
        for entry in entries:
            if scheduled and entry.type != "scheduled":
                continue
            yield entry.name, entry.state
            groups |= dict.fromkeys(groups_of(entry))
            if instances and entry.type != "scheduled":
                yield from ((one.id, one.state) for one in entry.instances)
        if several:
            yield from ((f"@{group}", "group") for group in groups)
            if entries:
                yield "all", "all processes"

    return _completer(find)


def changes_of(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Complete the id of a change, the newest first."""

    def find(client: Client) -> Iterator[tuple[str, str]]:
        for one in client.changes(limit=20).changes:
            yield one.id, f"{one.kind} {one.process} {one.status}"

    return _completer(find)(context, parameter, incomplete)


def signals(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a signal."""
    return [one for one in _SIGNALS if one.startswith(incomplete.upper().removeprefix("SIG"))]


def commands_of(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a command, for ``help``."""
    parent = context.parent
    group = parent.command if parent is not None else None
    return [one for one in getattr(group, "commands", ()) if one.startswith(incomplete)]


def _completer(find: Callable[[Client], Iterable[tuple[str, str]]]) -> Completer:
    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        given = context.params.get(parameter.name or "") or ()
        try:
            with connect(_options_of(context), _TIMEOUT_S) as client:
                return [
                    CompletionItem(name, help=text)
                    for name, text in find(client)
                    if name.startswith(incomplete) and name not in given and _is_plain(name)
                ]
        except (CboxError, OSError, click.ClickException):  # nothing to offer; a shell shows no error here
            return []

    return complete


def _is_plain(name: str) -> bool:
    """Whether a shell takes the name as it is."""
    return name.isprintable() and name[:1] not in "-~" and not set(name) & set(" \t,;:='\"`!$&|<>(){}*?[]^\\")


def _options_of(context: click.Context) -> DaemonOptions:
    """The options of the line so far, those behind the command first."""
    found: dict[str, str] = {}
    at: click.Context | None = context
    while at is not None:
        for field in DaemonOptions._fields:
            value = at.params.get(field)
            if isinstance(value, str) and value:
                found.setdefault(field, value)
        at = at.parent
    return DaemonOptions(**found)
