"""``cbox-init exec NAME -- CMD``: a command in the environment, user and directory of a process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from cbox_init.process_context import ContextError, Running, of_running
from tests.e2e.daemon import AS_PID_1, COMMAND, DEADLINE_S, as_user, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start children as another user")
SECRET = "correct-horse-battery"
SHOW = """
import json, os
mask = os.umask(0)
print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), os.getcwd(), mask, dict(os.environ)]))
raise SystemExit(4)
"""
#: Overwrites its environment, as programs do that set their title.
TITLE = """
import ctypes, time
fields = open('/proc/self/stat').read().rpartition(')')[2].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, 120, end - start)
print('overwritten', flush=True)
time.sleep(1000)
"""
TEXT = f"""
global: {{api_socket: SOCKET, api_socket_mode: "666"}}
processes:
  web:
    command: [sh, -c, "cd /usr; echo ready; exec sleep 1000"]
    scale: 2
    port_base: 7000
    umask: "027"
    env: {{WORD: given, DB_PASSWORD: {SECRET}}}
  title: {{command: [PYTHON, -c, {json.dumps(TITLE)}], env: {{WORD: of-the-title}}, working_dir: /usr}}
  off: {{command: [sleep, "1000"], initial_state: stopped, working_dir: /usr, env: {{WORD: of-the-file}}}}
