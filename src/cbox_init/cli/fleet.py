"""``fleet``: shows and controls many daemons at once."""

from __future__ import annotations

import os
import time
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import click

from cbox_init.cli import complain
from cbox_init.cli.connection import DaemonOptions, connect, most_similar
from cbox_init.cli.group import CommandGroup
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.client import Action, Client, Level, LogEntry, ProcessEntry
    from cbox_init.fleet.everywhere import DaemonAnswer
    from cbox_init.fleet.targets import DaemonTarget

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

FILE_VARIABLE = "CBOX_INIT_FLEET"
USUAL_FILE = "~/.cbox/init/fleet.yaml"

_OPTIONS = (
    click.option("-f", "--file", metavar="FILE", help=f"A list of daemons.  [default: {USUAL_FILE}]"),
    click.option("--target", "urls", multiple=True, metavar="URL", help="A daemon; may be repeated."),
    click.option("--srv", metavar="NAME", help="The daemons of the SRV records of this name."),
    click.option("--dns-server", metavar="ADDRESS", help="The DNS server to ask for them."),
    click.option("--kubernetes", is_flag=True, help="The daemons in pods of Kubernetes."),
    click.option("--namespace", metavar="NAME", help="Of the pods; by default that of this pod, or default."),
    click.option("--selector", metavar="LABELS", help="Only pods with these labels, such as app=web."),
    click.option("--port", metavar="PORT", default="cbox-init", show_default=True, help="Of the pods."),
    click.option("--kube-api", metavar="URL", help="The Kubernetes API, such as that of `kubectl proxy`."),
    click.option(
        "--scheme",
        type=click.Choice(["http", "https"]),
        default="http",
        show_default=True,
        help="For daemons from DNS and Kubernetes.",
    ),
    click.option(
        "--only", multiple=True, metavar="NAME", help="Only daemons with this name, which may have *."
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.1, 300),
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for each answer.",
    ),
    click.option(
        "--at-once", type=click.IntRange(1, 100), default=16, show_default=True, help="Daemons asked at once."
    ),
)
_json_option = click.option("as_json", "--json", is_flag=True, help="One JSON object for all daemons.")


class _Options(NamedTuple):
    """Where the daemons of a fleet are, and how they are asked."""

    file: str | None
    urls: tuple[str, ...]
    srv: str | None
    dns_server: str | None
    kubernetes: bool
    namespace: str | None
    selector: str | None
    port: str
    kube_api: str | None
    scheme: str
    only: tuple[str, ...]
    timeout_s: float
    at_once: int


class Fleet:
    """The daemons that the options name. Raises ClientError when they name none."""

    def __init__(self, options: _Options, daemon: DaemonOptions) -> None:
        from cbox_init.fleet.targets import select, unique

        self._options = options
        self._daemon = daemon
        self.targets = select(unique(self._find()), options.only)
        if not self.targets:
            raise ClientError("no daemon was found: the file, the name or the selector has none")

    def ask(
        self, question: Callable[[Client], _Result], targets: Sequence[DaemonTarget] | None = None
    ) -> list[DaemonAnswer[_Result]]:
        """What each daemon answers, or each of ``targets``."""
        from cbox_init.fleet.everywhere import ask_all

        targets = self.targets if targets is None else targets
        return list(ask_all(targets, self._connect, question, self._options.at_once))

    def _connect(self, target: DaemonTarget) -> Client:
        own, shared = target.tls, self._daemon
        tls = own.ca or shared.cacert, own.certificate or shared.cert, own.key or shared.key
        options = DaemonOptions(target.url, target.socket, target.token or shared.token, *tls)
        return connect(options, self._options.timeout_s)

    def _find(self) -> Iterable[DaemonTarget]:
        from cbox_init.fleet.targets import DaemonTarget, read_targets, target_at

        options, daemon = self._options, self._daemon
        found = [target_at(url) for url in (*options.urls, *([daemon.url] if daemon.url else []))]
        if daemon.socket:
            found.append(DaemonTarget(daemon.socket, socket=daemon.socket))
        if options.file is not None:
            found += read_targets(options.file, os.environ)
        if options.srv is not None:
            from cbox_init.fleet import srv

            found += srv.targets_of(options.srv, options.scheme, options.timeout_s, options.dns_server)
        if options.kubernetes or options.kube_api is not None:
            from cbox_init.fleet import kubernetes

            pods = kubernetes.Pods(
                options.namespace, options.selector, options.port, options.scheme, options.kube_api
            )
            found += kubernetes.targets_of(pods, options.timeout_s, os.environ)
        elif not found and options.srv is None and options.file is None:
            path = os.environ.get(FILE_VARIABLE) or os.path.expanduser(USUAL_FILE)
            if not os.path.exists(path):
                ways = "--target URL, -f FILE, --srv NAME or --kubernetes"
                raise ClientError(f"which daemons? {path} does not exist; give {ways}")
            found = read_targets(path, os.environ)
        return found


