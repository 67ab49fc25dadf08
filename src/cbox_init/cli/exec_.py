"""``exec``: run a command in the environment, user and working directory of a process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init.cli import complain
from cbox_init.cli.completion import names_of
from cbox_init.cli.connection import connect, daemon_options, unknown_process
from cbox_init.errors import ClientError, DaemonUnreachable, SpawnError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.client import Client, ProcessEntry
    from cbox_init.process_context import ProcessContext, Running


class _Exec(click.Command):
    """Takes options before NAME or between NAME and ``--``; what follows CMD belongs to CMD."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        after_name = args[1] if len(args) > 1 and not args[0].startswith("-") else ""
        ctx.allow_interspersed_args = after_name.startswith("-")
        return super().parse_args(ctx, args)


@click.command("exec", cls=_Exec)
@click.argument("name", shell_complete=names_of(several=False))
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARGUMENT]...")
@daemon_options
def exec_(daemon: DaemonOptions, name: str, command: tuple[str, ...]) -> int:
    """Run CMD as the process NAME runs, or the instance NAME-0.

    CMD gets the environment, user, groups and working directory of the instance, or where none runs those of
    the configuration.
    """
    words = command[1:] if command[:1] == ("--",) else command
    if not words or not words[0]:
        raise click.UsageError(f"no command: write cbox-init exec {name} -- CMD")
    from cbox_init.process_context import become

    context = _context(daemon, name)
    env = dict(context.env or {})
    if os.isatty(0) and "TERM" in os.environ:
        env["TERM"] = os.environ["TERM"]  # of the terminal that is used
    try:
        become(context._replace(env=env), words)
    except SpawnError as error:
        complain(str(error))
        return error.exit_code


def _context(daemon: DaemonOptions, name: str) -> ProcessContext:
    from cbox_init.process_context import environment_of_daemon, of_configuration, of_running

    try:
        with connect(daemon) as client:
            entries = client.processes()
            process, index, running = _found(entries, name)
            context = None
            if running is not None:
                context = of_running(running, lambda: _runs(client, process, running))
                if context.env is not None:
                    return context
            owner = client.daemon()
            is_main = client.process(process).config.get("stdin") == "inherit"
    except DaemonUnreachable:
        if daemon.url or daemon.socket:
            raise
        return _without_daemon(daemon, name)
    environ = environment_of_daemon(owner.pid, owner.started_at)
    made = of_configuration(
        daemon.config or owner.config,
        process,
        index,
        os.environ if environ is None else environ,
        is_main=is_main,
    )
    if context is not None:  # it has overwritten its environment
        return context._replace(env=made.env)
    _remark(f"{name} does not run: this is the environment of the configuration")
    return made


def _found(entries: Sequence[ProcessEntry], name: str) -> tuple[str, int, Running | None]:
    """The process, the index of the instance, and the instance if it runs."""
    from cbox_init.process_context import Running

    for entry in entries:
        if entry.name == name:
            alive = next((one for one in entry.instances if one.pid), None)
            if alive is None:
                return name, 0, None
            return name, _index(alive.id), Running(alive.id, alive.pid, alive.started_at)
    for entry in entries:
        for one in entry.instances:
            if one.id == name:
                running = Running(one.id, one.pid, one.started_at) if one.pid else None
                return entry.name, _index(one.id), running
    stem, _, index = name.rpartition("-")
    if index.isdigit() and any(entry.name == stem for entry in entries):
        return stem, _index(name), None
    raise ClientError(unknown_process(name, [entry.name for entry in entries]))


def _index(instance: str) -> int:
    number = instance.rpartition("-")[2]
    return int(number) if number.isdigit() and len(number) < 6 else 0


def _runs(client: Client, process: str, running: Running) -> bool:
    instances = client.status(process).instances
    return any((one.id, one.pid) == (running.id, running.pid) for one in instances)


def _without_daemon(daemon: DaemonOptions, name: str) -> ProcessContext:
    """What the configuration says, as no daemon answers. Raises ContextError for an unknown process."""
    from cbox_init.process_context import ContextError, of_configuration

    environ: Mapping[str, str] = os.environ
    try:
        context = of_configuration(daemon.config, name, 0, environ)
    except ContextError:
        stem, _, index = name.rpartition("-")
        if not stem or not index.isdigit():
            raise
        context = of_configuration(daemon.config, stem, _index(name), environ)
    _remark("no daemon answers: this is the environment of the configuration")
    return context


def _remark(text: str) -> None:
    """One line for a person at a terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        complain(text)
