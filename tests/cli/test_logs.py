"""``logs`` with a real daemon: what is chosen, what follows, the end of either side, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.client.fake import Answer, event, fake_daemon, line
from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for

from .conftest import DEADLINE_S, environment, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Run

#: Each says what is written into its pipe.
TALKERS = """
global: {api_socket: SOCKET}
processes:
  web: {command: [sh, -c, "exec cat <> DIR/web"]}
  job: {command: [sh, -c, "exec cat <> DIR/job"]}
"""


class Follower:
    """``logs -f`` whose output goes to files, so that it can be looked at while it runs."""

    def __init__(self, folder: Path, name: str, arguments: tuple[str, ...]) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, "logs", "-f", "--no-timestamps", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(),
            )

    @property
    def out(self) -> list[str]:
        return [line.removeprefix("web-0 INFO  ") for line in self._out.read_text().splitlines()]

    @property
    def err(self) -> list[str]:
        return [line.removeprefix("cbox-init: ") for line in self._err.read_text().splitlines()]

    def until(self, condition: Callable[[], object]) -> None:
        wait_for(lambda: condition() or self.process.poll() is not None, "what the follower shows")
        assert condition(), (self.out, self.err, self.process.poll())

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.wait()


class Talk:
    """A daemon whose processes say what they are told to; it can be started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followers = 0
        for name in ("web", "job"):
            os.mkfifo(folder / name)
        self.start()

    def start(self) -> None:
        self.daemon = DaemonProcess(self._folder, TALKERS)
        self.daemon.until_said("Process instance started", 2)

    def say(self, *lines: str, name: str = "web") -> None:
        with open(self._folder / name, "w") as pipe:
            pipe.writelines(f"{line}\n" for line in lines)
        wait_for(lambda: lines[-1] in self.daemon.lines(name), f"{name} has said {lines[-1]}")

    @property
    def socket(self) -> str:
        return str(self.daemon.socket)

    @contextmanager
    def follow(self, *arguments: str) -> Iterator[Follower]:
        self._followers += 1
        follower = Follower(
            self._folder, f"follower-{self._followers}", ("--socket", self.socket, *arguments)
        )
        try:
            yield follower
        finally:
            follower.process.kill()
            follower.wait()


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path)
    yield talk
    talk.daemon.end()


# -- the last lines ------------------------------------------------------------------------------------


