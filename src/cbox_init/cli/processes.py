"""``list`` and ``status``: look at processes, and at the daemon itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import naming_nearest

if TYPE_CHECKING:
    from cbox_init.cli.connection import Target
    from cbox_init.client import DaemonEntry, ProcessEntry


@click.command("list")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as one JSON object.")
@target_options
def list_(target: Target, as_json: bool) -> int:
    """Show every process.

    The exit code is 1 when a process that should run does not.
    """
    from cbox_init.cli.output import stdout
    from cbox_init.cli.table import table_lines
    from cbox_init.cli.views import LIST_HEADER, all_run, list_row

    with connect(target) as client:
        entries = client.processes()
    out = stdout()
    if as_json:
        out.json({"processes": entries})
    else:
        now = time.time()
        out.lines(table_lines(LIST_HEADER, [list_row(entry, now) for entry in entries]))
    return 0 if all_run(entries) else 1


@click.command()
@click.argument("name", required=False)
@click.option("as_json", "--json", is_flag=True, help="What the API says of it, as JSON.")
@target_options
def status(target: Target, name: str | None, as_json: bool) -> None:
    """Show one process with its instances; without NAME the daemon itself."""
    from cbox_init.cli.output import stdout

    entry: DaemonEntry | ProcessEntry
    with connect(target) as client:
        if name is None:
            from cbox_init.cli.daemon_view import daemon_lines

            entry = client.daemon()
            lines = daemon_lines(entry)
        else:
            from cbox_init.cli.views import status_lines

            with naming_nearest(client, name):
                entry = client.status(name)
            lines = status_lines(entry, time.time())
    out = stdout()
    if as_json:
        out.json(entry)
    else:
        out.lines(lines)
