"""``history``: shows past runs of oneshots and schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import connect, daemon_options, naming_nearest
from cbox_init.cli.console import Span, TextStyle
from cbox_init.words import to_milliseconds, took

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import Client, OneshotEntry, OneshotList, RunEntry, ScheduleHistory

HISTORY_HEADER = ("STARTED", "INSTANCE", "TRIGGER", "TOOK", "EXIT", "RESULT")


@click.command()
@click.argument("name", required=False, shell_complete=names_of(several=False, instances=False))
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


def execution_row(entry: OneshotEntry) -> list[Span]:
    """One execution of a oneshot as a row under HISTORY_HEADER."""
    start = [
        Span(to_milliseconds(entry.started_at)),
        Span(entry.instance_id),
        Span(entry.trigger_type),
    ]
    if entry.finished_at is None:
        return [*start, Span("-"), Span("-"), Span("running", TextStyle("yellow"))]
    return [*start, *_end(entry.started_at, entry.finished_at, entry.exit_code, entry.error)]


def run_row(entry: RunEntry) -> list[Span]:
    """One run of a schedule as a row under HISTORY_HEADER."""
    start = [Span(to_milliseconds(entry.start_time)), Span(entry.id), Span(entry.triggered)]
    return [*start, *_end(entry.start_time, entry.end_time, entry.exit_code, entry.error)]


def _end(started: str, ended: str, exit_code: int | None, error: str) -> list[Span]:
    result = Span(error, TextStyle("red")) if error else Span("success", TextStyle("green"))
    return [
        Span(took(started, ended)),
        Span("-" if exit_code is None else str(exit_code)),
        result,
    ]


def _is_scheduled(client: Client, name: str) -> bool:
    return any(entry.name == name and entry.type == "scheduled" for entry in client.processes())
