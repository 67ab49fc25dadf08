"""``events``: show what has happened to processes and the daemon, and what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import check_known, connect, daemon_options
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import EventEntry, EventList

_MOST_EVENTS = 10_000
_EVENTS = 50
_GLOB = frozenset("*?[")


@click.command()
@click.argument(
    "names", nargs=-1, metavar="[NAME]...", shell_complete=names_of(several=False, instances=False)
)
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(0, _MOST_EVENTS),
    metavar="N",
    help=f"Number of last events to show.  [default: {_EVENTS}; all with --since]",
)
@click.option("-f", "--follow", is_flag=True, help="Show new events as they come, until Ctrl-C; reconnects.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Show only this kind, such as instance.exited or 'instance.*'; may be repeated.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Show only events since then: 5m, 2026-11-24T09:08:03Z, Unix seconds, or the id of an event.",
)
@click.option("--no-color", is_flag=True, help="No colours, not even on a terminal.")
@click.option("as_json", "--json", is_flag=True, help="One JSON object a line.")
@daemon_options
def events(
    daemon: DaemonOptions,
    names: tuple[str, ...],
    tail: int | None,
    follow: bool,
    kinds: tuple[str, ...],
    since: str | None,
    no_color: bool,
    as_json: bool,
) -> None:
    """Show the last events of the named processes, or of all and the daemon, oldest first.

    A NAME may be a pattern, such as 'queue-*'.
    """
    from cbox_init.cli import complain
    from cbox_init.cli.console import stdout
    from cbox_init.cli.event_lines import event_lines
    from cbox_init.cli.follow import EventFollower, EventSelection, missed_events

    out = stdout(colour=not no_color)

    def write(entry: EventEntry) -> None:
        if as_json:
            out.json(entry)
        else:
            out.lines(event_lines(entry))

    if tail is None and since is None:
        tail = _EVENTS
    if not follow:
        found = _last(daemon, names, tail, kinds, since)
        if found.missed and since is not None:
            complain(missed_events(found.missed))
        for entry in found.events if tail is None else found.events[len(found.events) - tail :]:
            write(entry)
        return
    follower = EventFollower(
        EventSelection(names, tail, since, kinds),
        connect=lambda: connect(daemon),
        write=write,
        flush=out.flush,
    )
    try:
        follower.run_for_ever()
    except KeyboardInterrupt:
        return


def _last(
    daemon: DaemonOptions, names: tuple[str, ...], tail: int | None, kinds: tuple[str, ...], since: str | None
) -> EventList:
    with connect(daemon) as client:
        try:
            return client.next_events(*names, tail=tail, limit=_MOST_EVENTS, kind=kinds, since=since)
        except ApiError as error:
            if error.status == 404:
                check_known(client, [name for name in names if _GLOB.isdisjoint(name)])
            raise
