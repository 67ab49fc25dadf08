"""How a command waits: what it shows of each instance, and how it ends."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from cbox_init.cli.waiting import wait_for
from cbox_init.client import Client
from cbox_init.errors import ClientError
from tests.client.fake import Answer, fake_daemon
from tests.e2e.daemon import COMMAND
from tests.e2e.daemon import wait_for as until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

CHANGE = "/api/v1/changes/5a-1"


def entry(status: str = "doing", *steps: dict[str, Any], **members: object) -> dict[str, object]:
    return {
        "id": "5a-1",
        "kind": "restart",
        "process": "web",
        "status": status,
        "actor": {"type": "socket", "id": "uid:0"},
        "started_at": "2026-11-24T10:49:28.120Z",
        "progress": {"done": sum(one["status"] == "done" for one in steps), "total": 2},
        "instances": steps,
        "version": len(steps),
        **members,
    }


def step(index: int, status: str = "done", **members: object) -> dict[str, Any]:
    state = "running" if status == "done" else "failed"
    return {"id": f"web-{index}", "process": "web", "status": status, "state": state, **members}


def waited(path: str, *entries: dict[str, object], timeout_s: float = 20) -> list[str]:
    """The lines that are shown when the daemon answers like this."""
    said: list[str] = []
    with fake_daemon(path) as daemon, Client.connect(socket=path) as client:
        daemon.any_query = True
        daemon.answers[f"GET {CHANGE}"] = [Answer(one) for one in entries]
        wait_for(client, "5a-1", timeout_s, said.append)
        queries = [sent.path.partition("seen=")[2] for sent in daemon.sent]
    assert queries == ["", *(str(one["version"]) for one in entries[:-1])]
    return said


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "api.sock")


def test_each_instance_is_shown_once(path: str) -> None:
    answers = (entry(), entry("doing", step(0)), entry("done", step(0), step(1)))
    assert waited(path, *answers) == ["web-0: running", "web-1: running"]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (entry("failed", reason="web-0: exit code 3"), "web: restart failed: web-0: exit code 3"),
        (entry("aborted", reason="it was removed"), "web: restart was aborted: it was removed"),
        (
            entry("superseded", reason="a later command stopped it"),
            "web: restart was superseded: a later command stopped it",
        ),
    ],
)
def test_a_bad_end_is_an_error(path: str, last: dict[str, object], message: str) -> None:
    with pytest.raises(ClientError) as raised:
        waited(path, last)
    assert str(raised.value) == message


def test_a_failed_instance_is_shown_with_its_last_line(path: str) -> None:
    said: list[str] = []
    failed = step(0, "failed", reason="exit code 3", last_output=["one", "two"])
    with fake_daemon(path) as daemon, Client.connect(socket=path) as client:
        daemon.answers[f"GET {CHANGE}"] = Answer(entry("failed", failed, reason="web-0: exit code 3"))
        with pytest.raises(ClientError):
            wait_for(client, "5a-1", 20, said.append)
    assert said == ["web-0: failed: exit code 3; its last output: two"]


def test_what_is_not_done_in_time_goes_on(path: str) -> None:
    with pytest.raises(ClientError) as raised:
        waited(path, entry(reason="waiting for db"), timeout_s=0)
    assert str(raised.value) == (
        "web: restart is not done after 0 s: 0/2, waiting for db; it continues; "
        "`cbox-init changes 5a-1` shows its progress"
    )


def test_an_older_daemon_does_not_say_it(path: str) -> None:
    with fake_daemon(path), Client.connect(socket=path) as client, pytest.raises(ClientError, match="older"):
        wait_for(client, UNSET, 1)


def test_ctrl_c_ends_the_wait_alone(path: str) -> None:
    with fake_daemon(path) as daemon:
        daemon.any_query = True
        reply = {"message": "restart initiated", "process": "web", "change": "5a-1"}
        daemon.answers["POST /api/v1/processes/web/restart"] = Answer(reply, 202)
        daemon.answers[f"GET {CHANGE}"] = Answer(entry())
        command = subprocess.Popen(
            ["env", "--default-signal=INT", *COMMAND, "--socket", path, "restart", "web", "--wait"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: len(daemon.sent) > 2, "it waits")
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=30)
    assert (command.returncode, out) == (130, "web: restart initiated\n")
    assert err == (
        "cbox-init: stopped waiting; the command remains in effect: "
        "`cbox-init changes 5a-1` shows its progress\n"
    )


def test_a_reload_waits_for_what_it_has_changed(path: str, cbox: Run) -> None:
    reply: dict[str, object] = {
        name: [] for name in ("added", "adjusted", "removed", "kept", "needs_restart", "warnings")
    }
    with fake_daemon(path) as daemon:
        daemon.any_query = True
        daemon.answers["POST /api/v1/config/reload"] = Answer(
            {"status": "reloaded", "message": "", "changed": ["web"], "change": "5a-1", **reply}
        )
        daemon.answers[f"GET {CHANGE}"] = Answer(entry("done", step(0), kind="reload", process="*"))
        done = cbox("--socket", path, "reload-config", "--wait")
        assert done == (0, "changed:  web\nkept:     0\n  web-0: running\n", "")
        failed = entry("failed", kind="reload", process="*", reason="web: web-0: exit code 3")
        daemon.answers[f"GET {CHANGE}"] = Answer(failed)
        done = cbox("--socket", path, "reload-config", "--wait")
        assert (done.code, done.err) == (
            1,
            "cbox-init: configuration: reload failed: web: web-0: exit code 3\n",
        )
        assert cbox("--socket", path, "reload-config").code == 0
