"""``changes``: what commands have begun, and what has become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.completion import changes_of, names_of
from cbox_init.cli.connection import connect, daemon_options
from cbox_init.words import to_milliseconds, to_seconds

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.cli.console import Span
    from cbox_init.client import ChangeEntry

_STATUSES = ("doing", "done", "failed", "superseded", "aborted")
_HEADER = ("ID", "KIND", "PROCESS", "STATUS", "PROGRESS", "STARTED", "BY", "REASON")


@click.command()
@click.argument("change", required=False, metavar="[ID]", shell_complete=changes_of)
@click.option(
    "--process",
    metavar="NAME",
    shell_complete=names_of(several=False, instances=False),
    help="Only those of this process, or pattern of names.",
)
@click.option("--status", type=click.Choice(_STATUSES), help="Only those.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--wait", is_flag=True, help="With ID: wait until it has ended.")
@click.option(
    "timeout_s",
    "--timeout",
    type=click.FloatRange(0, 86_400.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --wait waits.",
)
@click.option("--abandon", is_flag=True, help="With ID: replace no more instances in this rollout.")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@daemon_options
def changes(
    daemon: DaemonOptions,
    change: str | None,
    process: str | None,
    status: str | None,
    limit: int,
    wait: bool,
    timeout_s: float,
    abandon: bool,
    as_json: bool,
) -> int:
    """Show the last commands and what has become of them; with ID one of them with its instances.

    With ID the exit code is 1 when it has ended, and not well.
    """
    if change is None and (wait or abandon):
        raise click.UsageError(f"{'--abandon' if abandon else '--wait'} needs the ID of a change")
    from cbox_init.cli.console import stdout, table_lines

    out = stdout()
    with connect(daemon) as client:
        if change is None:
            found = client.changes(process=process, status=status, limit=limit)  # type: ignore[arg-type]
            if as_json:
                out.json(found)
            else:
                out.lines(table_lines(_HEADER, [_row(entry) for entry in found.changes]))
            return 0
        if abandon:
            entry = client.abandon_change(change)
        elif wait:
            from cbox_init.cli.waiting import wait_for

            entry = wait_for(client, change, timeout_s)
        else:
            entry = client.change(change)
    if as_json:
        out.json(entry)
    else:
        for line in _lines(entry):
            out.text(line)
    return 0 if abandon or entry.status in ("doing", "done") else 1


def _row(entry: ChangeEntry) -> list[Span]:
    from cbox_init.cli.console import Span

    progress = f"{entry.progress.done}/{entry.progress.total}" if entry.progress.total else "-"
    reason = next((one for one in (entry.reason, entry.why) if isinstance(one, str)), "")
    process = ",".join(entry.processes) if isinstance(entry.processes, tuple) else entry.process
    started = to_seconds(entry.started_at)
    cells = (entry.id, entry.kind, process, entry.status, progress, started, entry.actor.id, reason)
    return [Span(cell) for cell in cells]


def _lines(entry: ChangeEntry) -> list[str]:
    from cbox_init.cli.waiting import outcome, subject

    what = f"{entry.kind} goes on" if entry.status == "doing" else outcome(entry)
    if entry.status == "doing" and isinstance(entry.reason, str):
        what += f": {entry.reason}"
    ended = f", ended {to_milliseconds(entry.ended_at)}" if isinstance(entry.ended_at, str) else ""
    lines = [
        f"{subject(entry)}: {what}",
        f"asked for by {entry.actor.id}" + (f": {entry.why}" if isinstance(entry.why, str) else ""),
        f"started {to_milliseconds(entry.started_at)}{ended}",
    ]
    if entry.progress.total:
        lines.append(f"{entry.progress.done} of {entry.progress.total} instances")
    if isinstance(entry.exit_code, int):
        lines.append(f"exit code {entry.exit_code}")
    for step in entry.instances:
        reason = f": {step.reason}" if isinstance(step.reason, str) else ""
        lines.append(f"  {step.id}: {step.status}, {step.state}{reason}")
        if isinstance(step.last_output, tuple):
            lines += [f"    {line}" for line in step.last_output]
    return lines
