"""``logs``: show the last log lines of processes, and new ones as they come."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import click

from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import check_known, connect, daemon_options
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import Level, LogEntry, LogFilters, LogList, Stream, StreamFilters

_OF_INSTANCE = re.compile(r".+-[0-9]{1,9}", re.ASCII)
_GLOB = frozenset("*?[")
_MOST_LINES = 10_000
_LINES = 100


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=names_of())
@click.option(
    "-n",
    "--tail",
    "--lines",
    type=click.IntRange(0, _MOST_LINES),
    metavar="N",
    help="Number of last lines to show, for all named processes together.  "
    f"[default: {_LINES}; all with --since]",
)
@click.option("-f", "--follow", is_flag=True, help="Show new lines as they come, until Ctrl-C.")
@click.option("--retry", is_flag=True, help="With -f: reconnect when the daemon ends or restarts.")
@click.option(
    "--level",
    type=click.Choice(["all", "debug", "info", "warn", "error"], case_sensitive=False),
    help="Minimum level to show.  [default: all]",
)
@click.option(
    "--since", metavar="TIME", help="Show only lines since then: 5m, 2026-11-24T09:08:03Z, Unix seconds."
)
@click.option("--until", metavar="TIME", help="Show only lines up to then; not with -f.")
@click.option("--grep", metavar="TEXT", help="Show only lines that contain this text.")
@click.option("-i", "--ignore-case", is_flag=True, help="Ignore case for --grep.")
@click.option(
    "--stream",
    "streams",
    multiple=True,
    type=click.Choice(["stdout", "stderr", "file"]),
    help="Show only lines of this stream; may be repeated.",
)
@click.option(
    "--instance",
    "instances",
    multiple=True,
    metavar="ID",
    help="Show only lines of this instance, such as web-0; may be repeated.",
)
@click.option("--timestamps/--no-timestamps", default=True, help="Show the time of each line.")
@click.option("--no-color", is_flag=True, help="No colours, not even on a terminal.")
@click.option("as_json", "--json", is_flag=True, help="One JSON object a line.")
@daemon_options
def logs(
    daemon: DaemonOptions,
    names: tuple[str, ...],
    tail: int | None,
    follow: bool,
    retry: bool,
    level: Level | Literal["all"] | None,
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
    """Show the last log lines of the named processes, or of all, oldest first.

    NAME may be a pattern ('queue-*'), a group (@workers), or the id of an instance (web-0).
    """
    from cbox_init.cli.console import stdout
    from cbox_init.cli.log_lines import LineFormat, log_line

    if retry and not follow:
        raise click.UsageError("--retry works only with -f: give -f as well")
    if until is not None and follow:
        raise click.UsageError("--until cannot be used with -f: leave one of them out")
    out = stdout(colour=not no_color)
    line_format = LineFormat.of(timestamps=timestamps, text=grep, ignore_case=ignore_case)

    def write(entry: LogEntry) -> None:
        if as_json:
            out.json(entry)
        else:
            out.line(log_line(entry, line_format))

    wanted, instances = _resolved(daemon, tuple(dict.fromkeys(names)), instances)
    filters: StreamFilters = {
        "level": None if level == "all" else level,
        "stream": streams,
        "instance": instances,
        "since": since,
        "grep": grep,
        "ignore_case": ignore_case,
    }
    if not follow:
        count = (_LINES if since is None else _MOST_LINES) if tail is None else tail
        for entry in _last(daemon, wanted, count, {**filters, "until": until}):
            write(entry)
        return
    from cbox_init.cli.follow import LogFollower, LogSelection

    first = _LINES if tail is None and since is None else tail
    follower = LogFollower(
        LogSelection(wanted, first, filters), connect=lambda: connect(daemon), write=write, flush=out.flush
    )
    try:
        if retry:
            follower.run_for_ever()
        else:
            follower.run()
    except KeyboardInterrupt:
        return


def _resolved(
    daemon: DaemonOptions, names: tuple[str, ...], instances: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of processes, and the ids of instances that are meant, none for all.

    The daemon is asked only where a name may be something else than that of a process.
    """
    if not any(
        _OF_INSTANCE.fullmatch(name) or name[0:1] == "@" or not _GLOB.isdisjoint(name) for name in names
    ):
        return () if "all" in names else names, instances
    from cbox_init.cli.selection import selected

    with connect(daemon) as client:
        entries = client.processes()
    known = {entry.name for entry in entries}
    alone = [name for name in names if name not in known and _OF_INSTANCE.fullmatch(name)]
    chosen = selected(entries, names)
    if 0 < len(alone) < len(names):
        others = ", ".join(name for name in names if name not in alone)
        raise click.UsageError(f"ids of instances ({', '.join(alone)}) stand alone: leave {others} out")
    if alone:
        instances = (*instances, *(one.id for entry in chosen for one in entry.instances))
    return tuple(entry.name for entry in chosen), instances


def _last(daemon: DaemonOptions, names: Sequence[str], count: int, filters: LogFilters) -> Sequence[LogEntry]:
    """The last ``count`` lines of the processes together, oldest first."""
    with connect(daemon) as client:
        try:
            found: LogList = client.logs(*names, limit=max(1, count), order="asc", **filters)
        except ApiError as error:
            if error.status == 404:
                check_known(client, names)
            raise
    return found.logs if count else ()
