"""``trigger``, ``pause`` and ``resume``: steer processes that have a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, target_options
from cbox_init.cli.unknown import naming_nearest

if TYPE_CHECKING:
    from cbox_init.cli.connection import Target


@click.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Return when the run is over, after 5 minutes at most.")
@click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
@target_options
def trigger(target: Target, name: str, wait: bool, as_json: bool) -> int:
    """Run a scheduled process now.

    With --wait the exit code is 1 when that of the run is not 0.
    """
    from cbox_init.cli.output import stdout

    with connect(target) as client, naming_nearest(client, name):
        reply = client.trigger_and_wait(name) if wait else client.trigger(name)
    code = getattr(reply, "exit_code", 0)
    out = stdout()
    if as_json:
        out.json(reply)
    else:
        ended = f", exit code {code}" if reply.status == "completed" else ""
        out.text(f"{name}: {reply.status}{ended}")
    return 1 if code else 0


def _steer(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=summary)
    @click.argument("name")
    @click.option("as_json", "--json", is_flag=True, help="The API's reply as JSON.")
    @target_options
    def command(target: Target, name: str, as_json: bool) -> None:
        from cbox_init.cli.output import stdout

        with connect(target) as client, naming_nearest(client, name):
            reply = client.pause(name) if verb == "pause" else client.resume(name)
        out = stdout()
        if as_json:
            out.json(reply)
        else:
            out.text(f"{name}: {reply.status}")

    return command


pause = _steer("pause", "Have no run of a scheduled process begin until it is resumed.")
resume = _steer("resume", "Have a scheduled process run at its times again.")
