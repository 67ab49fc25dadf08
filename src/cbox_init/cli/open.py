"""``open``: the address of the web page, with a one-time login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cbox_init.cli.connection import DaemonOptions, connect, daemon_options
from cbox_init.errors import ApiError, ClientError

if TYPE_CHECKING:
    from cbox_init.client import LoginCode

_ROLES = ("viewer", "operator", "admin")


@click.command("open")
@daemon_options
@click.option("--role", type=click.Choice(_ROLES), help="What the session may do, at most what you may do.")
@click.option("as_json", "--json", is_flag=True, help="One JSON object.")
def open_(daemon: DaemonOptions, role: str | None, as_json: bool) -> None:
    """Print the address of the web page, with a login.

    The login counts once, for a minute, and for whoever has the address. Where the page needs no token, it is
    the address alone. With --url the address is that URL, and the login is as for the token.
    """
    import json
    import sys

    with connect(daemon) as client:
        url = client.address if client.address.startswith(("http:", "https:")) else None
        try:
            code = client.login_code(role=role)
        except ApiError as error:
            # Over TCP without a token: there is nothing to log in as.
            if url is None or error.status != 409 or "no token is needed" not in str(error):
                raise
            code = None
    page = _page(url, code)
    login = code is not None and code.login
    address = f"{page}#login={code.code}" if code is not None and login else page
    if as_json:
        shown: dict[str, object] = {"url": address, "login": login}
        if code is not None and login:
            shown |= {"role": code.role, "expires_in": code.expires_in}
        click.echo(json.dumps(shown))
        return
    click.echo(address)
    if code is not None and login and sys.stdout.isatty():
        click.echo(f"It counts once, within {code.expires_in} s, as {code.role}.", err=True)


def _page(url: str | None, code: LoginCode | None) -> str:
    """The address of the page: that at which the API was reached, else the one that the daemon names.

    Raises ClientError where there is none, with what to do.
    """
    if code is not None and isinstance(code.hint, str):
        raise ClientError(code.hint)
    if url is not None:
        return url.rstrip("/") + "/"
    assert code is not None, "over the socket there is one"
    if not isinstance(code.page, str):
        raise ClientError("this daemon has no web page: start it again with this version of cbox-init")
    return code.page
