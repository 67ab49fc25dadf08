"""``list`` and ``status``: look at processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import naming_nearest

if TYPE_CHECKING:
    from cbox_init.cli.connection import Target


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
@click.argument("name")
@click.option("as_json", "--json", is_flag=True, help="The process's entry in the API's list, as JSON.")
@target_options
def status(target: Target, name: str, as_json: bool) -> None:
    """Show one process with its instances."""
    from cbox_init.cli.output import stdout
    from cbox_init.cli.views import status_lines

    with connect(target) as client, naming_nearest(client, name):
        entry = client.status(name)
    out = stdout()
    if as_json:
        out.json(entry)
    else:
        out.lines(status_lines(entry, time.time()))
