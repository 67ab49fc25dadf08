"""``reload-config``: have the daemon read its file again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.complain import complain
from cbox_init.cli.connection import connect, target_options
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from cbox_init.cli.connection import Target
    from cbox_init.client import ReloadReply


@click.command("reload-config")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as one JSON object.")
@target_options
def reload_config(target: Target, dry_run: bool, as_json: bool) -> int:
    """Have the daemon read its configuration again.

    Only what differs starts, stops or is restarted. A file with errors changes nothing: each is told, and the
    exit code is 1.
    """
    from cbox_init.cli.output import stdout

    try:
        with connect(target) as client:
            reply = client.reload_config(dry_run=dry_run)
    except ApiError as error:
        if error.status != 422 or not error.details:
            raise
        first, *others = error.details
        complain(f"the daemon keeps its configuration: {first}")
        for other in others:
            complain(f"and {other}")
        return 1
    out = stdout()
    if as_json:
        out.json(reply)
        return 0
    for line in report(reply):
        out.text(line)
    return 0


def report(reply: ReloadReply) -> list[str]:
    """What is changed, a line for each kind of change."""
    named = {
        "added": reply.added,
        "changed": reply.changed,
        "adjusted": reply.adjusted,
        "removed": reply.removed,
    }
    lines = [f"{word + ':':9} {', '.join(names)}" for word, names in named.items() if names]
    lines.append(f"{'kept:':9} {len(reply.kept)}")
    if reply.needs_restart:
        lines.append(f"needs a restart of the daemon: {', '.join(reply.needs_restart)}")
    return [*lines, *(f"warning: {warning}" for warning in reply.warnings)]
