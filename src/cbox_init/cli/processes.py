"""``list``, ``status`` and ``history``: show processes, the daemon, and past runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, daemon_options, naming_nearest
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.cli.console import Span
    from cbox_init.client import Client, DaemonEntry, OneshotList, ProcessEntry, ScheduleHistory


#: How many of the last events ``status`` shows.
_EVENTS = 5


@click.command("list")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as one JSON object.")
@daemon_options
def list_(daemon: DaemonOptions, as_json: bool) -> int:
    """Show all processes.

    The exit code is 1 when a process that should run does not.
    """
    with connect(daemon) as client:
        entries = client.processes()

    from cbox_init.cli.console import stdout, table_lines
    from cbox_init.cli.views import LIST_HEADER, all_run, list_row

    out = stdout()
    if as_json:
        out.json({"processes": entries})
    else:
        now = time.time()
        out.lines(table_lines(LIST_HEADER, [list_row(entry, now) for entry in entries]))
    return 0 if all_run(entries) else 1


@click.command()
@click.argument("name", required=False)
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@daemon_options
def status(daemon: DaemonOptions, name: str | None, as_json: bool) -> None:
    """Show one process with its instances; without NAME, the daemon itself."""
    from cbox_init.cli.console import stdout

    out = stdout()
    entry: DaemonEntry | ProcessEntry
    with connect(daemon) as client:
        if name is None:
            from cbox_init.cli.views import daemon_lines

            entry = client.daemon()
            lines = daemon_lines(entry)
        else:
            from cbox_init.cli.views import status_lines

            with naming_nearest(client, name):
                entry = client.status(name)
            lines = status_lines(entry, time.time())
            # Scripts search this output for ids of instances, which events have too.
            if not as_json and out.is_terminal:
                lines += _last_events(client, name)
    if as_json:
        out.json(entry)
    else:
        out.lines(lines)


@click.command()
@click.argument("name", required=False)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Show at most this many.",
)
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@daemon_options
def history(daemon: DaemonOptions, name: str | None, limit: int, as_json: bool) -> None:
    """Show the last executions of oneshots, or of one process, newest first.

    For a process with a schedule: its finished runs.
    """
    with connect(daemon) as client:
        from cbox_init.cli.console import stdout, table_lines
        from cbox_init.cli.views import HISTORY_HEADER, execution_row, run_row

        reply: OneshotList | ScheduleHistory
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


def _last_events(client: Client, name: str) -> list[list[Span]]:
    """The last events of a process, oldest first; none from a daemon that has no events."""
    from cbox_init.cli.console import Span
    from cbox_init.cli.event_lines import event_lines
    from cbox_init.cli.views import events_header

    try:
        events = client.process_events(name, limit=_EVENTS, order="asc").events
    except ApiError:
        return []
    lines = [line for event in events for line in event_lines(event, output=False)]
    return [events_header(), *([Span("  "), *line] for line in lines)] if lines else []


def _is_scheduled(client: Client, name: str) -> bool:
    return any(entry.name == name and entry.type == "scheduled" for entry in client.processes())
