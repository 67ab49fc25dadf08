"""``version``."""

from __future__ import annotations

import click

from cbox_init import __version__


@click.command()
@click.option("-s", "--short", is_flag=True, help="The number alone.")
def version(short: bool) -> None:
    """Show the version."""
    if short:
        click.echo(__version__)
        return
    import platform

    click.echo(f"cbox-init {__version__} (Python {platform.python_version()})")