def shown(with_daemon: Run, *arguments: str) -> list[tuple[str, str]]:
    """Instance and message of each line."""
    done = with_daemon("logs", "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    entries = [json.loads(line) for line in done.out.splitlines()]
    return sorted((entry["instance"], entry["message"]) for entry in entries)


def test_what_is_chosen(with_daemon: Run) -> None:
    hello, trouble = (
        [("web-0", "hello from 8000"), ("web-1", "hello from 8001")],
        [
            ("web-0", "trouble"),
            ("web-1", "trouble"),
        ],
    )
    assert shown(with_daemon, "web", "--stream", "stderr") == trouble
    assert shown(with_daemon, "web", "--stream", "stdout", "--stream", "stderr") == sorted(hello + trouble)
    assert shown(with_daemon, "--instance", "web-1", "--instance", "db-0") == [
        ("db-0", "ready"),
        hello[1],
        trouble[1],
    ]
    assert shown(with_daemon, "db", "web", "--grep", "HELLO") == []
    assert shown(with_daemon, "db", "web", "--grep", "HELLO", "-i") == hello
    assert shown(with_daemon, "--grep", "hello", "--since", "1h", "--until", "0s") == hello
    assert shown(with_daemon, "--until", "1h") == []


def test_a_time_that_is_none(with_daemon: Run) -> None:
    done = with_daemon("logs", "web", "--since", "yesterday")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("cbox-init: since must be a time such as 2026-11-24T09:08:03Z, Unix seconds, ")
    assert done.err.endswith(" or a duration such as 5m, not 'yesterday'\n")


def test_with_since_there_is_no_limit_of_a_hundred(talk: Talk) -> None:
    talk.say(*(f"line {number}" for number in range(250)))
    assert len(run("logs", "--socket", talk.socket).out.splitlines()) == 100
    assert len(run("logs", "--socket", talk.socket, "--since", "1h").out.splitlines()) == 250
    assert len(run("logs", "--socket", talk.socket, "--since", "1h", "--tail", "3").out.splitlines()) == 3
    with talk.follow("--since", "1h") as follower:
        follower.until(lambda: len(follower.out) == 250)


# -- following -----------------------------------------------------------------------------------------


def test_it_follows_several_processes_with_a_filter(talk: Talk) -> None:
    talk.say("old ERROR", "old nothing")
    with talk.follow("web", "job", "--grep", "error", "-i") as follower:
        follower.until(lambda: follower.out == ["old ERROR"])
        talk.say("nothing", "an Error", name="job")
        talk.say("error again")
        follower.until(lambda: follower.out == ["old ERROR", "job-0 INFO  an Error", "error again"])
        assert follower.interrupt() == 0
        assert follower.err == []


def test_the_tail_and_what_comes_fit_together(talk: Talk) -> None:
    """A process that writes all the time: each line once from the tail on."""
    go = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.001; done"
    talk.daemon.config.write_text(
        f"global: {{api_socket: {talk.socket}}}\nprocesses: {{web: {{command: [sh, -c, '{go}']}}}}\n"
    )
    assert run("reload-config", "--socket", talk.socket).code == 0
    wait_for(lambda: len(talk.daemon.lines("web")) > 150, "the process writes")
    with talk.follow("--tail", "100") as follower:
        follower.until(lambda: len(follower.out) > 500)
        assert follower.interrupt() == 0
        numbers = [int(line) for line in follower.out]
        assert not follower.err
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_end_of_the_daemon(talk: Talk) -> None:
    with talk.follow("--tail", "1") as follower, talk.follow("--tail", "1") as other:
        talk.say("last words")
        follower.until(lambda: follower.out == ["last words"])
        other.until(lambda: other.out == ["last words"])
        assert talk.daemon.stop() == 0
        assert (follower.wait(), follower.err) == (0, ["the daemon has ended, and its log with it"])
    talk.start()
    with talk.follow("--tail", "1") as follower:
        talk.say("first")
        follower.until(lambda: follower.out == ["first"])
        talk.daemon.process.kill()
        assert follower.wait() == 3
        assert follower.err == [
            f"the daemon at {talk.socket} closed the connection before its answer was complete; did it end?"
        ]


def test_with_retry_it_goes_on_with_the_next_daemon(talk: Talk) -> None:
    with talk.follow("--retry", "web") as follower:
        talk.say("one")
        follower.until(lambda: follower.out == ["one"])
        talk.daemon.stop()
        follower.until(
            lambda: follower.err == ["the daemon has ended (trying again until it answers, or until Ctrl-C)"]
        )
        talk.start()
        talk.say("two")
        follower.until(lambda: follower.out == ["one", "two"])
        assert follower.err[1:] == [
            "the daemon answers again",
            "the daemon was restarted; this is its log from the beginning",
        ]
        talk.daemon.process.kill()
        follower.until(lambda: len(follower.err) == 4)
        assert follower.err[3].endswith("did it end? (trying again until it answers, or until Ctrl-C)")
        assert follower.interrupt() == 0
        assert (follower.out, len(follower.err)) == (["one", "two"], 4)


def test_retry_waits_for_the_first_daemon_as_well(talk: Talk) -> None:
    talk.daemon.stop()
    with talk.follow("--retry", "web") as follower:
        follower.until(lambda: follower.err)
        assert follower.err[0].startswith(f"no daemon answers at {talk.socket}: is cbox-init running?")
        talk.start()
        talk.say("hello")
        follower.until(lambda: follower.out == ["hello"])
        assert follower.err[1:] == ["the daemon answers again"]


def test_retry_goes_on_behind_the_last_line(tmp_path: Path) -> None:
    """The daemon is the same, the connection another."""

    def stream(*chunks: bytes, complete: bool = False) -> Answer:
        return Answer(content_type="text/event-stream", chunks=chunks, complete=complete)

    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as daemon:
        one, two = (b"id: a-%d-0\n%b" % (number, event(line("x", number))) for number in (1, 2))
        daemon.answers["GET /api/v1/logs/stream?tail=2&since=5m"] = stream(one)
        daemon.answers["GET /api/v1/logs/stream?last_event_id=a-1-0&since=5m"] = stream(two)
        daemon.answers["GET /api/v1/logs/stream?last_event_id=a-2-0&since=5m"] = stream(complete=True)
        arguments = ("--retry", "--tail", "2", "--since", "5m", "--socket", path)
        follower = Follower(tmp_path, "follower", arguments)
        follower.until(lambda: len(follower.err) >= 5)
        assert follower.interrupt() == 0
        assert follower.out == ["x", "x"]
        assert [message.partition(" (trying")[0] for message in follower.err[:5]] == [
            f"the daemon at {path} closed the connection before its answer was complete; did it end?",
            "the daemon answers again",
            f"the daemon at {path} closed the connection before its answer was complete; did it end?",
            "the daemon answers again",
            "the daemon has ended",
        ]


def test_retry_gives_up_where_it_is_of_no_use(talk: Talk) -> None:
    with talk.follow("--retry", "wbe") as follower:
        assert follower.wait() == 1
        assert follower.err == ["no process is named 'wbe'; did you mean 'web'?"]


def test_a_reader_that_has_seen_enough(talk: Talk) -> None:
    talk.say("a", "b", "c")
    command = " ".join((*COMMAND, "logs", "-f", "--no-timestamps", "--socket", talk.socket))
    pipeline = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert pipeline.stdout
    assert [pipeline.stdout.readline() for _ in range(2)] == ["web-0 INFO  a\n", "web-0 INFO  b\n"]
    while pipeline.poll() is None:  # head has gone; the next line finds it so
        talk.say("d")
    assert (pipeline.returncode, pipeline.communicate()) == (0, ("", ""))


# -- a real terminal -----------------------------------------------------------------------------------


class Terminal:
    """A command with a terminal of its own, as a shell would start it."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "TERM": "xterm", **env},
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._seen = b""

    @property
    def screen(self) -> str:
        """What has been written so far."""
        try:
            while chunk := os.read(self._master, 65536):
                self._seen += chunk
        except OSError:  # nothing now, or the other side is closed
            pass
        return self._seen.decode()

    def until(self, text: str) -> None:
        wait_for(lambda: text in self.screen or self.process.poll() is not None, repr(text))
        assert text in self.screen

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def end(self) -> int:
        code = self.process.wait(DEADLINE_S)
        assert self.screen is not None
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        os.close(self._master)


@contextmanager
def terminal(*arguments: str, **env: str) -> Iterator[Terminal]:
    made = Terminal(*arguments, **env)
    try:
        yield made
    finally:
        made.close()


_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_colours_and_ctrl_c(talk: Talk) -> None:
    with terminal("logs", "-f", "--grep", "find", "--socket", talk.socket) as screen:
        talk.say("please find me")
        screen.until("me")
        assert "\x1b[32mweb-0 \x1b[0m" in screen.screen
        assert "please \x1b[30m\x1b[43m\x1b[1mfind\x1b[0m me" in screen.screen
        assert re.search(r"^[\dT:.-]+Z web-0 INFO  please find me\r\n$", _ESCAPE.sub("", screen.screen))
        screen.press(b"\x03")
        assert screen.end() == 0
        assert _ESCAPE.sub("", screen.screen).endswith("please find me\r\n^C")


@pytest.mark.parametrize(
    ("arguments", "env"),
    [(("--no-color",), {}), ((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"}), (("--json",), {})],
)
def test_without_colours(talk: Talk, arguments: tuple[str, ...], env: dict[str, str]) -> None:
    talk.say("hello")
    with terminal("logs", "--grep", "hell", "--socket", talk.socket, *arguments, **env) as screen:
        assert screen.end() == 0
        assert "hello" in screen.screen
        assert "\x1b" not in screen.screen
