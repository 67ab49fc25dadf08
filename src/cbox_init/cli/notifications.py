"""``notifications``: what has become of them, and a test of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, daemon_options

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import NotificationEntry

_HEADER = ("NAME", "TYPE", "WAITING", "SENT", "FAILED", "DROPPED", "LAST ERROR")


@click.command()
@click.argument("action", type=click.Choice(["list", "test"]), metavar="[list|test]", default="list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("as_json", "--json", is_flag=True, help="The API's replies as JSON.")
@daemon_options
def notifications(daemon: DaemonOptions, action: str, names: tuple[str, ...], as_json: bool) -> int:
    """List the notifications, or test them.

    `notifications test NAME` sends a message that says that it is a test, and waits until it has arrived;
    without a name, one by each notification. The exit code is 1 when one could not be delivered.
    """
    from cbox_init.cli.console import Span, stdout, table_lines

    out = stdout()
    with connect(daemon) as client:
        if action == "list":
            if names:
                raise click.UsageError("list takes no names; to try one, use test NAME")
            found = client.notifications()
            if as_json:
                out.json(found)
            elif not found.notifications:
                out.text("There are no notifications.")
            else:
                rows = [[Span(cell) for cell in _row(entry)] for entry in found.notifications]
                out.lines(table_lines(_HEADER, rows))
            return 0
        wanted = names or tuple(entry.name for entry in client.notifications().notifications)
        if not wanted:
            raise click.UsageError("there are no notifications to test")
        failed = False
        for name in wanted:
            reply = client.test_notification(name)
            failed = failed or not reply.delivered
            if as_json:
                out.json(reply)
            else:
                out.text(f"{name}: delivered" if reply.delivered else f"{name}: not delivered: {reply.error}")
    return 1 if failed else 0


def _row(entry: NotificationEntry) -> tuple[str, ...]:
    from msgspec import UNSET

    kind = entry.type if entry.template is UNSET else f"{entry.type} ({entry.template})"
    error = "" if entry.last_error is UNSET else str(entry.last_error)
    if error and entry.last_sent is not UNSET and str(entry.last_sent) > str(entry.last_failed):
        error = ""  # a message was delivered since
    return entry.name, kind, str(entry.waiting), str(entry.sent), str(entry.failed), str(entry.dropped), error
