"""``start``, ``stop``, ``restart``, ``signal`` and ``scale``."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from cbox_init.cli import complain
from cbox_init.cli.completion import names_of, signals
from cbox_init.cli.connection import connect, daemon_options, naming_nearest
from cbox_init.errors import ApiError, CboxError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from msgspec import UnsetType

    from cbox_init.cli.connection import DaemonOptions
    from cbox_init.cli.console import Console
    from cbox_init.client import (
        Action,
        ActionReply,
        ActionsReply,
        Client,
        InstanceActionReply,
        ProcessEntry,
    )

_COUNT = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_LONGEST_WAIT_S = 86_400.0

#: What may be the id of an instance.
_INSTANCE = re.compile(r".+-[0-9]{1,9}", re.ASCII)
_SELECTORS = "NAME may be a pattern ('queue-*'), a group (@workers) or all."

_json_option = click.option(
    "as_json",
    "--json",
    is_flag=True,
    help="The API's replies as JSON, one a line; with --wait followed by each change.",
)
wait_option = click.option(
    "--wait/--no-wait", "wait", default=None, help="Wait until it is done; by default on a terminal."
)
timeout_option = click.option(
    "timeout_s",
    "--timeout",
    type=click.FloatRange(0, _LONGEST_WAIT_S),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --wait waits for each process.",
)


def _action(action: Action, summary: str) -> click.Command:
    @click.command(action, help=summary)
    @click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=names_of())
    @_json_option
    @wait_option
    @timeout_option
    @daemon_options
    def command(
        daemon: DaemonOptions, names: tuple[str, ...], as_json: bool, wait: bool | None, timeout_s: float
    ) -> int:
        wait_s = timeout_s if waits(wait, as_json=as_json) else None
        with connect(daemon) as client:
            sender = _Sender(
                one=getattr(client, action),
                instance=getattr(client, f"{action}_instance", None),
                many=partial(client.act, action),
            )
            return _act(client, sender, names, as_json=as_json, wait_s=wait_s)

    return command


start = _action("start", f"Start processes.\n\nTheir restart budget is reset. {_SELECTORS}")
stop = _action(
    "stop",
    "Stop processes, or single instances (web-0).\n\n"
    f"They stay stopped until they are started again. {_SELECTORS}",
)
restart = _action(
    "restart",
    "Restart processes, one instance after another, or single instances (web-0).\n\n"
    f"Stopped processes are started. {_SELECTORS}",
)


@click.command(
    help="Send a signal to processes, or to single instances (web-0).\n\n"
    f"SIGNAL is a name or a number. {_SELECTORS}"
)
@click.argument("signal_", metavar="SIGNAL", shell_complete=signals)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=names_of())
@click.option("--group", is_flag=True, help="To the whole process group, not to the main process alone.")
@_json_option
@daemon_options
def signal(daemon: DaemonOptions, signal_: str, names: tuple[str, ...], group: bool, as_json: bool) -> int:
    to: Literal["main", "group"] = "group" if group else "main"
    with connect(daemon) as client:
        sender = _Sender(
            one=lambda name: client.signal(name, signal_, to=to),
            instance=lambda identity: client.signal_instance(identity, signal_, to=to),
            many=lambda selectors: client.act("signal", selectors, signal=signal_, to=to),
        )
        return _act(client, sender, names, as_json=as_json, wait_s=None)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="{NAME N | NAME=N...}",
    shell_complete=names_of(instances=False),
)
@_json_option
@wait_option
@timeout_option
@daemon_options
def scale(
    daemon: DaemonOptions, words: tuple[str, ...], as_json: bool, wait: bool | None, timeout_s: float
) -> int:
    """Set the number of instances of processes: scale web 3, or scale web=3 queue=5.

    N is the new number; +N and -N add and remove instances, and return when that is done by default. NAME may
    be a pattern ('queue-*'=3), a group (@workers=2) or all, with a new number.
    """
    counts = _counts(words)
    from cbox_init.cli.console import stdout

    waiting = waits(wait, as_json=as_json)
    out = stdout()
    accepted: list[tuple[str, str | UnsetType]] = []
    errors = _ErrorCount()
    with connect(daemon) as client:
        for name, count in counts.items():
            with errors, naming_nearest(client, name):
                if _selects(name):
                    chosen = client.act("scale", (name,), scale=int(count))
                    _print(out, chosen, f"{', '.join(chosen.processes)}: {chosen.message}", as_json=as_json)
                    accepted.append(("", chosen.change))
                elif count[0] in "+-":
                    settles = wait is None and not waiting
                    scaled = client.scale_by(name, int(count), timeout_s=timeout_s, settles=settles)
                    _print(out, scaled, f"{name}: scaled by {count}", as_json=as_json)
                    accepted.append((name, scaled.change))
                else:
                    reply = client.scale(name, int(count))
                    _print(out, reply, f"{name}: {reply.message}", as_json=as_json)
                    accepted.append((name, reply.change))
        for name, change in accepted if waiting else ():
            with errors:
                _wait(client, out, name, change, timeout_s, as_json=as_json)
    return 1 if errors.count else 0


def _counts(words: Sequence[str]) -> dict[str, str]:
    """Each name, and its new number or the difference; raises UsageError."""
    pairs: list[tuple[str, str]] = []
    if len(words) == 2 and "=" not in words[1] and ("=" not in words[0] or _COUNT.fullmatch(words[1])):
        pairs.append((words[0], words[1]))
    else:
        for word in words:
            name, equals, count = word.rpartition("=")
            if not equals or not name:
                raise click.UsageError(
                    f"{word!r} does not say how many; write NAME=3, or NAME 3 for one process"
                )
            pairs.append((name, count))
    for name, count in pairs:
        if not _COUNT.fullmatch(count):
            raise click.UsageError(f"{count!r} is not a number of instances; write 3, +1 or -1")
        if _selects(name) and count[0] in "+-":
            raise click.UsageError(
                f"{name!r} takes a new number, such as 3; +1 and -1 are for a single process"
            )
    return dict(pairs)


class _Sender(NamedTuple):
    """How a command is given: to one process, to one instance where that is possible, and to a selection."""

    one: Callable[[str], ActionReply]
    instance: Callable[[str], InstanceActionReply] | None
    many: Callable[[Sequence[str]], ActionsReply]


def _act(
    client: Client, sender: _Sender, names: Iterable[str], *, as_json: bool, wait_s: float | None
) -> int:
    """Send the command for every process, then wait. An error for one process does not stop the others.

    Patterns, groups and ``all`` are one command of the daemon, which knows the order of dependencies.
    """
    from cbox_init.cli.console import stdout

    out = stdout()
    accepted: list[tuple[str, str | UnsetType]] = []
    errors = _ErrorCount()
    selectors = [name for name in dict.fromkeys(names) if _selects(name)]
    for name in dict.fromkeys(names):
        if name in selectors:
            continue
        with errors, naming_nearest(client, name):
            reply = _to_one(sender, name)
            _print(out, reply, f"{name}: {reply.message}", as_json=as_json)
            accepted.append((reply.process, reply.change))
    if selectors:
        with errors:
            chosen = sender.many(selectors)
            _print(out, chosen, f"{', '.join(chosen.processes)}: {chosen.message}", as_json=as_json)
            accepted.append(("", chosen.change))
    for process, change in accepted if wait_s is not None else ():
        with errors:
            _wait(client, out, process, change, wait_s or 0.0, as_json=as_json)
    return 1 if errors.count else 0


def _selects(name: str) -> bool:
    """Whether it is a pattern, a group or ``all``, and not the name of a process or an instance."""
    return name == "all" or name.startswith("@") or any(sign in name for sign in "*?[")


def _to_one(sender: _Sender, name: str) -> ActionReply | InstanceActionReply:
    """Give the command to a process, or to the instance of that id where no process is called so."""
    try:
        return sender.one(name)
    except ApiError as error:
        if error.status != 404 or sender.instance is None or not _INSTANCE.fullmatch(name):
            raise
        try:
            return sender.instance(name)
        except ApiError as unknown:
            if unknown.status != 404:
                raise
            raise error from None


def _wait(
    client: Client, out: Console, name: str, change: str | UnsetType, timeout_s: float, *, as_json: bool
) -> None:
    """Wait for the end of a change, and show its progress, then the state of the process."""
    from cbox_init.cli.waiting import outcome, subject, wait_for

    def say(line: str) -> None:
        if not as_json:
            out.text(f"  {line}")
            out.flush()

    done = wait_for(client, change, timeout_s, say)
    if as_json:
        out.json(done)
        out.flush()
    elif not name:
        out.text(f"{subject(done)}: {outcome(done)}")
        out.flush()
    else:
        _print_end(out, client.status(name))


def waits(wait: bool | None, *, as_json: bool) -> bool:
    """Whether a command waits: as its options say, else on a terminal."""
    if wait is not None:
        return wait
    return not as_json and sys.stdout is not None and sys.stdout.isatty()


class _ErrorCount:
    """Reports and counts the errors of single processes; an unreachable daemon ends the command."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, CboxError) or isinstance(error, DaemonUnreachable):
            return False
        self.count += 1
        complain(str(error))
        return True


def _print(out: Console, reply: object, text: str, *, as_json: bool) -> None:
    if as_json:
        out.json(reply)
    else:
        out.text(text)
    out.flush()


def _print_end(out: Console, entry: ProcessEntry) -> None:
    out.text(f"{entry.name}: {entry.state}, {entry.scale}/{entry.desired_scale}")
    out.flush()