def _fleet_options(
    function: Callable[Concatenate[Fleet, _Parameters], _Result],
) -> Callable[_Parameters, _Result]:
    """Give a command the options that say which daemons are meant, as a Fleet in its first argument."""

    @wraps(function)
    def command(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        given: dict[str, Any] = {field: kwargs.pop(field) for field in _Options._fields}
        daemon = click.get_current_context().find_object(DaemonOptions) or DaemonOptions()
        return function(Fleet(_Options(**given), daemon), *args, **kwargs)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=CommandGroup)
def fleet() -> None:
    """Show and control many daemons at once.

    They are named by a file, by URLs, by SRV records, or are pods of Kubernetes.
    """


@fleet.command("list")
@_json_option
@_fleet_options
def list_(fleet: Fleet, as_json: bool) -> int:
    """Show the processes of all daemons.

    The exit code is 1 when a daemon does not answer, or a process that should run does not.
    """
    answers = fleet.ask(lambda client: client.processes())

    from cbox_init.cli.console import Span, stdout, table_lines
    from cbox_init.cli.process_table import USUAL, all_run, rows

    out, now = stdout(), time.time()
    if as_json:
        out.json({"daemons": [{**_head(one), "processes": one.result or ()} for one in answers]})
    else:
        found = [(one.target.name, entry) for one in answers for entry in one.result or ()]
        header, cells = rows(USUAL, (entry for _, entry in found), now)
        lines = [[Span(name), *row] for (name, _), row in zip(found, cells, strict=True)]
        out.lines(table_lines(("DAEMON", *header), lines, out.columns))
        out.flush()
    failed = _complain(answers)
    return 0 if not failed and all(all_run(one.result or ()) for one in answers) else 1


@fleet.command()
@_json_option
@_fleet_options
def status(fleet: Fleet, as_json: bool) -> int:
    """Show the daemons: their version, age, counts and memory.

    The exit code is 1 when one does not answer.
    """
    answers = fleet.ask(lambda client: client.daemon())

    from cbox_init.cli.console import Span, stdout, table_lines
    from cbox_init.words import size, uptime

    out = stdout()
    if as_json:
        out.json({"daemons": [{**_head(one), "daemon": one.result} for one in answers]})
    else:
        header = ("DAEMON", "VERSION", "UPTIME", "PROCESSES", "RUNNING", "FAILED", "RESTARTS", "MEMORY")
        rows = []
        for one in answers:
            if (entry := one.result) is not None:
                counts = entry.counts
                numbers = (
                    counts.processes,
                    f"{counts.running}/{counts.instances}",
                    counts.failed,
                    counts.restarts,
                )
                cells = (one.target.name, entry.version, uptime(entry.uptime_seconds), *numbers)
                rows.append([*(Span(str(cell)) for cell in cells), Span(size(entry.memory_rss_bytes))])
        out.lines(table_lines(header, rows))
        out.flush()
    return 1 if _complain(answers) else 0


@fleet.command()
@_json_option
@_fleet_options
def targets(fleet: Fleet, as_json: bool) -> None:
    """Show the daemons that the options name, without asking them."""
    from cbox_init.cli.console import Span, stdout, table_lines

    out = stdout()
    if as_json:
        out.json({"daemons": [{"name": one.name, "address": one.address} for one in fleet.targets]})
    else:
        rows = [[Span(one.name), Span(one.address)] for one in fleet.targets]
        out.lines(table_lines(("DAEMON", "ADDRESS"), rows))


@fleet.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tail", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Lines in all.")
@click.option("--level", type=click.Choice(["debug", "info", "warn", "error"], case_sensitive=False))
@click.option("--since", metavar="TIME", help="Show only lines since then, as for `logs`.")
@click.option("--grep", metavar="TEXT", help="Show only lines that contain this text.")
@_json_option
@_fleet_options
def logs(
    fleet: Fleet,
    names: tuple[str, ...],
    tail: int,
    level: Level | None,
    since: str | None,
    grep: str | None,
    as_json: bool,
) -> int:
    """Show the last log lines of all daemons together, oldest first."""

    def ask(client: Client) -> Sequence[LogEntry]:
        found = client.logs(*names, limit=tail, order="asc", level=level, since=since, grep=grep)
        return found.logs

    answers = fleet.ask(ask)

    from cbox_init.cli.console import Span, stdout
    from cbox_init.cli.log_lines import LineFormat, log_line, process_style

    lines = [(entry, one.target.name) for one in answers for entry in one.result or ()]
    lines.sort(key=lambda line: line[0].timestamp)
    out, how = stdout(), LineFormat.of(timestamps=True, text=grep, ignore_case=False)
    if as_json:
        out.json({"logs": [{"daemon": name, "entry": entry} for entry, name in lines[-tail:]]})
    else:
        for entry, name in lines[-tail:]:
            out.line([Span(f"{name} ", process_style(name)), *log_line(entry, how)])
        out.flush()
    return 1 if _complain(answers) else 0


