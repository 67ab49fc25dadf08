"""``scaffold``: a configuration and files for a container, to begin with."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init.cli import INTERRUPTED, complain
from cbox_init.errors import ScaffoldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.scaffold.presets import Preset
    from cbox_init.scaffold.render import Choice

_MOST_WORKERS = 100


class _WithPresets(click.Command):
    """Its help has the table of presets, which is read for the help alone."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from cbox_init.scaffold.presets import PRESETS

        with formatter.section("Presets"):
            formatter.write_dl([(preset.name, preset.title) for preset in PRESETS])


@click.command(cls=_WithPresets)
@click.argument("preset", required=False)
@click.option("-i", "--interactive", is_flag=True, help="Ask for each choice.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default=".",
    help="The directory of the files, by default the present one; '-' prints them.",
)
@click.option("--stdout", is_flag=True, help="Print the files instead of writing them, as -o - does.")
@click.option("--dockerfile", is_flag=True, help="Write a Dockerfile, too.")
@click.option("compose", "--docker-compose", is_flag=True, help="Write a docker-compose.yml, too.")
@click.option("--nginx", is_flag=True, help="Put nginx in front, and write its nginx.conf.")
@click.option("--kubernetes", is_flag=True, help="Write a kubernetes.yaml, too.")
@click.option("--app-name", metavar="NAME", help="Name of the image. Default: that of the directory.")
@click.option(
    "workers",
    "--queue-workers",
    type=click.IntRange(0, _MOST_WORKERS),
    metavar="N",
    help="Instances of the worker; 0 leaves it out.",
)
@click.option("--observability", is_flag=True, help="Turn on metrics and the audit trail.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def scaffold(
    preset: str | None,
    interactive: bool,
    output: str,
    stdout: bool,
    dockerfile: bool,
    compose: bool,
    nginx: bool,
    kubernetes: bool,
    app_name: str | None,
    workers: int | None,
    observability: bool,
    force: bool,
) -> int:
    """Write a configuration to begin with, for the kind of application that PRESET names.

    Without PRESET the files of the directory say which it is. Nothing is overwritten without --force.
    """
    from cbox_init.scaffold.render import Choice, app_name_of, check_app_name, render

    directory = None if stdout or output == "-" else output
    try:
        chosen = _preset(preset, directory or ".", interactive)
        name = check_app_name(app_name) if app_name is not None else app_name_of(directory or ".")
        count = (chosen.workers or 0) if workers is None else workers
        choice = Choice(chosen, name, count, dockerfile, compose, nginx, kubernetes, observability)
        if interactive:
            choice = _ask(choice, app_name is None, workers is None)
        _check(choice)
        files = render(choice, directory or ".")
        if directory is None:
            _print(files)
        else:
            _write(files, choice, directory, force, interactive)
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        complain("stopped; nothing was written")
        return INTERRUPTED
    return 0


def _preset(name: str | None, directory: str, interactive: bool) -> Preset:
    """The preset that was named, chosen, or found. Raises ScaffoldError."""
    from cbox_init.scaffold.detect import detect
    from cbox_init.scaffold.presets import BY_NAME

    if interactive and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ScaffoldError(
            "-i needs a terminal; give the choices as options: PRESET, --app-name, --queue-workers, "
            "--dockerfile, --docker-compose, --nginx, --kubernetes, --observability"
        )
    if name is not None:
        if name not in BY_NAME:
            from cbox_init.cli.connection import most_similar

            similar = most_similar(name, list(BY_NAME))
            hint = f"did you mean {similar!r}?" if similar else f"there are {', '.join(BY_NAME)}"
            raise ScaffoldError(f"no preset is named {name!r}; {hint}")
        return BY_NAME[name]
    found = detect(directory)
    if interactive:
        return _choose(found.preset if found else None)
    if found is not None:
        click.echo(f"preset {found.preset}, because of {found.reason}", err=True)
        return BY_NAME[found.preset]
    raise ScaffoldError(
        f"no preset was given, and none fits the files of {os.path.abspath(directory)}; "
        f"there are {', '.join(BY_NAME)}"
    )


def _choose(found: str | None) -> Preset:
    """Ask for the preset."""
    from cbox_init.scaffold.presets import BY_NAME, PRESETS

    width = max(len(preset.name) for preset in PRESETS)
    for preset in PRESETS:
        click.echo(f"  {preset.name:{width}}  {preset.title}")
    choices = click.Choice(list(BY_NAME))
    return BY_NAME[click.prompt("Preset", type=choices, default=found, show_choices=False)]


def _ask(choice: Choice, ask_name: bool, ask_workers: bool) -> Choice:
    """The choice after the answers; what was given as an option is the default. Raises click.Abort."""
    from cbox_init.scaffold.render import check_app_name

    def valid(text: str) -> str:
        try:
            return check_app_name(text)
        except ScaffoldError as error:
            raise click.BadParameter(str(error)) from None

    if ask_name:
        choice = choice._replace(
            app_name=click.prompt("Name of the application", default=choice.app_name, value_proc=valid)
        )
    if ask_workers and choice.preset.workers is not None:
        number = click.IntRange(0, _MOST_WORKERS)
        choice = choice._replace(workers=click.prompt("Queue workers", default=choice.workers, type=number))
    if choice.preset.nginx:
        question = "Write an nginx.conf" if choice.preset.behind_nginx else "Put nginx in front"
        choice = choice._replace(nginx=click.confirm(question, default=choice.nginx))
    return choice._replace(
        dockerfile=click.confirm("Write a Dockerfile", default=choice.dockerfile or not choice.compose),
        compose=click.confirm("Write a docker-compose.yml", default=choice.compose),
        kubernetes=click.confirm("Write a kubernetes.yaml", default=choice.kubernetes),
        observability=click.confirm("Turn on metrics and the audit trail", default=choice.observability),
    )


def _check(choice: Choice) -> None:
    """Raise ScaffoldError when the preset has no such thing as was asked for."""
    preset = choice.preset
    if choice.workers and preset.workers is None:
        raise ScaffoldError(f"the preset {preset.name} has no workers; leave --queue-workers out")
    if choice.nginx and not preset.nginx:
        raise ScaffoldError(f"the preset {preset.name} serves no HTTP; leave --nginx out")


def _print(files: Mapping[str, str]) -> None:
    for number, (name, text) in enumerate(files.items()):
        if len(files) > 1:
            click.echo(("\n" if number else "") + f"# ---- {name} ----")
        click.echo(text, nl=False)


def _write(files: Mapping[str, str], choice: Choice, directory: str, force: bool, interactive: bool) -> None:
    from cbox_init.scaffold.render import CONFIG_FILE
    from cbox_init.scaffold.write import existing, write_files

    if interactive and not force:
        found = existing(directory, files)
        if found and not click.confirm(f"Replace {', '.join(found)}", default=False):
            raise ScaffoldError("nothing was written")
        force = bool(found)
    write_files(directory, files, force=force)
    for name in files:
        click.echo(f"wrote {os.path.normpath(os.path.join(directory, name))}")
    click.echo("\nNext:")
    click.echo(
        f"  cbox-init check-config --strict -c {os.path.normpath(os.path.join(directory, CONFIG_FILE))}"
    )
    if choice.compose and choice.dockerfile:
        click.echo("  docker compose up --build")
    elif choice.dockerfile:
        click.echo(f"  docker build -t {choice.app_name} {directory}")
