"""Which daemon a command talks to, and what to say about a process that this daemon does not have."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import wraps
from os import environ
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

import click

from cbox_init.errors import ApiError, ClientError, DaemonUnreachable, UnknownProcess
from cbox_init.imports import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.client import AsyncClient, Client
    from cbox_init.client.address import ClientSettings, ClientTls
    from cbox_init.client.transport import Transport

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_MOST_NAMES = 10

#: Where a daemon that listens on all addresses is reached from here.
_HOSTS = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}

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
        help="The daemon's configuration file, for its socket, or its port and token.",
    ),
)


def _show_utc(context: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        from cbox_init.words import use_utc

        context.find_root().call_on_close(use_utc())


_utc_option = click.option(
    "--utc",
    is_flag=True,
    expose_value=False,
    callback=_show_utc,
    help="Show times in UTC, not in local time.",
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

    for option in reversed((*_OPTIONS, _utc_option)):
        command = option(command)
    return command


def connect(options: DaemonOptions, timeout_s: float = 10.0) -> Client:
    """A client for the daemon that the options name.

    With neither a URL nor a socket it is the one of the configuration file that they name, else the first at
    the usual places, else the one of the file that ``serve`` would read.
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

    tls = ClientTls(options.cacert, options.cert, options.key)
    named = options.url is not None or options.socket is not None
    if options.config and not named:
        settings = _settings_of(options, timeout_s, tls)
        if settings is not None:
            return settings
    settings = ClientSettings.of(options.url, options.socket, options.token, timeout_s, tls)
    if not named and settings.address.socket is None:
        with suppress(ClientError):
            of_file = _settings_of(options._replace(config=None), timeout_s, tls)
            if of_file is not None:
                tried, denied = settings.address.tried, settings.address.denied
                return of_file._replace(address=of_file.address._replace(tried=tried, denied=denied))
    return settings


def _settings_of(options: DaemonOptions, timeout_s: float, tls: ClientTls) -> ClientSettings | None:
    """How to reach the daemon of a configuration file: its socket, else its API over TCP with its token.

    The file is the one of the options, else the one that ``serve`` would read. None where there is no
    file, or it does not say. Raises ClientError for a file that cannot be used, and DaemonUnreachable where
    nothing listens on the socket of one without an API over TCP.
    """
    from cbox_init.client.address import TOKEN_VARIABLE, ClientSettings
    from cbox_init.config.load import examine, find

    path = find(options.config, environ)
    if path is None:
        return None
    found = examine(path, environ)
    wrong = [one for one in found.problems if one.severity == "error" and one.field.startswith("global.api")]
    if found.config is None or wrong:
        raise ClientError(str((wrong or found.problems)[0]))
    ours = found.config.global_
    if ours.api_socket is not None:
        try:
            return ClientSettings.of(None, ours.api_socket, None, timeout_s, tls)
        except DaemonUnreachable:
            if not ours.api_enabled:
                raise
    if not ours.api_enabled:
        return None
    token = options.token
    # A file that happens to be in this directory does not get the token of another daemon.
    if token is None and not (environ.get(TOKEN_VARIABLE) and os.path.isabs(path)):
        token = "" if ours.api_auth is None else ours.api_auth.reveal()
    scheme = "http" if ours.api_tls is None or not ours.api_tls.enabled else "https"
    host = _HOSTS.get(ours.api_host, ours.api_host)
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{ours.api_port}"
    return ClientSettings.of(url, None, token, timeout_s, tls)


def import_msgspec() -> None:
    """Import msgspec without typing_extensions, which it asks for what Python 3.11 has itself: 3 ms."""
    with without("typing_extensions"):
        import msgspec  # noqa: F401


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
