"""``cbox-init run -- CMD``: the command of a container as the main process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.e2e.daemon import AS_PID_1, COMMAND, DEADLINE_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_namespace = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
WORDS = ["${PORT}", "$${PORT}", "$HOME", "a b", "", "é", "-c", "--", "x\ny"]
#: Writes each signal that comes, and ends with 9 on the one that is named.
TRAPS = """
for one in HUP USR1 USR2 WINCH; do trap "echo got $one" $one; done
for one in TERM QUIT; do trap "echo got $one; exit 9" $one; done
echo ready; while :; do sleep 0.02; done
"""


class Ran:
    """A run whose records are read while it goes on."""

    def __init__(self, folder: Path, *words: str, before: tuple[str, ...] = ()) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*before, *COMMAND, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(folder),
            )

    def lines(self, name: str = "main") -> list[str]:
        whole = self.out.read_text().rpartition("\n")[0]
        records = [json.loads(line) for line in whole.splitlines()]
        return [one["msg"] for one in records if one.get("process") == name and "stream" in one]

    def until(self, line: str, name: str = "main") -> None:
        wait_for(lambda: line in self.lines(name) or self.process.poll() is not None, f"{line} of {name}")
        assert line in self.lines(name), self.out.read_text() + self.err.read_text()


class Begin(Protocol):
    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> Ran: ...


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Ran] = []

    def start(*words: str, before: tuple[str, ...] = ()) -> Ran:
        begun.append(Ran(tmp_path, *words, before=before))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(DEADLINE_S)


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "CBOX_INIT_GLOBAL_API_SOCKET": str(folder / "s"), "HOME": str(folder)}


def done(folder: Path, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(folder),
        cwd=folder,
        check=False,
    )


def shown(output: str, name: str = "main") -> list[str]:
    records = [json.loads(line) for line in output.splitlines()]
    return [one["msg"] for one in records if one.get("process") == name and "stream" in one]


def test_the_command_gets_its_words_as_they_are_and_no_variable_of_run(tmp_path: Path) -> None:
    ran = done(tmp_path, "run", "--", sys.executable, "-c", SHOW, *WORDS)
    assert ran.returncode == 0, ran.stderr
    words, environ = json.loads(shown(ran.stdout)[0])
    assert words == WORDS
    assert environ["CBOX_INIT_INSTANCE_ID"] == "main-0"
    added = {name for name in environ if name not in environment(tmp_path)}
    assert {name for name in added if name.startswith("CBOX_INIT_PROCESS_")} == {"CBOX_INIT_PROCESS_NAME"}


def test_its_input_is_that_of_the_daemon_and_its_code_that_of_the_container(tmp_path: Path) -> None:
    ran = done(tmp_path, "run", "--", "sh", "-c", "read line; echo got $line; exit 7", text="some\nwords\n")
    assert ran.returncode == 7
    assert shown(ran.stdout) == ["got some"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--", "no-such-program"), 127, "command not found: 'no-such-program'"),
        (("--", "./no-such-program"), 127, "no such file"),
        (("--", "/etc/passwd"), 126, "not executable"),
        (("--", "/etc"), 126, "it is a directory"),
        (("--",), 1, "no command"),
        ((), 1, "no command"),
        (("--name", "a b", "--", "true"), 1, "processes.a b"),
    ],
)
def test_what_cannot_be_run_is_one_line(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ran = done(tmp_path, "run", *words)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert said in ran.stderr


def test_processes_of_a_file_run_beside_it_and_end_with_it(begin: Begin, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("""
processes:
  other: {command: [sh, -c, "trap 'echo ends; exit 0' TERM; echo up; while :; do sleep 0.02; done"]}
  app: {command: [never, used], env: {WORD: of-the-file}, depends_on: [other]}
""")
    ran = begin("run", "-c", str(config), "--name", "app", "--", "sh", "-c", f"echo $WORD; {TRAPS}")
    ran.until("ready", "app")
    ran.process.send_signal(signal.SIGHUP)  # the file is read again, and the main process is still its own
    wait_for(lambda: "Configuration reloaded" in ran.out.read_text(), ran.out.read_text())
    ran.process.send_signal(signal.SIGUSR2)
    ran.until("got USR2", "app")
    ran.process.send_signal(signal.SIGTERM)
    assert ran.process.wait(DEADLINE_S) == 9
    said = [line for line in ran.lines("app") if line != "Terminated"]  # the shell, of its sleep
    assert said == ["of-the-file", "ready", "got USR2", "got TERM"]
    assert {"up", "ends"} <= set(ran.lines("other"))


@needs_namespace
@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGQUIT])
def test_signals_of_pid_1_go_on_to_it(begin: Begin, last: signal.Signals) -> None:
    ran = begin("run", "--", "sh", "-c", TRAPS, before=tuple(AS_PID_1))
    ran.until("ready")
    with open(f"/proc/{ran.process.pid}/task/{ran.process.pid}/children") as file:
        pid = int(file.read().split()[0])
    for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        os.kill(pid, signum)
        ran.until(f"got {signum.name.removeprefix('SIG')}")
    os.kill(pid, last)
    assert ran.process.wait(DEADLINE_S) == 9
    assert ran.lines()[-1] == f"got {last.name.removeprefix('SIG')}"


def test_an_end_by_a_signal_is_128_and_its_number(begin: Begin) -> None:
    ran = begin("run", "--", "sh", "-c", "echo ready; exec sleep 1000")
    ran.until("ready")
    ran.process.send_signal(signal.SIGTERM)
    assert ran.process.wait(DEADLINE_S) == 128 + signal.SIGTERM


def test_on_a_terminal_it_is_a_shell_with_job_control(tmp_path: Path) -> None:
    """Ctrl-C interrupts what the shell runs, and neither the shell nor the daemon."""
    environ = {**environment(tmp_path), "PS1": "prompt> "}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(COMMAND[0], [*COMMAND, "run", "--", "bash", "--norc"], environ)
    steps = [
        ("prompt> ", b"sh -c 'echo started-$((40+2)); exec sleep 1000'\n"),
        ("started-42", b"\x03"),
        ("prompt> ", b"read -p wo'rd? ' word; echo got-$word; exit 9\n"),
        ("word? ", b"some\n"),
    ]
    ended = False
    seen, since, end = "", 0, time.monotonic() + DEADLINE_S
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(terminal, 4096)
            except OSError:  # its other end is closed
                ended = True
                break
            seen += data.decode(errors="replace")
            if steps and steps[0][0] in seen[since:]:
                since = len(seen)
                os.write(terminal, steps.pop(0)[1])
        assert ended, seen
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9, seen
        pid = 0
    finally:
        os.close(terminal)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert "got-some" in seen
    assert "Cbox Init starting" not in seen
