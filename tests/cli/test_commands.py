"""The commands against a real daemon, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from cbox_init import __version__
from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for

from .conftest import environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Run


def pids(cbox: Run, name: str) -> list[int]:
    return [one["pid"] for one in json.loads(cbox("status", name, "--json").out)["instances"]]


def test_list(with_daemon: Run) -> None:
    done = with_daemon("list")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][:5] == ["NAME", "STATUS", "SCALE", "RESTARTS", "UPTIME"]
    assert lines[0][5:] == ["PID/READY", "CPU", "MEMORY", "HEALTH", "WHY"]
    assert [line[:4] for line in lines[1:]] == [
        ["db", "running", "1/1", "0"],
        ["web", "running", "2/2", "0"],
        ["migrate", "completed", "0/1", "0"],
        ["late", "stopped", "0/1", "0"],
    ]
    assert re.fullmatch(r"\d+s", lines[1][4])
    assert lines[4][4] == "-"


def test_history(with_daemon: Run) -> None:
    done = with_daemon("history")
    assert (done.code, done.err) == (0, "")
    header, row = (line.split() for line in done.out.splitlines())
    assert header == ["STARTED", "INSTANCE", "TRIGGER", "TOOK", "EXIT", "RESULT"]
    assert row[1:3] == ["migrate-0", "startup"]
    assert row[4:] == ["0", "success"]
    (execution,) = json.loads(with_daemon("history", "migrate", "--json").out)["executions"]
    assert (execution["process_name"], execution["exit_code"]) == ("migrate", 0)
    assert with_daemon("history", "web").out.split() == header
    done = with_daemon("history", "migarte")
    assert (done.code, done.err) == (1, "cbox-init: no process is named 'migarte'; did you mean 'migrate'?\n")


def test_list_for_programs(with_daemon: Run) -> None:
    done = with_daemon("list", "--json")
    assert done.out.count("\n") == 1
    assert [entry["name"] for entry in json.loads(done.out)["processes"]] == ["db", "web", "migrate", "late"]


def test_status_of_the_daemon(with_daemon: Run, daemon: DaemonProcess) -> None:
    done = with_daemon("status")
    assert (done.code, done.err) == (0, "")
    facts = dict(line.split(":", 1) for line in done.out.splitlines())
    assert facts["PID"].strip() == str(daemon.pid)
    assert facts["Config"].strip() == str(daemon.config)
    assert facts["Processes"].strip() == "4, 0 with a schedule"
    assert facts["Loop lag"].strip().endswith(" max")
    reply = json.loads(with_daemon("status", "--json").out)
    assert (reply["pid"], reply["version"]) == (daemon.pid, __version__)
    assert reply["loop"]["turns"] > 0


def test_status(with_daemon: Run) -> None:
    done = with_daemon("status", "web")
    assert (done.code, done.err) == (0, "")
    facts = dict(line.split(":", 1) for line in done.out.splitlines() if ":" in line)
    assert facts["Name"].strip() == "web"
    assert facts["Scale"].strip() == "2/2"
    assert set(facts) == {"Name", "Type", "Status", "Scale", "Restarts", "Instances", "CPU", "Memory"}
    assert re.search(r"^  web-1 +\d+ +running +\d+s +0$", done.out, re.MULTILINE)
    assert json.loads(with_daemon("status", "web", "--json").out)["name"] == "web"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "wbe"],
        ["start", "wbe"],
        ["scale", "wbe", "2"],
        ["logs", "wbe"],
        ["logs", "-f", "db", "wbe"],
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(with_daemon: Run, arguments: list[str]) -> None:
    done = with_daemon(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err == "cbox-init: no process is named 'wbe'; did you mean 'web'?\n"


def test_stop_and_start_and_wait(with_daemon: Run) -> None:
    done = with_daemon("stop", "db", "web", "--wait")
    lines = done.out.splitlines()
    assert lines[:4] == ["db: stop initiated", "web: stop initiated", "  db-0: stopped", "db: stopped, 0/1"]
    assert sorted(lines[4:]) == ["  web-0: stopped", "  web-1: stopped", "web: stopped, 0/2"]
    assert (done.code, done.err) == (0, "")
    assert with_daemon("list").code == 0  # what was stopped by hand need not run
    done = with_daemon("start", "db", "web", "--wait", "--json")
    replies = [json.loads(line) for line in done.out.splitlines()]
    assert replies[0] == {
        "message": "start initiated",
        "process": "db",
        "change": replies[2]["id"],
    }
    ends = [(reply["kind"], reply["process"], reply["status"]) for reply in replies[2:]]
    assert ends == [("start", "db", "done"), ("start", "web", "done")]


def test_restart_and_wait_replaces_every_instance(with_daemon: Run) -> None:
    before = pids(with_daemon, "web")
    assert with_daemon("restart", "web", "--wait").out.splitlines() == [
        "web: restart initiated",
        "  web-0: running",
        "  web-1: running",
        "web: running, 2/2",
    ]
    after = pids(with_daemon, "web")
    assert len(after) == 2
    assert not set(before) & set(after)
    assert with_daemon("restart", "migrate", "--wait").out.endswith("migrate: completed, 0/1\n")


def test_scale(with_daemon: Run) -> None:
    lines = with_daemon("scale", "web", "4", "--wait").out.splitlines()
    assert (lines[0], lines[-1]) == ("web: scale initiated", "web: running, 4/4")
    assert sorted(lines[1:-1]) == ["  web-2: running", "  web-3: running"]
    assert with_daemon("scale", "web", "-1").out == "web: scaled by -1\n"
    assert len(pids(with_daemon, "web")) == 3
    scaled = json.loads(with_daemon("scale", "web", "+1", "--json").out)
    del scaled["change"]
    assert scaled == {"status": "scaled", "process": "web", "delta": 1}
    assert with_daemon("scale", "web", "-1", "--wait").out.endswith("web: running, 3/3\n")
    assert with_daemon("scale", "web", "+1", "--no-wait").out == "web: scaled by +1\n"
    assert with_daemon("scale", "web", "2", "--json", "--wait").code == 0
    assert len(pids(with_daemon, "web")) == 2


def test_changes(with_daemon: Run) -> None:
    with_daemon("stop", "migrate", "--wait")
    done = with_daemon("changes", "--process", "migrate", "--limit", "1")
    header, line = done.out.splitlines()
    assert header.split()[:4] == ["ID", "KIND", "PROCESS", "STATUS"]
    identity, *cells = line.split()
    assert cells[:3] == ["stop", "migrate", "done"]
    shown = with_daemon("changes", identity).out.splitlines()
    assert shown[:2] == ["migrate: stop is done", f"asked for by uid:{os.getuid()}"]
    assert json.loads(with_daemon("changes", identity, "--json").out)["id"] == identity
    assert with_daemon("changes", identity, "--wait").code == 0
    done = with_daemon("changes", identity, "--abandon")
    assert (done.code, done.err) == (1, f"cbox-init: cannot abandon {identity}: it has ended (done)\n")
    assert "there is no change 'x'" in with_daemon("changes", "x").err
    assert "--wait needs the ID of a change" in with_daemon("changes", "--wait").err
    with_daemon("start", "migrate", "--wait")


def test_what_the_daemon_refuses_is_one_line(with_daemon: Run) -> None:
    done = with_daemon("scale", "migrate", "3")
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch("cbox-init: .*oneshot.*\n", done.err)
    done = with_daemon("restart", "nobody", "migrate")
    assert (done.code, done.out) == (1, "migrate: restart initiated\n")
    assert done.err == "cbox-init: no process is named 'nobody'; there are db, web, migrate, late\n"


def test_start_and_wait_in_vain(with_daemon: Run) -> None:
    with_daemon("scale", "late", "0")
    done = with_daemon("start", "late", "--wait")
    assert (done.code, done.err) == (
        1,
        "cbox-init: late: start failed: its scale is 0; scale it to have instances\n",
    )
    with_daemon("stop", "late", "--wait")
    with_daemon("scale", "late", "1")


def test_logs_oldest_first(with_daemon: Run) -> None:
    done = with_daemon("logs", "web")
    assert (done.code, done.err) == (0, "")
    lines = [line.split(maxsplit=3) for line in done.out.splitlines()]
    assert lines == sorted(lines, key=lambda line: line[0])
    assert ["web-1", "INFO", "hello from 8001"] in [line[1:] for line in lines]
    assert with_daemon("logs", "web", "--tail", "1").out == done.out.splitlines()[-1] + "\n"
    assert with_daemon("logs", "--tail", "0").out == ""


def test_logs_of_several_and_of_all(with_daemon: Run) -> None:
    several = [json.loads(line) for line in with_daemon("logs", "db", "migrate", "--json").out.splitlines()]
    assert {entry["process"] for entry in several} == {"db", "migrate"}
    assert [entry["timestamp"] for entry in several] == sorted(entry["timestamp"] for entry in several)
    everything = [json.loads(line) for line in with_daemon("logs", "--json").out.splitlines()]
    assert {entry["process"] for entry in everything} == {"db", "web", "migrate"}
    assert with_daemon("logs", "--level", "error").out == ""
    assert with_daemon("logs", "--json", "--level", "all").out == with_daemon("logs", "--json").out


def test_an_empty_option_is_none(with_daemon: Run) -> None:
    """As from a variable that is not set: ``--url "$URL"``."""
    assert with_daemon("list", "--url", "", "--token", "", "-c", "").out.startswith("NAME")


def test_a_configuration_file_says_where_its_daemon_is(daemon: DaemonProcess) -> None:
    file = str(daemon.config)
    found = [run("-c", file, "list"), run("list", "-c", file)]
    assert [done.code for done in found] == [found[0].code] * 2
    assert all("migrate" in done.out for done in found), found
    missing = run("-c", f"{file}.gone", "list")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err.startswith(f"cbox-init: cannot read {file}.gone: ")


def test_follow_shows_the_tail_and_what_comes_until_interrupted(
    with_daemon: Run, daemon: DaemonProcess
) -> None:
    follower = subprocess.Popen(
        [*COMMAND, "--socket", str(daemon.socket), "logs", "-f", "--tail", "1", "db", "migrate", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout
    json.loads(follower.stdout.readline())
    with_daemon("restart", "migrate")
    entry = json.loads(follower.stdout.readline())
    assert (entry["process"], entry["message"]) == ("migrate", "migrated")
    follower.send_signal(signal.SIGINT)
    rest, errors = follower.communicate(timeout=30)
    assert (follower.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize("arguments", [["logs"], ["logs", "-f"], ["list"]])
def test_a_reader_that_leaves_is_no_error(
    with_daemon: Run, daemon: DaemonProcess, arguments: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    command = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(CBOX_INIT_API_SOCKET=str(daemon.socket)),
    )
    os.close(write)
    _, errors = command.communicate(timeout=30)
    assert (command.returncode, errors) == (0, "")


def test_a_full_disk_is_an_error(daemon: DaemonProcess) -> None:
    with open("/dev/full", "w") as full:
        command = subprocess.run(
            [*COMMAND, "--socket", str(daemon.socket), "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert command.returncode == 1
    assert command.stderr == "cbox-init: cannot write the output: No space left on device\n"


def test_no_standard_output_at_all(with_daemon: Run, daemon: DaemonProcess) -> None:
    script = f'exec "$@" --socket {daemon.socket} >&-'
    command = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "list"], stderr=subprocess.PIPE, text=True, timeout=30
    )
    assert (command.returncode, command.stderr) == (0, "")


def test_a_process_that_should_run_and_does_not(serve_broken: DaemonProcess, cbox: Run) -> None:
    target = ("--socket", str(serve_broken.socket))
    wait_for(lambda: " failed " in cbox(*target, "list").out, "broken has failed")
    done = cbox("list", *target)
    assert (done.code, done.err) == (1, "")
    assert json.loads(cbox("list", "--json", *target).out)["processes"]
    done = cbox("start", "broken", "--wait", *target)
    assert done.code == 1
    assert re.fullmatch("cbox-init: broken: start failed: broken-0: .*no such file.*\n", done.err)


@pytest.fixture
def serve_broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    text = (
        "global: {api_socket: SOCKET, max_restart_attempts: 1, restart_backoff: 0.05}\n"
        "processes:\n"
        "  fine: {command: [sleep, '1000']}\n"
        "  broken: {command: [/nonexistent]}\n"
    )
    daemon = DaemonProcess(tmp_path_factory.mktemp("broken"), text)
    try:
        wait_for(daemon.socket.exists, "the socket is there")
        yield daemon
    finally:
        daemon.end()


def test_version(cbox: Run) -> None:
    assert cbox("version", "-s") == (0, f"{__version__}\n", "")
    assert cbox("--version") == (0, f"cbox-init {__version__}\n", "")
    assert cbox("version").out.startswith(f"cbox-init {__version__} (Python 3.")


def test_instances_patterns_and_all(with_daemon: Run) -> None:
    done = with_daemon("restart", "web-1", "--wait")
    assert done.out.splitlines() == ["web-1: restart initiated", "  web-1: running", "web: running, 2/2"]
    done = with_daemon("signal", "CONT", "web", "web-0", "w*")
    assert done.out.splitlines() == ["web: SIGCONT sent", "web-0: SIGCONT sent", "web: signal initiated"]
    assert with_daemon("stop", "d?", "--wait").out.splitlines() == [
        "db: stop initiated",
        "  db-0: stopped",
        "db: stop is done",
    ]
    done = with_daemon("restart", "web-7")
    assert (done.code, done.err.splitlines()[0][:42]) == (1, "cbox-init: no process is named 'web-7'; di")
    done = with_daemon("signal", "NOPE", "web")
    assert (done.code, "'NOPE' is no signal" in done.err) == (1, True)
    done = with_daemon("restart", "@none")
    assert (done.code, "no process matches '@none'" in done.err) == (1, True)


def test_logs_of_an_instance_and_of_a_pattern(with_daemon: Run) -> None:
    def found(*names: str) -> set[str]:
        lines = with_daemon("logs", "--json", "-n", "1000", *names).out.splitlines()
        return {json.loads(line)["instance"] for line in lines}

    assert found("web-1") == {"web-1"}
    assert found("w*") >= {"web-0", "web-1"}
    assert "db-0" not in found("w*")
    assert found("web-1", "web-0") == {"web-0", "web-1"}
    assert found("all") >= {"web-0", "web-1", "db-0", "migrate-0"}
    done = with_daemon("logs", "web-1", "db")
    assert (done.code, "ids of instances (web-1) stand alone: leave db out" in done.err) == (2, True)
    done = with_daemon("tail", "web-9")
    assert (done.code, done.out) == (1, "") and "no process is named 'web-9'" in done.err


def test_times_are_those_of_the_zone(with_daemon: Run) -> None:
    zone = {"TZ": "XYZ-5"}
    local = with_daemon("logs", "db", env=zone).out.split()[0]
    utc = with_daemon("logs", "db", "--utc", env=zone).out.split()[0]
    assert (local[-6:], utc[-1:]) == ("+05:00", "Z")
    assert with_daemon("--utc", "logs", "db", env=zone).out.split()[0] == utc
    record = with_daemon("logs", "db", "-n", "1", "--json", env=zone).out
    assert json.loads(record)["timestamp"].endswith("Z")
