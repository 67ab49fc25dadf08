"""The command ``cbox-init`` with all its subcommands, and how their errors are reported."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init import __version__
from cbox_init.cli import COMPLETION_VARIABLE, FAILED, NO_DAEMON, PROGRAM, USAGE, complain
from cbox_init.cli.actions import restart, scale, signal, start, stop
from cbox_init.cli.audit import audit
from cbox_init.cli.autotune import autotune
from cbox_init.cli.changes import changes
from cbox_init.cli.completion import completion
from cbox_init.cli.connection import DaemonOptions, daemon_options
from cbox_init.cli.daemon import check_config, serve
from cbox_init.cli.daemon import run as run_
from cbox_init.cli.events import events
from cbox_init.cli.exec_ import exec_
from cbox_init.cli.fleet import fleet
from cbox_init.cli.group import ALIASES, CommandGroup
from cbox_init.cli.health import health
from cbox_init.cli.help import help_
from cbox_init.cli.history import history
from cbox_init.cli.import_ import import_
from cbox_init.cli.logs import logs
from cbox_init.cli.mcp import mcp
from cbox_init.cli.notifications import notifications
from cbox_init.cli.open import open_
from cbox_init.cli.processes import list_, status, top
from cbox_init.cli.reference import explain, schema
from cbox_init.cli.reload import reload_config
from cbox_init.cli.scaffold import scaffold
from cbox_init.cli.schedules import pause, resume, trigger
from cbox_init.cli.shutdown import shutdown
from cbox_init.cli.token import token
from cbox_init.cli.tui import tui
from cbox_init.errors import CboxError, DaemonUnreachable
from cbox_init.options import SERVE_OPTIONS, serve_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """
Without a command, cbox-init runs the daemon: `cbox-init -c FILE`.

Completion in your shell, also of names: see `cbox-init help completion`.

Exit codes: 0; 1 when something failed or is not well; 2 for a mistake in the command line; 3 when no daemon
answers. One line on standard error says what is wrong.
"""


class _Commands(CommandGroup):
    """The group of commands; a line that begins with an option of ``serve`` means ``serve``.

    ``-c FILE`` may stand before any command too, and behind it. Those that need no file take it as well.
    """

    aliases = ALIASES

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        of_serve = serve_arguments(args)
        if of_serve is not None and not self._has_command(of_serve):
            args = ["serve", *of_serve]
        return super().parse_args(ctx, args)

    def _has_command(self, args: list[str]) -> bool:
        """Whether a word of these is neither an option nor the value of one."""
        with_value = {
            flag
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for flag in option.opts
        }
        with_value |= {flag for option in SERVE_OPTIONS if option.kind != "flag" for flag in option.flags}
        words = iter(args)
        for word in words:
            if word in with_value:
                next(words, None)
            elif not word.startswith("-"):
                return True
        return False

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        _accept_config(cmd)
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of use, not of the alphabet

    def unknown(self, word: str) -> str:
        from cbox_init.cli.other_words import unknown_word

        return unknown_word(word, (*self.commands, *self.aliases))


def _accept_config(command: click.Command) -> None:
    """Let a command take ``-c FILE``, and have the one that was given before it where it uses the file."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _accept_config(inner)
    own = next((option for option in command.params if "-c" in option.opts), None)
    if own is None:
        command.params.append(
            click.Option(
                ["--config", "-c"], expose_value=False, metavar="FILE", help="Accepted, and not needed."
            )
        )
    elif own.expose_value:
        own.default = _config_before


def _config_before() -> str | None:
    before = click.get_current_context().find_object(DaemonOptions)
    return before.config if before is not None else None


@click.group(PROGRAM, cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@daemon_options
def commands(daemon: DaemonOptions) -> None:
    """A process manager for PID 1 of a container.

    `serve` runs the processes of a configuration file. The other commands talk to it, by default over its
    Unix socket.
    """
    click.get_current_context().obj = daemon


@click.command()
@click.option("-s", "--short", is_flag=True, help="Only the number.")
def version(short: bool) -> None:
    """Show the version."""
    if short:
        click.echo(__version__)
        return
    import platform

    click.echo(f"cbox-init {__version__} (Python {platform.python_version()})")


_ACTIONS = (start, stop, restart, signal, scale, trigger, pause, resume, changes)

_CONFIGURING = (reload_config, shutdown, audit, token, autotune, version, help_, completion)

_ONLY_FAIL = ("serve", "run", "health", "audit")
"""Commands whose exit code is 1 for a mistake in the command line too.

1 is a start that has failed, Docker takes 0 and 1 alone from a health check, and 2 is a broken audit trail.
"""

_FILES = (serve, run_, check_config, scaffold, import_, explain, schema)

for _command in (
    *_FILES,
    list_,
    top,
    status,
    *_ACTIONS,
    history,
    logs,
    events,
    notifications,
    open_,
    health,
    exec_,
    tui,
    fleet,
    mcp,
    *_CONFIGURING,
):
    commands.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error is reported in one line on standard error."""
    if COMPLETION_VARIABLE in os.environ:
        commands.main([], PROGRAM)
    _prepare_stdout()
    try:
        with commands.make_context(PROGRAM, list(arguments)) as context:
            code = commands.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        return _fail(_usage(error), FAILED if _command_of(error, arguments) in _ONLY_FAIL else USAGE)
    except click.ClickException as error:
        return _fail(error.format_message())
    except DaemonUnreachable as error:
        return _fail(str(error), NO_DAEMON)
    except CboxError as error:
        return _fail(str(error))
    except BrokenPipeError:
        _discard_stdout()  # the reader has ended, such as `head`
        return 0
    except OSError as error:
        _discard_stdout()
        what = error.filename or "cannot write the output"
        return _fail(f"{what}: {error.strerror or error}")
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int = FAILED) -> int:
    complain(message)
    return code


def _command_of(error: click.UsageError, arguments: Sequence[str]) -> str | None:
    """The command that the error is about; click does not always say it."""
    words = error.ctx.command_path.split() if error.ctx is not None else []
    if len(words) > 1:
        return words[1]
    named = next((word for word in arguments if word in commands.commands), None)
    return "serve" if named is None and serve_arguments(arguments) is not None else named


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else PROGRAM
    return f"{error.format_message().rstrip('.')}; see {path} --help"


def _prepare_stdout() -> None:
    """Let any text be written, whatever the locale is; without a standard output, discard it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_stdout() -> None:
    """Prevent an error message of the interpreter at exit about output that cannot be written."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
