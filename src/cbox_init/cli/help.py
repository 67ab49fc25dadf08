"""``help``: the help of a command, and what a word of another tool is here."""

from __future__ import annotations

import click

from cbox_init.cli.completion import commands_of


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=commands_of)
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command; without COMMAND, all commands."""
    parent = context.parent
    assert parent is not None
    command: click.Command = parent.command
    for word in words:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{parent.command_path} has no commands of its own")
        name, found, _ = command.resolve_command(parent, [word])
        assert found is not None
        command, parent = found, click.Context(found, info_name=name, parent=parent)
    click.echo(command.get_help(parent))
