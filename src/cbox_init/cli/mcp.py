"""``mcp``: gives an assistant the tools of the Model Context Protocol for a daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, daemon_options
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions


@click.command()
@click.option("--write", is_flag=True, help="Also tools that start, stop, restart, scale and trigger.")
@daemon_options
def mcp(daemon: DaemonOptions, write: bool) -> None:
    """Serve the Model Context Protocol on standard input and output.

    An assistant starts this command. It can read what the daemon shows; with --write it can also act, within
    the role of the token.
    """
    try:
        from cbox_init.mcp_server import build_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "pydantic"):
            raise
        raise ClientError("this command needs the MCP SDK: pip install 'cbox-init[mcp]'") from None
    build_server(lambda: connect(daemon), write=write).run("stdio")
