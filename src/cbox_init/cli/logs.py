"""``logs``: the last lines of processes, and new ones as they come."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from cbox_init.cli.complain import complain
from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import check_known, naming_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cbox_init.cli.connection import Target
    from cbox_init.client import Client, Level, LogEntry, LogRecord

_MOST_LINES = 10_000


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--tail",
    type=click.IntRange(0, _MOST_LINES),
    default=100,
    show_default=True,
    metavar="N",
    help="How many of the last lines to show, of all the named processes together.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they come, until Ctrl-C.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warn", "error"], case_sensitive=False),
    help="Leave out what is less grave.",
)
@click.option("as_json", "--json", is_flag=True, help="One JSON object a line.")
@target_options
def logs(
    target: Target, names: tuple[str, ...], tail: int, follow: bool, level: Level | None, as_json: bool
) -> None:
    """Show the last log lines, oldest first.

    Of the named processes, or of all.
    """
    from cbox_init.cli.output import stdout
    from cbox_init.cli.views import log_line

    out = stdout()

    def write(entry: LogEntry) -> None:
        if as_json:
            out.json(entry)
        else:
            out.line(log_line(entry))

    wanted = tuple(dict.fromkeys(names))
    with connect(target) as client:
        if not follow:
            for entry in _last(client, wanted, tail, level):
                write(entry)
            return
        try:
            _follow(client, wanted, tail, level, write, out.flush)
        except KeyboardInterrupt:
            return


def _last(client: Client, names: Sequence[str], tail: int, level: Level | None) -> list[LogEntry]:
    """The last ``tail`` lines of the processes together, oldest first."""
    entries: list[LogEntry] = []
    for name in names or (None,):
        with naming_nearest(client, name or ""):
            entries += client.logs(name, limit=max(1, tail), level=level, order="asc").logs
    if len(names) > 1:
        entries.sort(key=lambda entry: entry.timestamp)
    return entries[-tail:] if tail else []


def _follow(
    client: Client,
    names: Sequence[str],
    tail: int,
    level: Level | None,
    write: Callable[[LogEntry], None],
    flush: Callable[[], None],
) -> None:
    """The last lines, then the new ones: the stream is opened first, so that none is lost in between."""
    from cbox_init.client import MissedEvent

    check_known(client, names)
    with client.follow(*names, level=level) as records:
        last = _last(client, names, tail, level)
        for entry in last:
            write(entry)
        flush()
        for record in unseen(records, last):
            if isinstance(record, MissedEvent):
                complain(f"{record.count} lines are missing here: they came faster than they could be shown")
            else:
                write(record)
                flush()


def unseen(records: Iterable[LogRecord], shown: Iterable[LogEntry]) -> Iterator[LogRecord]:
    """The records of a stream, but for those that were ``shown`` already."""
    left: Counter[LogRecord] = Counter(shown)
    for record in records:
        if left[record] > 0:
            left[record] -= 1
        else:
            yield record
