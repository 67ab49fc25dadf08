"""A group of commands that takes other words for them, and says which one was meant by an unknown word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIASES: Final[Mapping[str, str]] = {
    "ls": "list",
    "ps": "list",
    "info": "status",
    "log": "logs",
    "tail": "logs",
    "reload": "reload-config",
}
"""What people type, and the command that it is."""


class CommandGroup(click.Group):
    """A group whose error about an unknown word names the nearest command.

    ``aliases`` are other words for its commands.
    """

    aliases: Mapping[str, str] = {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        command = self.get_command(ctx, word)
        if command is None and not word.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(self.unknown(word), ctx)
        if command is not None:
            return command.name, command, args[1:]
        return super().resolve_command(ctx, args)

    def unknown(self, word: str) -> str:
        """One line about a word that is no command of this group."""
        from cbox_init.cli.connection import most_similar

        nearest = most_similar(word, tuple(self.commands))
        return f"no command is called {word!r}" + (f"; did you mean {nearest!r}?" if nearest else "")
