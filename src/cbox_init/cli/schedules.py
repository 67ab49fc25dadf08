"""``trigger``, ``pause`` and ``resume``: commands for processes that have a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import connect, daemon_options, naming_nearest

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions


@click.command()
@click.argument("name", shell_complete=names_of(several=False, instances=False, scheduled=True))
@click.option("--wait", is_flag=True, help="Wait until the run is over, at most 5 minutes.")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@daemon_options
def trigger(daemon: DaemonOptions, name: str, wait: bool, as_json: bool) -> int:
    """Run a scheduled process now.

    With --wait the exit code is 1 when that of the run is not 0.
    """
    from cbox_init.cli.console import stdout

    with connect(daemon) as client, naming_nearest(client, name):
        reply = client.trigger_and_wait(name) if wait else client.trigger(name)
    code = getattr(reply, "exit_code", 0)
    out = stdout()
    if as_json:
        out.json(reply)
    else:
        ended = f", exit code {code}" if reply.status == "completed" else ""
        out.text(f"{name}: {reply.status}{ended}")
    return 1 if code else 0


def _schedule_command(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=summary)
    @click.argument("name", shell_complete=names_of(several=False, instances=False, scheduled=True))
    @click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
    @daemon_options
    def command(daemon: DaemonOptions, name: str, as_json: bool) -> None:
        from cbox_init.cli.console import stdout

        with connect(daemon) as client, naming_nearest(client, name):
            reply = client.pause(name) if verb == "pause" else client.resume(name)
        out = stdout()
        if as_json:
            out.json(reply)
        else:
            out.text(f"{name}: {reply.status}")

    return command


pause = _schedule_command("pause", "Start no more runs of a scheduled process until it is resumed.")
resume = _schedule_command("resume", "Start runs of a scheduled process at its times again.")
