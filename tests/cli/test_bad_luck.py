"""Whatever answers, or does not: exit code 1, one line on standard error, no traceback."""

from __future__ import annotations

import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.client.fake import Answer, event, fake_daemon, instance, line, listed, process, raw_server
from tests.e2e.daemon import COMMAND

from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbox_init.client import InstanceEntry
    from tests.client.fake import FakeDaemon

    from .conftest import Run

STREAM = "GET /api/v1/logs/stream?tail=100"
LIST = "GET /api/v1/processes"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "api.sock")


@pytest.fixture
def fake(path: str) -> Iterator[FakeDaemon]:
    with fake_daemon(path) as daemon:
        yield daemon


def failure(cbox: Run, *arguments: str, env: dict[str, str] | None = None, code: int = 1) -> str:
    """The one line of a command that fails."""
    done = cbox(*arguments, env=env)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("cbox-init: ")
    assert done.err.count("\n") == 1
    return done.err.removeprefix("cbox-init: ")


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["status", "web"],
        ["start", "web"],
        ["stop", "web", "--wait"],
        ["scale", "web", "1"],
        ["logs"],
    ],
)
def test_no_daemon(cbox: Run, path: str, command: list[str]) -> None:
    said = failure(cbox, *command, "--socket", path, code=3)
    assert said.startswith(
        f"no daemon answers at {path}: is cbox-init running? start it with `cbox-init serve`"
    )


