"""``logs``: the last lines of processes, and new ones as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import check_known
from cbox_init.errors import ApiError, ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.cli.connection import Target
    from cbox_init.client import Level, LogEntry, LogFilters, LogList, Stream, StreamFilters

_MOST_LINES = 10_000
_LINES = 100


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--tail",
    type=click.IntRange(0, _MOST_LINES),
    metavar="N",
    help="How many of the last lines to show, of all the named processes together.  "
    f"[default: {_LINES}; with --since all]",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they come, until Ctrl-C.")
@click.option("--retry", is_flag=True, help="With -f: when the daemon goes, wait for it and go on.")
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warn", "error"], case_sensitive=False),
    help="Leave out what is less grave.",
)
@click.option(
    "--since", metavar="TIME", help="Leave out older lines: 5m, 2026-11-24T09:08:03Z, Unix seconds."
)
@click.option("--until", metavar="TIME", help="Leave out newer lines.")
@click.option("--grep", metavar="TEXT", help="Only lines that contain this text.")
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are the same for --grep.")
@click.option(
    "--stream",
    "streams",
    multiple=True,
    type=click.Choice(["stdout", "stderr", "file"]),
    help="Only lines written to this; can be given more than once.",
)
@click.option(
    "--instance",
    "instances",
    multiple=True,
    metavar="ID",
    help="Only this instance, such as web-0; likewise.",
)
@click.option("--timestamps/--no-timestamps", default=True, help="Show the time of each line, or not.")
@click.option("--no-color", is_flag=True, help="No colours on a terminal either.")
@click.option("as_json", "--json", is_flag=True, help="One JSON object a line.")
@target_options
def logs(
    target: Target,
    names: tuple[str, ...],
    tail: int | None,
    follow: bool,
    retry: bool,
    level: Level | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    ignore_case: bool,
    streams: tuple[Stream, ...],
    instances: tuple[str, ...],
    timestamps: bool,
    no_color: bool,
    as_json: bool,
) -> None:
    """Show the last log lines, oldest first.

    Of the named processes, or of all.
    """
    from cbox_init.cli.log_lines import Look, log_line
    from cbox_init.cli.output import stdout

    if retry and not follow:
        raise ClientError("--retry is for following: give -f as well")
    if until is not None and follow:
        raise ClientError("--until and -f contradict each other: -f ends with Ctrl-C; leave one out")
    out = stdout(colour=not no_color)
    look = Look.of(timestamps=timestamps, text=grep, ignore_case=ignore_case)

    def write(entry: LogEntry) -> None:
        if as_json:
            out.json(entry)
        else:
            out.line(log_line(entry, look))

    wanted = tuple(dict.fromkeys(names))
    filters: StreamFilters = {
        "level": level,
        "stream": streams,
        "instance": instances,
        "since": since,
        "grep": grep,
        "ignore_case": ignore_case,
    }
    if not follow:
        count = (_LINES if since is None else _MOST_LINES) if tail is None else tail
        for entry in _last(target, wanted, count, {**filters, "until": until}):
            write(entry)
        return
    from cbox_init.cli.follow import Follower, Wanted

    first = _LINES if tail is None and since is None else tail
    follower = Follower(
        Wanted(wanted, first, filters), connect=lambda: connect(target), write=write, flush=out.flush
    )
    try:
        if retry:
            follower.run_for_ever()
        else:
            follower.run()
    except KeyboardInterrupt:
        return


def _last(target: Target, names: Sequence[str], count: int, filters: LogFilters) -> Sequence[LogEntry]:
    """The last ``count`` lines of the processes together, oldest first."""
    with connect(target) as client:
        try:
            found: LogList = client.logs(*names, limit=max(1, count), order="asc", **filters)
        except ApiError as error:
            if error.status == 404:
                check_known(client, names)
            raise
    return found.logs if count else ()
