"""Which daemon a command talks to, and what to say about a process that this daemon does not have."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import wraps
from os import environ
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

import click

from cbox_init.errors import ApiError, ClientError, UnknownProcess
from cbox_init.imports import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.client import AsyncClient, Client
    from cbox_init.client.address import ClientSettings
    from cbox_init.client.transport import Transport

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

CONFIG_VARIABLE = "CBOX_INIT_CONFIG"
_MOST_NAMES = 10

_OPTIONS = (
    click.option("--url", metavar="URL", help="The daemon's API over TCP, such as http://localhost:9180."),
    click.option("--socket", metavar="PATH", help="The daemon's Unix socket. By default it is searched for."),
    click.option(
        "--token",
        metavar="TOKEN",
        help="The API's token over TCP; CBOX_INIT_API_AUTH keeps it out of the list of processes.",
    ),
    click.option("--cacert", metavar="FILE", help="The authorities for an https URL, or CBOX_INIT_API_CA."),
    click.option("--cert", metavar="FILE", help="The client's certificate, or CBOX_INIT_API_CERT."),
    click.option("--key", metavar="FILE", help="The key of the certificate, or CBOX_INIT_API_KEY."),
    click.option(
        "--config",
        "-c",
        metavar="FILE",
        help="The daemon's configuration file, for the socket that it names.",
    ),
)


class DaemonOptions(NamedTuple):
    """The options that say which daemon is meant; the client searches for it when all are None."""

    url: str | None = None
    socket: str | None = None
    token: str | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    config: str | None = None


def daemon_options(
    function: Callable[Concatenate[DaemonOptions, _Parameters], _Result],
) -> Callable[_Parameters, _Result]:
    """Give a command ``--url``, ``--token`` and the like, as DaemonOptions in its first argument.

    Options behind the command override those before it.
    """

    @wraps(function)
    def command(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        own = DaemonOptions(*(_text(kwargs.pop(field)) for field in DaemonOptions._fields))
        before = click.get_current_context().find_object(DaemonOptions) or DaemonOptions()
        merged = DaemonOptions(*(mine or other for mine, other in zip(own, before, strict=True)))
        for given in (own, before):
            if given.url is not None and given.socket is not None:
                raise click.UsageError("--url and --socket were both given; give one of them")
        if own.url is not None or own.socket is not None:
            merged = merged._replace(url=own.url, socket=own.socket)
        return function(merged, *args, **kwargs)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connect(options: DaemonOptions, timeout_s: float = 10.0) -> Client:
    """A client for the daemon that the options name.

    Where none is at the usual places, the socket of the file in CBOX_INIT_CONFIG is tried.
    """
    import_msgspec()

    from cbox_init.client import Client

    return Client(transport_for(_settings(options, timeout_s)))


def connect_async(options: DaemonOptions, timeout_s: float = 10.0) -> AsyncClient:
    """The same for asynchronous code."""
    from cbox_init.client import AsyncClient
    from cbox_init.client.httpx_transport import AsyncHttpxTransport

    return AsyncClient(AsyncHttpxTransport(_settings(options, timeout_s)))


def _settings(options: DaemonOptions, timeout_s: float) -> ClientSettings:
    """Where the daemon is, and how it is asked."""
    from cbox_init.client.address import ClientSettings, ClientTls

    socket = options.socket
    if options.config and options.url is None and socket is None:
        socket = _socket_in(options.config)
    tls = ClientTls(options.cacert, options.cert, options.key)
    settings = ClientSettings.of(options.url, socket, options.token, timeout_s, tls)
    if options.url is None and settings.address.socket is None and (path := environ.get(CONFIG_VARIABLE)):
        with suppress(ClientError):
            if (socket := _socket_in(path)) is not None:
                settings = ClientSettings.of(None, socket, options.token, timeout_s, tls)
    return settings


def import_msgspec() -> None:
    """Import msgspec without typing_extensions, which it asks for what Python 3.11 has itself: 3 ms."""
    with without("typing_extensions"):
        import msgspec  # noqa: F401


def _socket_in(path: str) -> str | None:
    """The socket that a configuration file names; raises ClientError when the file cannot be read."""
    from cbox_init.config.load import examine

    found = examine(path, environ)
    if found.config is None:
        raise ClientError(str(found.problems[0]))
    return found.config.global_.api_socket


def transport_for(settings: ClientSettings) -> Transport:
    """The cheapest transport to import for one command: httpx only for https."""
    url = settings.address.url
    if url.startswith("http:") and url.isascii():
        from cbox_init.client.socket_transport import SocketTransport

        return SocketTransport(settings)
    from cbox_init.client.httpx_transport import HttpxTransport

    return HttpxTransport(settings)


@contextmanager
def naming_nearest(client: Client, name: str) -> Iterator[None]:
    """Make an error about the unknown process ``name`` say which processes there are."""
    try:
        yield
    except (ApiError, UnknownProcess) as error:
        if isinstance(error, ApiError) and error.status != 404:
            raise
        known = [entry.name for entry in client.processes()]
        if name in known:
            raise
        raise ClientError(unknown_process(name, known)) from None


def check_known(client: Client, names: Sequence[str]) -> None:
    """Raise ClientError for the first of ``names`` that the daemon does not know."""
    known = [entry.name for entry in client.processes()] if names else []
    for name in names:
        if name not in known:
            raise ClientError(unknown_process(name, known))


def unknown_process(name: str, known: Sequence[str]) -> str:
    """One line about a name that is not among ``known``, with the most similar one."""
    similar = most_similar(name, known)
    if similar is not None:
        return f"no process is named {name!r}; did you mean {similar!r}?"
    if not known:
        return f"no process is named {name!r}; there are no processes"
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return f"no process is named {name!r}; there are {', '.join(known[:_MOST_NAMES])}{more}"


def most_similar(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most similar to ``name``; None when all are too different."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    found = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def _text(value: object) -> str | None:
    """An option's value; an empty one, as from a variable that is not set, is none."""
    return value if isinstance(value, str) and value else None
