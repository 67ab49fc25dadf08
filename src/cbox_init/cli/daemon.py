"""``serve``, ``run`` and ``check-config``: the commands that do not talk to a daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init.options import SERVE_OPTIONS, ServeOption, ServeOptions

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES = {"flag": click.BOOL, "text": click.STRING, "number": click.FLOAT}


def _serve_options(function: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(SERVE_OPTIONS):
        function = _as_click(option)(function)
    return function


def _as_click(option: ServeOption) -> Callable[[Callable[..., int]], Callable[..., int]]:
    return click.option(
        option.field,
        *option.flags,
        type=_TYPES[option.kind],
        is_flag=option.kind == "flag" or None,  # False takes an option without its value for one not given
        metavar=option.metavar,
        help=option.help,
    )


@click.command()
@_serve_options
def serve(**values: object) -> int:
    """Run the daemon; the default command."""
    from cbox_init.cli.launch import launch

    return launch(ServeOptions(**values))  # type: ignore[arg-type]


@click.command(context_settings={"allow_interspersed_args": False})
@_serve_options
@click.option("--name", metavar="NAME", help="The name of the process of CMD, by default main.", default=None)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARGUMENT]...")
def run(name: str | None, command: tuple[str, ...], **values: object) -> int:
    """Run the daemon with CMD as its main process.

    Its exit code is that of the daemon; when it ends, the other processes are stopped. The keys of a process
    `main` in the configuration file count for it, apart from its command.
    """
    from cbox_init.cli.launch import launch
    from cbox_init.cli.run import main_process
    from cbox_init.config.main_process import DEFAULT_NAME

    if not command or not command[0]:
        raise click.UsageError("no command: write cbox-init run -- CMD; in an image, CMD is what is run")
    main = main_process(command, name or DEFAULT_NAME)
    return launch(ServeOptions(**values)._replace(main=main))  # type: ignore[arg-type]


@click.command("check-config")
@click.option("config", "-c", "--config", metavar="FILE", help="The file to check.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("as_json", "--json", is_flag=True, help="The whole report as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="Show only what makes the check fail.")
def check_config(config: str | None, strict: bool, as_json: bool, quiet: bool) -> int:
    """Check the configuration; the exit code is 1 on errors."""
    from cbox_init.cli.check_config import run

    return run(config, os.environ, strict, as_json, quiet, sys.stdout)
