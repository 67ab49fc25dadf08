"""``list``, ``top`` and ``status``: show processes and the daemon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import connect, daemon_options, import_msgspec
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.cli.console import Console, Span
    from cbox_init.client import Client, ProcessEntry


#: How many of the last events ``status`` shows.
_EVENTS = 5

_OUTPUTS = ("wide", "json", "yaml", "name")


def _list_command(name: str, summary: str, *, watching: bool, by: str | None) -> click.Command:
    """``list``; ``top`` is the same with other defaults."""

    @click.command(name, help=summary)
    @click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=names_of())
    @click.option(
        "-w", "--watch/--no-watch", default=watching, help="Show what changes as it happens, until Ctrl-C."
    )
    @click.option("-o", "--output", type=click.Choice(_OUTPUTS), help="More columns, or another format.")
    @click.option("as_json", "--json", is_flag=True, help="As -o json: the API's reply as one JSON object.")
    @click.option(
        "--columns",
        metavar="NAMES",
        help="The columns to show, in this order: name, status, scale, restarts, uptime, pid, cpu, memory, "
        "health, type, ready, pids, schedule, next, why.",
    )
    @click.option("--sort", "by", metavar="COLUMN", default=by, help="Order by a column, the largest first.")
    @click.option("--no-color", is_flag=True, help="No colours, not even on a terminal.")
    @daemon_options
    def command(
        daemon: DaemonOptions,
        names: tuple[str, ...],
        watch: bool,
        output: str | None,
        as_json: bool,
        columns: str | None,
        by: str | None,
        no_color: bool,
    ) -> int:
        if as_json and output not in (None, "json"):
            raise click.UsageError(f"--json and -o {output} were both given; give one of them")
        output = "json" if as_json else output
        if watch and output in ("yaml", "name"):
            raise click.UsageError(f"-w shows a table or JSON, not {output}: leave -o {output} out")
        if columns is not None and output not in (None, "wide"):
            raise click.UsageError(f"--columns is for the table: leave -o {output} out")
        table = ListTable.of(columns, by, wide=output == "wide")

        from cbox_init.cli.console import stdout

        out = stdout(colour=not no_color)
        if watch:
            from cbox_init.cli.watch import watch_processes

            return watch_processes(lambda: connect(daemon), names, table.lines, out, as_json=output == "json")
        with connect(daemon) as client:
            found = client.processes()

        from cbox_init.cli.process_table import all_run
        from cbox_init.cli.selection import selected

        entries = selected(found, names)

        now = time.time()
        if output is None or output == "wide":
            out.lines(table.lines(entries, now, out.columns))
        elif output == "json":
            out.json({"processes": entries})
        else:
            _write(out, output, entries)
        return 0 if all_run(entries) else 1

    return command


class ListTable:
    """The columns of the table, and the order of its rows.

    ``fits``: columns may be left out where a terminal is too narrow for all.
    """

    def __init__(self, columns: Sequence[str], by: str | None, *, fits: bool) -> None:
        self._columns = columns
        self._by = by
        self._fits = fits

    @classmethod
    def of(cls, columns: str | None, by: str | None, *, wide: bool) -> ListTable:
        """As the options say; raises UsageError for a column that does not exist."""
        import_msgspec()

        from cbox_init.cli.process_table import COLUMNS, SORTABLE, USUAL

        shown: Sequence[str] = tuple(COLUMNS) if wide else USUAL
        if columns is not None:
            shown = [_column(word, tuple(COLUMNS)) for word in columns.split(",")]
        return cls(shown, None if by is None else _column(by, SORTABLE), fits=shown is USUAL)

    def lines(self, entries: Sequence[ProcessEntry], now: float, width: int | None) -> list[list[Span]]:
        """The header and a line for each process; not wider than ``width`` as far as that is possible."""
        from cbox_init.cli.process_table import ordered, table

        return table(self._columns, ordered(entries, self._by, now), now, width, fits=self._fits)


def _column(word: str, known: Sequence[str]) -> str:
    name = word.strip().lower()
    if name in known:
        return name
    from cbox_init.cli.connection import most_similar

    nearest = most_similar(name, known)
    hint = f"did you mean {nearest!r}?" if nearest else f"there are {', '.join(known)}"
    raise click.UsageError(f"no column is called {word!r}; {hint}")


list_ = _list_command(
    "list",
    "Show all processes, or those that are named.\n\n"
    "NAME may be a pattern ('queue-*'), a group (@workers) or the id of an instance (web-0).\n\n"
    "The exit code is 1 when a process that should run does not.",
    watching=False,
    by=None,
)
top = _list_command(
    "top",
    "Watch the processes, those that use most CPU first: `list -w --sort cpu`.",
    watching=True,
    by="cpu",
)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=names_of())
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@daemon_options
def status(daemon: DaemonOptions, names: tuple[str, ...], as_json: bool) -> int:
    """Show processes with their instances; without NAME, the daemon itself.

    NAME may be a pattern ('queue-*'), a group (@workers), all, or the id of an instance (web-0). The exit
    code is 1 when one of them is not well.
    """
    from cbox_init.cli.console import stdout

    out = stdout()
    with connect(daemon) as client:
        if not names:
            from cbox_init.cli.views import daemon_lines

            entry = client.daemon()
            if as_json:
                out.json(entry)
            else:
                out.lines(daemon_lines(entry))
            return 0
        from cbox_init.cli.process_table import is_well
        from cbox_init.cli.selection import is_pattern, selected
        from cbox_init.cli.views import status_lines

        entries = selected(client.processes(), names)
        if as_json:
            alone = len(names) == 1 and not is_pattern(names[0])
            out.json(entries[0] if alone else {"processes": entries})
        for number, one in enumerate(() if as_json else entries):
            if number:
                out.text("")
            out.lines(status_lines(one, time.time()))
            # Scripts search this output for ids of instances, which events have too.
            if out.is_terminal:
                out.lines(_last_events(client, one.name))
    return 0 if all(map(is_well, entries)) else 1


def _write(out: Console, output: str, entries: Sequence[ProcessEntry]) -> None:
    if output == "name":
        for entry in entries:
            out.text(entry.name)
        return
    import yaml
    from msgspec import to_builtins

    text = yaml.safe_dump({"processes": to_builtins(entries)}, sort_keys=False, allow_unicode=True)
    for line in text.splitlines():
        out.text(line)


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
