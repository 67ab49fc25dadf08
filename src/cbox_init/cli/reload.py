"""``reload-config``: make the daemon read its configuration again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli import complain
from cbox_init.cli.actions import timeout_option, wait_option, waits
from cbox_init.cli.connection import connect, daemon_options
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import Client, ReloadReply


@click.command("reload-config")
@click.argument("names", nargs=-1, metavar="")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as one JSON object.")
@wait_option
@timeout_option
@daemon_options
def reload_config(
    daemon: DaemonOptions,
    names: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    wait: bool | None,
    timeout_s: float,
) -> int:
    """Make the daemon read its configuration again.

    Only processes whose configuration differs are started, stopped or restarted. A file with errors changes
    nothing: every error is shown, and the exit code is 1.
    """
    if names:  # pm2 calls it so
        raise click.UsageError(
            f"the whole file is read again, not that of {names[0]!r}; to replace its instances one after "
            f"another: `cbox-init restart {' '.join(names)}`"
        )
    try:
        with connect(daemon) as client:
            reply = client.reload_config(dry_run=dry_run)
            _print(reply, as_json=as_json)
            if not dry_run and waits(wait, as_json=as_json):
                _wait(client, reply, timeout_s, as_json=as_json)
    except ApiError as error:
        if error.status != 422 or not error.details:
            raise
        first, *others = error.details
        complain(f"the daemon keeps its configuration: {first}")
        for other in others:
            complain(f"and {other}")
        return 1
    return 0


def _print(reply: ReloadReply, *, as_json: bool) -> None:
    from cbox_init.cli.console import stdout

    out = stdout()
    if as_json:
        out.json(reply)
    else:
        for line in report(reply):
            out.text(line)
    out.flush()


def _wait(client: Client, reply: ReloadReply, timeout_s: float, *, as_json: bool) -> None:
    """Wait until the processes that the reload has changed are as the file has them."""
    from cbox_init.cli.console import stdout
    from cbox_init.cli.waiting import wait_for

    out = stdout()

    def say(line: str) -> None:
        if not as_json:
            out.text(f"  {line}")
            out.flush()

    done = wait_for(client, reply.change, timeout_s, say)
    if as_json:
        out.json(done)


def report(reply: ReloadReply) -> list[str]:
    """What has changed, one line for each kind of change."""
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
    lines += (f"warning: {warning}" for warning in reply.warnings)
    return [*lines, "", *reply.diff.splitlines()] if isinstance(reply.diff, str) and reply.diff else lines