def test_a_dead_socket(cbox: Run, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    assert f"no daemon answers at {path}" in failure(cbox, "--socket", path, "list", code=3)


def test_nonsense(cbox: Run, path: str) -> None:
    def behave(connection: socket.socket) -> None:
        if connection.recv(65536):
            connection.sendall(b"220 mail.example.com ESMTP\r\n\r\n")

    with raw_server(path, behave):
        assert "does not speak HTTP as cbox-init does" in failure(cbox, "--socket", path, "list", code=3)


def test_a_reply_that_is_none(cbox: Run, path: str, fake: FakeDaemon) -> None:
    fake.answers[LIST] = Answer(b"<html>hello</html>")
    assert "is not the API of cbox-init" in failure(cbox, "--socket", path, "list")


def test_the_token(cbox: Run) -> None:
    with fake_daemon() as daemon:
        daemon.answers[LIST] = Answer({"error": "unauthorized"}, 401)
        said = failure(cbox, "--url", daemon.url, "list", "--token", "first")
        assert said.startswith(f"authentication failed at {daemon.url}: token missing or wrong")
        failure(cbox, "--token", "behind", "--url", "http://127.0.0.1:1", "list", "--url", daemon.url)
        failure(cbox, "--url", daemon.url, "list", env={"CBOX_INIT_API_AUTH": "environment"})
        tokens = [sent.headers["authorization"] for sent in daemon.sent]
    assert tokens == ["Bearer first", "Bearer behind", "Bearer environment"]


def test_proxies_are_not_used(cbox: Run, path: str, fake: FakeDaemon) -> None:
    fake.answers[LIST] = listed(process(instance()))
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    assert cbox("--socket", path, "list", env=proxies).code == 0


def test_ctrl_c_while_a_daemon_hangs(path: str) -> None:
    asked, ask = socket.socketpair()

    def behave(connection: socket.socket) -> None:
        if connection.recv(65536):
            ask.sendall(b"x")
            connection.recv(1)

    with raw_server(path, behave), asked, ask:
        command = subprocess.Popen(
            [*COMMAND, "list", "--socket", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        asked.recv(1)
        command.send_signal(signal.SIGINT)
        assert command.communicate(timeout=30) == (b"", b"")
        assert command.returncode == 130


def test_a_stream_that_ends_well(cbox: Run, path: str, fake: FakeDaemon) -> None:
    missed = b'event: missed\ndata: {"count":7}\n\nevent: missed\ndata: {}\n\n'
    chunks = (event(line("one")), missed, event(line("two", 1_000_000)))
    fake.answers[STREAM] = Answer(content_type="text/event-stream", chunks=chunks)
    done = cbox("--socket", path, "logs", "-f")
    assert done == (
        0,
        "2026-11-24T09:08:03.000Z web-0 INFO  one\n2026-11-24T09:08:03.001Z web-0 INFO  two\n",
        "cbox-init: 7 lines are missing here: they came faster than they could be shown\n"
        "cbox-init: lines are missing here: the daemon no longer has them\n"
        "cbox-init: the daemon has ended, and its log with it\n",
    )


def test_a_daemon_that_dies_in_the_middle_of_a_stream(cbox: Run, path: str, fake: FakeDaemon) -> None:
    fake.answers[STREAM] = Answer(
        content_type="text/event-stream", chunks=(event(line("one")),), complete=False
    )
    done = cbox("logs", "-f", "--socket", path)
    assert (done.code, done.out) == (3, "2026-11-24T09:08:03.000Z web-0 INFO  one\n")
    assert done.err == (
        f"cbox-init: the daemon at {path} closed the connection before its answer was complete; did it end?\n"
    )


def test_a_daemon_that_dies_while_a_command_waits(cbox: Run, path: str, fake: FakeDaemon) -> None:
    fake.answers["GET /api/v1/changes/5a-1"] = Answer({"error": "the daemon is shutting down"}, 503)
    fake.answers["POST /api/v1/processes/web/restart"] = Answer(
        {"message": "restart initiated", "process": "web", "change": "5a-1"}, 202
    )
    done = cbox("--socket", path, "restart", "web", "--wait")
    assert done == (1, "web: restart initiated\n", "cbox-init: the daemon is shutting down\n")


def test_names_are_not_markup(cbox: Run, path: str, fake: FakeDaemon) -> None:
    odd: InstanceEntry = instance(id="[red]-0", reason="[bold]a\x1b[2J")
    fake.answers[LIST] = listed(process(odd, name="[red]"))
    assert cbox("--socket", path, "list").out.splitlines()[1].startswith("[red]  running")
    assert "[red]-0" in cbox("--socket", path, "status", "[red]").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "no command is called 'lst'; did you mean 'list'?; see cbox-init --help"),
        (["fleet", "lst"], "no command is called 'lst'; did you mean 'list'?; see cbox-init fleet --help"),
        (["--bogus"], "No such option '--bogus'; see cbox-init --help"),
        (["--url", "http://localhost:1"], "see cbox-init --help"),
        (["start"], "Missing argument 'NAME...'; see cbox-init start --help"),
        (
            ["scale", "web", "many"],
            "'many' is not a number of instances; write 3, +1 or -1; see cbox-init scale",
        ),
        (["scale", "web"], "'web' does not say how many; write NAME=3, or NAME 3 for one process"),
        (["scale", "web=2", "queue"], "'queue' does not say how many"),
        (["scale", "web=2", "queue", "db=1"], "'queue' does not say how many"),
        (["scale", "web=2", "all=+1"], "'all' takes a new number, such as 3"),
        (["reload", "web"], "to replace its instances one after another: `cbox-init restart web`"),
        (["check-config", "-c"], "Option '-c' requires an argument; see cbox-init"),
        (["logs", "--tail", "-1"], "see cbox-init logs --help"),
        (["logs", "--stream", "out"], "see cbox-init logs --help"),
        (["logs", "--retry"], "--retry works only with -f: give -f as well"),
        (["logs", "-f", "--until", "5m"], "--until cannot be used with -f: leave one of them out"),
        (["list", "--url", "http://x", "--socket", "/x"], "--url and --socket were both given"),
    ],
)
def test_mistakes_in_the_command_line(cbox: Run, arguments: list[str], said: str) -> None:
    assert said in failure(cbox, *arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--bogus"], "No such option '--bogus'; see cbox-init serve --help"),
        (["--dry-run", "--bogus"], "No such option '--bogus'; see cbox-init serve --help"),
        (["--autotune-memory-threshold", "x"], "see cbox-init serve --help"),
        (["health", "--timeout", "soon"], "'soon' is not a time of at most 10 minutes"),
        (["health", "--bogus"], "No such option '--bogus'; see cbox-init health --help"),
        (
            ["logs", "--url", "http://localhost:1", "--grep", "\udcff"],
            "cannot be sent: it is not valid UTF-8",
        ),
        (["list", "--url", "localhost:9180"], "'localhost:9180' is not a URL of an API"),
        (["serve", "-c", "/nonexistent.yaml"], "/nonexistent.yaml"),
        (["-c", "/nonexistent.yaml"], "/nonexistent.yaml"),
    ],
)
def test_what_fails(cbox: Run, arguments: list[str], said: str) -> None:
    assert said in failure(cbox, *arguments)


@pytest.mark.parametrize("command", [[], ["serve"], ["serve", "--dry-run"]])
def test_a_start_that_fails_says_every_error(cbox: Run, tmp_path: Path, command: list[str]) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("processes:\n  web: {command: [x], scale: -1}\n  db: {command: [x], scale: many}\n")
    done = cbox(*command, "--config", str(config))
    assert (done.code, done.out) == (1, "")
    first, second = done.err.splitlines()
    assert first.startswith(f"cbox-init: {config} has 2 errors, the first: line 2: processes.web.scale: ")
    assert second.startswith("cbox-init: and line 3: processes.db.scale: ")


def test_help_goes_to_click(cbox: Run) -> None:
    for arguments in (["--help"], ["-h"], ["serve", "--help"], ["--dry-run", "--help"], ["list", "-h"]):
        done = cbox(*arguments)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("Usage: cbox-init ")
    assert "cbox-init help completion" in cbox("--help").out


def test_completion_does_not_start_a_daemon(cbox: Run) -> None:
    assert "complete" in cbox(env={"_CBOX_INIT_COMPLETE": "bash_source"}).out
    words = {"_CBOX_INIT_COMPLETE": "bash_complete", "COMP_WORDS": "cbox-init st", "COMP_CWORD": "1"}
    assert cbox(env=words).out.splitlines() == ["plain,status", "plain,start", "plain,stop"]
