"""``shutdown``: end the daemon and all its processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cbox_init.cli.actions import timeout_option, wait_option, waits
from cbox_init.cli.connection import connect, daemon_options
from cbox_init.errors import ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import Client

_PAUSE_S = 0.1


@click.command()
@click.option("as_json", "--json", is_flag=True, help="The API's reply as one JSON object.")
@wait_option
@timeout_option
@daemon_options
def shutdown(daemon: DaemonOptions, as_json: bool, wait: bool | None, timeout_s: float) -> None:
    """End the daemon, as SIGTERM does: all processes are stopped in order.

    Where it is PID 1 of a container, the container ends.
    """
    from cbox_init.cli.console import stdout

    out = stdout()
    with connect(daemon) as client:
        reply = client.shutdown()
        if as_json:
            out.json(reply)
        else:
            out.text(reply.message)
        out.flush()
        if waits(wait, as_json=as_json):
            _wait(client, timeout_s)
            if not as_json:
                out.text("the daemon has ended")


def _wait(client: Client, timeout_s: float) -> None:
    """Wait until no daemon answers; raises ClientError when that takes longer."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            client.health()
        except DaemonUnreachable:
            return
        if time.monotonic() >= until:
            raise ClientError(
                f"the daemon has not ended after {timeout_s:g} s; it continues to, see `cbox-init list`"
            )
        time.sleep(_PAUSE_S)