_rolling_option = click.option(
    "--rolling",
    is_flag=True,
    help="One daemon after another, each when the one before it is done; the first failure ends the command.",
)
_wait_option = click.option(
    "wait_s",
    "--wait-timeout",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --rolling waits for each process.",
)


def _action(action: Action, summary: str) -> click.Command:
    @fleet.command(action, help=summary)
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @_rolling_option
    @_wait_option
    @_fleet_options
    def command(fleet: Fleet, names: tuple[str, ...], rolling: bool, wait_s: float) -> int:
        return _command(
            fleet, [(name, action, None) for name in dict.fromkeys(names)], wait_s if rolling else None
        )

    return command


start = _action("start", "Start processes of all daemons that have them.")
stop = _action("stop", "Stop processes of all daemons that have them.")
restart = _action("restart", "Restart processes of all daemons that have them.")


@fleet.command()
@click.argument("name")
@click.argument("count", metavar="N", type=click.IntRange(0, 5000))
@_rolling_option
@_wait_option
@_fleet_options
def scale(fleet: Fleet, name: str, count: int, rolling: bool, wait_s: float) -> int:
    """Set the number of instances of a process in each daemon that has it."""
    return _command(fleet, [(name, "scale", count)], wait_s if rolling else None)


_Wanted = tuple[str, Any, int | None]


class _Sent(NamedTuple):
    """What one daemon has answered to commands, which of the processes it has, and all that it has."""

    messages: list[str]
    errors: list[str]
    found: set[str]
    known: list[str]


def _command(fleet: Fleet, wanted: Sequence[_Wanted], wait_s: float | None) -> int:
    """Send commands to all daemons; with ``wait_s`` to one after another, until one of them fails."""
    from cbox_init.cli.console import stdout

    out = stdout()
    parts = [fleet.targets] if wait_s is None else [[one] for one in fleet.targets]
    found: set[str] = set()
    known: dict[str, None] = {}
    failed = False
    for part in parts:
        for answer in fleet.ask(lambda client: _send(client, wanted, wait_s), part):
            sent = answer.result or _Sent([], [answer.error or ""], set(), [])
            for message in sent.messages:
                out.text(f"{answer.target.name}: {message}")
            out.flush()
            for error in sent.errors:
                complain(f"{answer.target.name}: {error}")
            failed = failed or bool(sent.errors)
            found |= sent.found
            known |= dict.fromkeys(sent.known)
        if failed and wait_s is not None and part[-1] is not fleet.targets[-1]:
            complain("the daemons after this one were left as they are")
            return 1
    for process in [name for name, _, _ in wanted if name not in found and not failed]:
        similar = most_similar(process, list(known))
        hint = f"; did you mean {similar!r}?" if similar else ""
        complain(f"no daemon has a process {process!r}{hint}")
        failed = True
    return 1 if failed else 0


def _send(client: Client, wanted: Sequence[_Wanted], wait_s: float | None) -> _Sent:
    before = {entry.name: entry for entry in client.processes()}
    sent = _Sent([], [], set(), list(before))
    for name, action, count in wanted:
        entry = before.get(name)
        if entry is None:
            continue
        sent.found.add(name)
        try:
            sent.messages.append(_send_one(client, entry, action, count, wait_s))
        except ClientError as error:
            sent.errors.append(str(error))
    return sent


def _send_one(
    client: Client, entry: ProcessEntry, action: Any, count: int | None, wait_s: float | None
) -> str:
    from cbox_init.cli.waiting import wait_for

    name = entry.name
    reply = client.scale(name, count) if count is not None else getattr(client, action)(name)
    if wait_s is None:
        return f"{name}: {reply.message}"
    wait_for(client, reply.change, wait_s)
    now = client.status(name)
    return f"{name}: {now.state}, {now.scale}/{now.desired_scale}"


def _head(answer: DaemonAnswer[Any]) -> dict[str, object]:
    return {"name": answer.target.name, "address": answer.target.address, "error": answer.error}


def _complain(answers: Iterable[DaemonAnswer[Any]]) -> bool:
    """Say which daemons did not answer; whether there are any."""
    errors = [(one.target.name, one.error) for one in answers if one.error is not None]
    for name, error in errors:
        complain(f"{name}: {error}")
    return bool(errors)