"""
AS_OTHERS = ", user: www-data, group: nogroup"


def running(serve: Serve, text: str = TEXT, *, pid_1: bool = False) -> DaemonProcess:
    daemon = serve(text.replace("PYTHON", sys.executable), pid_1=pid_1)
    daemon.folder.chmod(0o755)
    daemon.folder.parent.chmod(0o755)
    wait_for(lambda: "ready" in daemon.lines("web"), daemon.errors())
    return daemon


def done(
    daemon: DaemonProcess, *words: str, command: tuple[str, ...] = tuple(COMMAND)
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "exec", "-c", str(daemon.config), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def shown(daemon: DaemonProcess, name: str) -> tuple[int, int, list[int], str, int, dict[str, str]]:
    ran = done(daemon, name, "--", sys.executable, "-c", SHOW)
    assert ran.returncode == 4, ran.stderr
    assert ran.stderr == ""
    uid, gid, groups, directory, mask, environ = json.loads(ran.stdout)
    return uid, gid, groups, directory, mask, environ


def test_a_command_runs_as_the_process_does(serve: Serve) -> None:
    daemon = running(serve)
    *_, directory, mask, environ = shown(daemon, "web")
    assert (directory, mask) == ("/usr", 0o027)
    assert environ["WORD"] == "given"
    assert environ["DB_PASSWORD"] == SECRET
    assert environ["CBOX_INIT_INSTANCE_ID"] == "web-0"
    assert environ["PORT"] == "7000"
    assert shown(daemon, "web-1")[-1]["PORT"] == "7001"

    wait_for(lambda: "overwritten" in daemon.lines("title"), daemon.errors())
    *_, directory, _, environ = shown(daemon, "title")
    assert (directory, environ["WORD"]) == ("/usr", "of-the-title")

    *_, directory, _, environ = shown(daemon, "off")
    assert (directory, environ["WORD"], environ["CBOX_INIT_INSTANCE_ID"]) == ("/usr", "of-the-file", "off-0")
    assert "CBOX_INIT_GLOBAL_API_SOCKET" not in environ or "CBOX_INIT_GLOBAL_API_SOCKET" in os.environ


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("web", "--", "./no-such-program"), 127, "command not found: './no-such-program'"),
        (("web", "--", "/etc/passwd"), 126, "not executable"),
        (("wev", "--", "id"), 1, "no process is named 'wev'; did you mean 'web'?"),
        (("web", "--"), 2, "no command"),
        (("web",), 2, "no command"),
    ],
)
def test_what_cannot_be_run_is_one_line(serve: Serve, words: tuple[str, ...], code: int, said: str) -> None:
    daemon = running(serve)
    ran = done(daemon, *words)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert said in ran.stderr
    assert SECRET not in ran.stderr


def test_the_main_process_of_run_is_in_no_file(tmp_path: Path) -> None:
    environ = {**os.environ, "CBOX_INIT_GLOBAL_API_SOCKET": str(tmp_path / "s"), "HOME": str(tmp_path)}
    words = [*COMMAND, "run", "--", sys.executable, "-c", TITLE]
    with (tmp_path / "out").open("wb") as out:
        main = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, env=environ)
    try:
        wait_for(lambda: "overwritten" in (tmp_path / "out").read_text(), "the main process runs")
        ran = subprocess.run(
            [
                *COMMAND,
                "exec",
                "main",
                "--socket",
                str(tmp_path / "s"),
                "--",
                "sh",
                "-c",
                "echo $CBOX_INSTANCE",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert ran.stdout == "main-0\n", ran.stderr
    finally:
        main.terminate()
        main.wait(DEADLINE_S)


def test_without_a_daemon_it_is_the_configuration(tmp_path: Path, serve: Serve) -> None:
    daemon = running(serve)
    assert daemon.stop() == 0
    *_, environ = shown(daemon, "off")
    assert environ["WORD"] == "of-the-file"
    assert shown(daemon, "web-1")[-1]["PORT"] == "7001"


@needs_root
def test_the_user_is_that_of_the_process(serve: Serve) -> None:
    """Also in a container, where root may not look at processes of other users but may become them."""
    text = TEXT.replace('umask: "027"', "user: www-data\n    group: nogroup").replace(
        "initial_state: stopped", f"initial_state: stopped{AS_OTHERS}"
    )
    daemon = running(serve, text)
    container = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", *COMMAND)
    script = "id -u; id -g; pwd; echo $WORD; id -G"
    for name, command, word in (
        ("web", tuple(COMMAND), "given"),
        ("web", container, "given"),
        ("off", container, "of-the-file"),
    ):
        ran = done(daemon, name, "--", "sh", "-c", script, command=command)
        assert ran.stdout.split()[:4] == ["33", "65534", "/usr", word], ran.stderr
        assert ran.stdout.split()[4:] == ["65534"]


@needs_root
def test_what_one_may_not_see_is_one_line(serve: Serve) -> None:
    daemon = running(serve)
    ran = done(daemon, "web", "--", "id", command=as_user(33, 33))
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "no permission to see the environment of web-0" in ran.stderr
    assert SECRET not in ran.stderr


@needs_root
def test_a_daemon_in_another_namespace_is_one_line(serve: Serve) -> None:
    daemon = running(serve, pid_1=True)
    ran = done(daemon, "web", "--", "id")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "run this in the same one" in ran.stderr
    there = done(daemon, "off", "--", "sh", "-c", "echo $WORD", command=(*AS_PID_1, *COMMAND))
    assert there.stdout == "of-the-file\n"


def test_another_process_with_the_pid_is_not_taken_for_it(serve: Serve) -> None:
    daemon = running(serve)
    with Client.connect(socket=str(daemon.socket)) as client:
        instance = client.status("web").instances[0]
    found = Running(instance.id, instance.pid, instance.started_at)
    context = of_running(found, lambda: True)
    assert isinstance(context.directory, int)
    os.close(context.directory)
    with pytest.raises(ContextError, match="has just ended"):
        of_running(found, lambda: False)
    other = subprocess.Popen(["sleep", "1000"])
    try:
        with pytest.raises(ContextError, match="not to be seen from here"):
            of_running(found._replace(pid=other.pid, started_at=time.time() - 60), lambda: True)
    finally:
        other.kill()
        other.wait(DEADLINE_S)
    with pytest.raises(ContextError, match="not to be seen from here"):
        of_running(found._replace(pid=other.pid), lambda: True)


def test_a_command_has_the_terminal_of_the_caller(serve: Serve) -> None:
    daemon = running(serve)
    pid, terminal = pty.fork()
    if pid == 0:
        words = ["exec", "-c", str(daemon.config), "off", "--", "sh", "-c", "tty; echo $TERM; exit 7"]
        os.execvpe(COMMAND[0], [*COMMAND, *words], {**os.environ, "TERM": "vt100"})
    seen = b""
    try:
        while data := os.read(terminal, 4096):
            seen += data
    except OSError:  # its other end is closed
        pass
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert b"/dev/pts/" in seen
    assert b"vt100" in seen
    assert b"off does not run: this is the environment of the configuration" in seen
