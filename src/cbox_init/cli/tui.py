"""``tui``: the terminal screen for a daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, connect_async, daemon_options
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions

_LIBRARIES = ("textual", "rich")


@click.command()
@click.option("--remote", metavar="URL", help="The same as --url.")
@daemon_options
def tui(daemon: DaemonOptions, remote: str | None) -> None:
    """Show and control a daemon on the whole terminal.

    Processes, logs, schedules, events, changes and the daemon itself; ? shows the keys.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)  # Textual draws on standard error
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise ClientError("this command needs a terminal; use `cbox-init list` in scripts")
    try:
        from cbox_init.tui.app import TerminalApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise ClientError("this command needs Textual: pip install 'cbox-init[tui]'") from None
    if remote is not None:
        daemon = daemon._replace(url=remote, socket=None)
    with connect(daemon) as client:
        client.whoami()  # what is wrong with the options is said here, in one line
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # the terminal knows its size, also after it was changed
    TerminalApp(lambda: connect_async(daemon)).run()
