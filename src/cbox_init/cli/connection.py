"""Which daemon a command talks to: options that stand before the command or behind it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

import click

from cbox_init.imports import without

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.client import Client

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_OPTIONS = (
    click.option("--url", metavar="URL", help="The daemon's API over TCP, such as http://localhost:9180."),
    click.option("--socket", metavar="PATH", help="The daemon's Unix socket; found by itself if not given."),
    click.option(
        "--token",
        metavar="TOKEN",
        help="The API's token over TCP; CBOX_INIT_API_AUTH keeps it out of the list of processes.",
    ),
)


class Target(NamedTuple):
    """A daemon as the options name it; None is left to the client's own search."""

    url: str | None = None
    socket: str | None = None
    token: str | None = None


def target_options(
    function: Callable[Concatenate[Target, _Parameters], _Result],
) -> Callable[_Parameters, _Result]:
    """Give a command ``--url``, ``--socket`` and ``--token``, and their Target as its first argument.

    Those behind the command count before those in front of it.
    """

    @wraps(function)
    def command(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        own = Target(*(_text(kwargs.pop(field)) for field in Target._fields))
        before = click.get_current_context().find_object(Target) or Target()
        if own.url is None and own.socket is None:
            own = own._replace(url=before.url, socket=before.socket)
        return function(own._replace(token=own.token or before.token), *args, **kwargs)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connect(target: Target, timeout_s: float = 10.0) -> Client:
    """A client for the daemon that the options name."""
    with without("httpx._main"):  # its own command line, with rich and pygments: 35 of 90 ms
        import httpx  # noqa: F401

    from cbox_init.client import Client

    return Client.connect(target.url, target.socket, target.token, timeout_s=timeout_s)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
