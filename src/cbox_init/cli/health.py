"""``health``: whether the daemon answers, or the container is ready, as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import connect, daemon_options
from cbox_init.cli.health_probe import DEFAULT_TIMEOUT_S, parse_timeout, probe

if TYPE_CHECKING:
    from cbox_init.cli.connection import DaemonOptions


def _timeout(context: click.Context, option: click.Parameter, text: str) -> float:
    seconds = parse_timeout(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a time of at most 10 minutes; write it like 3s or 500ms")
    return seconds


@click.command()
@click.option("--ready", is_flag=True, help="Whether all processes that count are running and healthy.")
@click.option(
    "timeout_s",
    "--timeout",
    metavar="TIME",
    default=f"{DEFAULT_TIMEOUT_S:g}s",
    show_default=True,
    callback=_timeout,
    help="Longest wait for the daemon.",
)
@click.option("as_json", "--json", is_flag=True, help="The result as one JSON object.")
@daemon_options
def health(daemon: DaemonOptions, ready: bool, timeout_s: float, as_json: bool) -> int:
    """Exit with 0 when the daemon answers, otherwise with 1.

    With --ready: when the container is ready. For HEALTHCHECK of a Dockerfile and for exec probes.
    """
    return probe(lambda: connect(daemon, timeout_s), ready=ready, as_json=as_json)
