"""``fleet`` against daemons, and addresses at which none answers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Done, Run

_CONFIG = """
global: {api_enabled: true, api_host: 127.0.0.1, api_port: PORT, api_socket: SOCKET, api_auth: TOKEN}
processes:
  web: {command: [sh, -c, "echo hello from NAME; exec sleep 1000"]}
  MORE: {command: [sleep, "1000"]}
"""


class Two(NamedTuple):
    """A file with two daemons."""

    file: str
    urls: tuple[str, str]

    def list(self, cbox: Run) -> list[list[str]]:
        done = cbox("fleet", "list", "-f", self.file)
        assert (done.code, done.err) == (0, "")
        return [line.split() for line in done.out.splitlines()]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    daemons, lines, urls = [], ["targets:"], []
    for name, more in (("one", "queue"), ("two", "cache")):
        port = free_port()
        text = _CONFIG.replace("PORT", str(port)).replace("TOKEN", f"token-of-{name}")
        folder = tmp_path_factory.mktemp(name)
        daemons.append(DaemonProcess(folder, text.replace("NAME", name).replace("MORE", more)))
        urls.append(f"http://127.0.0.1:{port}")
        lines.append(f"  - {{name: {name}, url: '{urls[-1]}', token: token-of-{name}}}")
    file = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    file.write_text("\n".join(lines))
    try:
        for daemon in daemons:
            wait_for(lambda daemon=daemon: daemon.lines("web"), "web has spoken")  # type: ignore[misc]
        yield Two(str(file), (urls[0], urls[1]))
    finally:
        for daemon in daemons:
            daemon.end()


def test_list(cbox: Run, two: Two) -> None:
    lines = two.list(cbox)
    assert lines[0][:6] == ["DAEMON", "NAME", "STATUS", "SCALE", "RESTARTS", "UPTIME"]
    assert [line[:4] for line in lines[1:]] == [
        ["one", "web", "running", "1/1"],
        ["one", "queue", "running", "1/1"],
        ["two", "web", "running", "1/1"],
        ["two", "cache", "running", "1/1"],
    ]


def test_status_and_json(cbox: Run, two: Two) -> None:
    done = cbox("fleet", "status", "-f", two.file)
    assert (done.code, done.err) == (0, "")
    header, *rows = (line.split() for line in done.out.splitlines())
    assert header == ["DAEMON", "VERSION", "UPTIME", "PROCESSES", "RUNNING", "FAILED", "RESTARTS", "MEMORY"]
    assert [[row[0], row[3], row[4], row[5]] for row in rows] == [
        ["one", "2", "2/2", "0"],
        ["two", "2", "2/2", "0"],
    ]
    done = cbox("fleet", "list", "-f", two.file, "--json")
    assert done.out, done.err
    found = json.loads(done.out)["daemons"]
    assert [(one["name"], one["address"], one["error"]) for one in found] == [
        ("one", two.urls[0], None),
        ("two", two.urls[1], None),
    ]
    assert [entry["name"] for entry in found[1]["processes"]] == ["web", "cache"]
    status = json.loads(cbox("fleet", "status", "-f", two.file, "--json", "--only", "two").out)["daemons"]
    assert [one["daemon"]["counts"]["processes"] for one in status] == [2]


def test_targets_of_the_usual_file(cbox: Run, two: Two, tmp_path: Path) -> None:
    done = cbox("fleet", "targets", env={"CBOX_INIT_FLEET": two.file})
    assert [line.split() for line in done.out.splitlines()] == [
        ["DAEMON", "ADDRESS"],
        ["one", two.urls[0]],
        ["two", two.urls[1]],
    ]
    done = cbox("fleet", "targets", env={"HOME": str(tmp_path)})
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        f"cbox-init: which daemons? {tmp_path}/.cbox/init/fleet.yaml does not exist; give"
    )
    both = cbox("--url", "http://a:1", "fleet", "targets", "--target", "http://b:2", "--json")
    assert json.loads(both.out) == {
        "daemons": [{"name": "b:2", "address": "http://b:2"}, {"name": "a:1", "address": "http://a:1"}]
    }


def test_logs_of_all(cbox: Run, two: Two) -> None:
    done = cbox("fleet", "logs", "web", "-f", two.file, "--grep", "hello")
    assert (done.code, done.err) == (0, "")
    lines = sorted(line.split() for line in done.out.splitlines())
    assert [line[0] for line in lines] == ["one", "two"]
    assert lines[0][2:] == ["web-0", "INFO", "hello", "from", "one"]
    found = json.loads(cbox("fleet", "logs", "-f", two.file, "--tail", "1", "--json").out)["logs"]
    assert len(found) == 1


def test_daemons_that_do_not_answer_are_said_and_delay_nobody(cbox: Run, two: Two) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        nothing = f"http://127.0.0.1:{free_port()}"
        targets = ("--target", f"http://127.0.0.1:{port}", "--target", nothing, "--timeout", "0.5")
        done = cbox("fleet", "list", "-f", two.file, *targets)
        assert done.code == 1
        assert [line.split()[0] for line in done.out.splitlines()] == ["DAEMON", "one", "one", "two", "two"]
        errors = done.err.splitlines()
        assert [error.split()[1] for error in errors] == [f"127.0.0.1:{port}:", f"{nothing[7:]}:"]
    wrong = cbox("fleet", "status", "--target", two.urls[0], env={"CBOX_INIT_API_AUTH": "wrong"})
    assert wrong.code == 1
    assert "token" in wrong.err


def pids(cbox: Run, two: Two, name: str) -> list[int]:
    found = json.loads(cbox("fleet", "list", "-f", two.file, "--json").out)["daemons"]
    entries = [entry for one in found for entry in one["processes"] if entry["name"] == name]
    return [instance["pid"] for entry in entries for instance in entry["instances"]]


def test_commands_for_all(cbox: Run, two: Two) -> None:
    before = pids(cbox, two, "web")
    done = cbox("fleet", "restart", "web", "-f", two.file, "--rolling")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["one: web: running, 1/1", "two: web: running, 1/1"]
    after = pids(cbox, two, "web")
    assert len(after) == 2
    assert not set(before) & set(after)
    done = cbox("fleet", "stop", "queue", "web", "-f", two.file, "--only", "on*")
    assert done.out.splitlines() == ["one: queue: stop initiated", "one: web: stop initiated"]
    done = cbox("fleet", "start", "queue", "web", "-f", two.file, "--rolling")
    assert (done.code, done.err) == (0, "")
    done = cbox("fleet", "scale", "cache", "2", "-f", two.file, "--rolling")
    assert (done.code, done.out, done.err) == (0, "two: cache: running, 2/2\n", "")
    assert cbox("fleet", "scale", "cache", "1", "-f", two.file, "--rolling").code == 0


def failed(done: Done) -> list[str]:
    assert done.code == 1
    return done.err.splitlines()


def test_commands_that_fail(cbox: Run, two: Two) -> None:
    assert failed(cbox("fleet", "restart", "wep", "-f", two.file)) == [
        "cbox-init: no daemon has a process 'wep'; did you mean 'web'?"
    ]
    nothing = f"http://127.0.0.1:{free_port()}"
    done = cbox("fleet", "restart", "web", "--target", nothing, "-f", two.file, "--rolling")
    assert done.out == ""
    assert failed(done)[1] == "cbox-init: the daemons after this one were left as they are"
    assert failed(cbox("fleet", "list", "-f", two.file, "--only", "three")) == [
        "cbox-init: no daemon matches three; there are one, two"
    ]
