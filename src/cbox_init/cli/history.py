"""``history``: what oneshots and schedules have done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import naming_nearest

if TYPE_CHECKING:
    from cbox_init.cli.connection import Target
    from cbox_init.client import Client, OneshotHistory, ScheduleHistory


@click.command()
@click.argument("name", required=False)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most."
)
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@target_options
def history(target: Target, name: str | None, limit: int, as_json: bool) -> None:
    """Show the last executions of oneshots, or of one process, newest first.

    Of a process that has a schedule these are its runs that are over.
    """
    from cbox_init.cli.output import stdout
    from cbox_init.cli.table import table_lines
    from cbox_init.cli.views import HISTORY_HEADER, execution_row, run_row

    with connect(target) as client:
        reply: OneshotHistory | ScheduleHistory
        if name is None or not _is_scheduled(client, name):
            with naming_nearest(client, name or ""):
                reply = client.oneshot_history(name, limit=limit)
            rows = [execution_row(entry) for entry in reply.executions]
        else:
            reply = client.schedule_history(name, limit=limit)
            rows = [run_row(entry) for entry in reply.history]
    out = stdout()
    if as_json:
        out.json(reply)
    else:
        out.lines(table_lines(HISTORY_HEADER, rows))


def _is_scheduled(client: Client, name: str) -> bool:
    return any(entry.name == name and entry.type == "scheduled" for entry in client.processes())
