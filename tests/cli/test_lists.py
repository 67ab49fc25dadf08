"""``list``, ``top`` and ``status``: formats, columns, selections, exit codes, and watching."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING, Protocol

import msgspec
import pytest
import yaml

from cbox_init.cli.app import commands, run
from cbox_init.cli.process_table import COLUMNS
from tests.client.fake import Answer, FakeDaemon, daemon_entry, fake_daemon, instance, listed, process
from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for

from .conftest import CONFIG, Done, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbox_init.client import ProcessEntry

LIST = "GET /api/v1/processes"
LIVE = "GET /api/v1/live?interval=2"


class Call(Protocol):
    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "api.sock")


@pytest.fixture
def fake(path: str) -> Iterator[FakeDaemon]:
    with fake_daemon(path) as daemon:
        daemon.answers[LIST] = listed(
            process(instance(), instance(1), groups=["front"]),
            process(instance(id="queue-mail-0"), name="queue-mail", groups=["back", "mail"]),
            process(
                instance(0, "starting", id="queue-0", reason="exit code 3", next_restart_at=2e9),
                name="queue",
                state="starting",
                cpu_percent=7.0,
                groups=["back"],
            ),
        )
        yield daemon


@pytest.fixture
def call(path: str, fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> Done:
        code = run([*arguments, "--socket", path])
        return Done(code, *capsys.readouterr())

    return call


def names(done: Done) -> list[str]:
    return [line.split()[0] for line in done.out.splitlines()[1:]]


def test_formats(call: Call) -> None:
    assert call("list", "-o", "name") == (1, "web\nqueue-mail\nqueue\n", "")
    as_json = json.loads(call("list", "-o", "json").out)
    assert as_json == json.loads(call("list", "--json").out) == yaml.safe_load(call("ls", "-o", "yaml").out)
    header = call("list", "-o", "wide").out.splitlines()[0].split()
    assert header == [column.title for column in COLUMNS.values()]
    assert call("list", "--columns", "pids,Name").out.splitlines()[:2] == [
        "PIDS       NAME",
        "1000,1001  web",
    ]


def test_order(call: Call) -> None:
    assert names(call("list")) == ["web", "queue-mail", "queue"]
    assert names(call("list", "--sort", "cpu")) == ["queue", "web", "queue-mail"]
    assert names(call("ps", "--sort", "name")) == ["queue", "queue-mail", "web"]


@pytest.mark.parametrize(
    ("words", "found", "code"),
    [
        (["web"], ["web"], 0),
        (["queue*"], ["queue-mail", "queue"], 1),
        (["queue", "web"], ["web", "queue"], 1),
        (["@back"], ["queue-mail", "queue"], 1),
        (["all"], ["web", "queue-mail", "queue"], 1),
        (["web-1"], ["web"], 0),
        (["web-1", "web-0", "web"], ["web"], 0),
    ],
)
def test_selections(call: Call, words: list[str], found: list[str], code: int) -> None:
    done = call("list", *words)
    assert (done.code, names(done)) == (code, found)
    shown = call("status", *words)
    assert shown.code == code
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith("Name:")] == found


def test_an_instance_is_shown_alone(call: Call) -> None:
    shown = call("status", "web-1").out
    assert "web-1" in shown and "web-0" not in shown
    assert len(json.loads(call("status", "web-1", "--json").out)["instances"]) == 1
    (two,) = json.loads(call("status", "web-1", "web-0", "--json").out)["processes"]
    assert [one["id"] for one in two["instances"]] == ["web-1", "web-0"]
    (all_,) = json.loads(call("status", "web-1", "web", "--json").out)["processes"]
    assert len(all_["instances"]) == 2
    assert [one["name"] for one in json.loads(call("status", "q*", "--json").out)["processes"]] == [
        "queue-mail",
        "queue",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "wbe"], 1, "no process is named 'wbe'; did you mean 'web'?"),
        (["list", "x*"], 1, "no process matches 'x*'; there are web, queue-mail, queue"),
        (["status", "@no"], 1, "no group is called '@no'; there are @front, @back, @mail"),
        (["status", "web", "web-7"], 1, "no process is named 'web-7'"),
        (["list", "--columns", "name,memroy"], 2, "no column is called 'memroy'; did you mean 'memory'?"),
        (["list", "--sort", "zzz"], 2, "no column is called 'zzz'; there are name, scale, restarts"),
        (["list", "--json", "-o", "yaml"], 2, "--json and -o yaml were both given"),
        (["list", "-w", "-o", "yaml"], 2, "-w shows a table or JSON, not yaml"),
        (["list", "-o", "json", "--columns", "name"], 2, "--columns is for the table"),
        (["list", "-w", "nobody"], 1, "no process is named 'nobody'"),
    ],
)
def test_mistakes(call: Call, arguments: list[str], code: int, said: str) -> None:
    done = call(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err and done.err.count("\n") == 1


def test_the_help_names_every_column() -> None:
    text = " ".join(commands.commands["list"].get_help(commands.make_context("x", ["list"])).split())
    assert f"order: {', '.join(COLUMNS)}." in text


def test_the_exit_code_of_status(call: Call, fake: FakeDaemon) -> None:
    fake.answers["GET /api/v1/daemon"] = Answer(daemon_entry())
    assert call("status").code == 0
    sick = {"status": "unhealthy", "ready": False, "consecutive_failures": 3}
    fake.answers[LIST] = listed(process(instance(health=sick)), process(name="late", wanted=False))
    assert (call("status", "web").code, call("list").code) == (1, 0)  # it runs
    assert call("status", "late").code == 0


def live(kind: str, **values: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"time": 1.7e9, **values}) + b"\n\n"


def snapshot(*entries: ProcessEntry) -> bytes:
    return live("snapshot", daemon=daemon_entry(), processes=entries)


def test_watching_goes_on_after_the_end_of_a_daemon(
    call: Call, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([None, None, KeyboardInterrupt])

    def sleep(seconds: float) -> None:
        if (error := next(waits)) is not None:
            raise error

    monkeypatch.setattr("cbox_init.cli.watch.time.sleep", sleep)
    changed = live("processes", processes=[process(instance(), state="stopping")], removed=["queue"])
    stream = {"content_type": "text/event-stream"}
    fake.answers[LIVE] = [
        Answer(chunks=(snapshot(process(instance()), process(name="queue")), changed), **stream),  # type: ignore[arg-type]
        Answer({"error": "the daemon is shutting down"}, 503),
        Answer(chunks=(snapshot(process(instance(), name="queue")),), complete=False, **stream),  # type: ignore[arg-type]
    ]
    done = call("list", "-w", "--json", "web", "q*")
    states = [[one["name"] for one in json.loads(line)["processes"]] for line in done.out.splitlines()]
    assert (done.code, states) == (0, [["web", "queue"], ["web"], ["queue"]])
    assert [line[:25] for line in done.err.splitlines()] == ["cbox-init: trying again: "] * 3


def test_an_older_daemon_cannot_be_watched(call: Call) -> None:
    done = call("top")
    assert (done.code, done.err) == (
        1,
        "cbox-init: this daemon cannot be watched: it is older than this command\n",
    )


class Screen:
    """A command on a terminal of 100 columns and 10 lines."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        subprocess.run(["stty", "rows", "10", "cols", "100"], stdin=slave, check=True)
        os.set_blocking(self._master, False)
        self.output = ""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(TERM="xterm"),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        os.close(slave)

    def read(self) -> str:
        try:
            while data := os.read(self._master, 65536):
                self.output += data.decode()
        except (BlockingIOError, OSError):
            pass
        return self.output

    def last_drawn(self) -> str:
        return self.read().rpartition("\x1b[H")[2]

    def until(self, text: str) -> None:
        wait_for(lambda: text in self.last_drawn(), text)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


def test_a_terminal_keeps_its_place_and_is_left_as_it_was(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    screens: list[Screen] = []
    try:
        daemon.until_said("All processes started successfully")
        screens = [Screen("top", "--socket", str(daemon.socket)) for _ in range(2)]
        for screen in screens:
            screen.until("web")
        assert daemon.stop() == 0
        for screen in screens:
            screen.until("trying again")
            assert "web" in screen.last_drawn()
        daemon = DaemonProcess(tmp_path, CONFIG)
        for screen, signum, code in zip(screens, (signal.SIGINT, signal.SIGTERM), (0, 143), strict=True):
            screen.until("running")
            wait_for(lambda screen=screen: "trying" not in screen.last_drawn(), "it is connected")  # type: ignore[misc]
            screen.process.send_signal(signum)
            assert screen.process.wait(30) == code
            assert screen.read().endswith("\x1b[?25h\x1b[?1049l")
            assert "\x1b[2J" not in screen.output  # never cleared: that would flicker
    finally:
        for screen in screens:
            screen.end()
        daemon.end()
