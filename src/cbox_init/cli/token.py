"""``token new``: make a token for the API."""

from __future__ import annotations

import click

_ROLES = ("viewer", "operator", "admin")


@click.command()
@click.argument("action", type=click.Choice(["new"]), metavar="new")
@click.option(
    "--role", type=click.Choice(_ROLES), default="viewer", show_default=True, help="What the token allows."
)
@click.option("--name", metavar="NAME", help="Who gets it. Default: the role.")
@click.option(
    "processes",
    "--process",
    multiple=True,
    metavar="PATTERN",
    help="Limit it to the processes with such names, as 'worker-*'; can be given more than once.",
)
@click.option("--expires", metavar="DATE", help="Last day, such as 2027-01-31, or a time with its zone.")
@click.option("as_json", "--json", is_flag=True, help="One JSON object.")
def token(
    action: str, role: str, name: str | None, processes: tuple[str, ...], expires: str | None, as_json: bool
) -> None:
    """Make a token for the API, and its hash.

    The token goes to the client. The last line goes into the file, under `api_tokens` of `global`: with the
    hash in it the file holds no secret. Nothing is stored, and no daemon is needed.
    """
    import json

    from cbox_init.config.api_roles import expiry_of, is_token_name
    from cbox_init.config.token_hash import TokenHash, new_token

    name = name or role
    if not is_token_name(name):
        raise click.UsageError(f"{name!r} is not a name of a token; use letters, digits, and . _ - @")
    if role == "admin" and processes:
        raise click.UsageError("an admin is not limited to processes; use --role operator")
    if expires is not None:
        try:
            expiry_of(expires)
        except (ValueError, OverflowError):
            raise click.UsageError(f"{expires!r} is not a date; write 2027-01-31") from None
    made = new_token()
    entry: dict[str, object] = {"name": name, "role": role}
    if processes:
        entry["processes"] = list(processes)
    entry["hash"] = str(TokenHash.of(made))
    if expires is not None:
        entry["expires"] = expires.strip()
    if as_json:
        click.echo(json.dumps({"token": made, **entry}))
        return
    yaml = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
    click.echo(f"token: {made}\nhash: {entry['hash']}\nyaml: - {{{yaml}}}")
