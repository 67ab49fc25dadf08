"""Sandboxes as in a container: PID 1 with what Docker gives, and a daemon that is not root."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, as_user, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace and another user need root")

#: What Docker gives.
OF_DOCKER = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,"
    "+sys_chroot,+mknod,+audit_write,+setfcap"
)
LIKE_DOCKER = ("setpriv", "--bounding-set", OF_DOCKER, *COMMAND)
AS_NOBODY = as_user(65534, 65534)
STATUS = "echo $(grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status | cut -f 2); exec sleep 1000"


def test_capabilities_of_another_user_as_pid_1(serve: Serve) -> None:
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  web:
    command: [sh, -c, "{STATUS}"]
    user: nobody
    no_new_privileges: true
    capabilities: {{drop: [ALL], ambient: [NET_BIND_SERVICE]}}
""",
        pid_1=True,
        command=LIKE_DOCKER,
    )
    mine = f"{1 << 10:016x}"
    wait_for(lambda: daemon.lines("web") == [f"65534 {mine} {mine} 1"], daemon.errors())
    assert daemon.stop() == 0


def test_what_is_refused_is_said_in_the_log_and_by_the_api(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  ok: {command: [sleep, "1000"]}
  mounts: {command: [sleep, "1000"], restart: never, user: nobody, private_tmp: true}
  raw: {command: [sleep, "1000"], restart: never, capabilities: {drop: [ALL], add: [CAP_SYS_TIME]}}
""",
        command=LIKE_DOCKER,
    )
    expected = {
        "mounts": "private_tmp cannot be set: mounts of its own need CAP_SYS_ADMIN, which this daemon lacks",
        "raw": "capabilities.add cannot be set: the daemon lacks SYS_TIME: remove it, or give it to the ",
    }
    daemon.until_said("Process instance could not be started", 2)
    errors = {
        record["process"]: str(record["error"])
        for record in daemon.records()
        if record["msg"] == "Process instance could not be started"
    }
    with Client.connect(socket=str(daemon.socket)) as client:
        for name, text in expected.items():
            assert errors[name].startswith(f"processes.{name}.{text}")
            assert "\n" not in errors[name]
            (instance,) = client.status(name).instances
            assert instance.reason and text in instance.reason
    assert daemon.stop() == 0


@pytest.mark.mounts
def test_nginx_in_a_file_system_that_is_read_only(serve: Serve) -> None:
    """A real server: as another user, with one capability, its socket and pid file in a /tmp of its own."""
    temporary = "".join(
        f"{name}_temp_path /tmp/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = (
        "daemon off; pid /tmp/nginx.pid; error_log stderr; events {} "
        f"http {{ access_log off; {temporary} server {{ listen unix:/tmp/nginx.sock; }} }}"
    )
    command = ["sh", "-c", f"cd /; echo '{conf}' > /tmp/conf; exec nginx -c /tmp/conf"]
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  web:
    command: {json.dumps(command)}
    working_dir: /
    user: nobody
    no_new_privileges: true
    capabilities: {{drop: [ALL], ambient: [NET_BIND_SERVICE]}}
    read_only_paths: [/]
    private_tmp: true
    health_check:
      command: [sh, -c, "test -S /tmp/nginx.sock && kill -0 $(cat /tmp/nginx.pid)"]
      initial_delay: 0
      period: 100ms
"""
    )
    daemon.until_said("Process marked as healthy")
    assert not os.path.exists("/tmp/nginx.sock")
    assert daemon.stop() == 0
    assert "Process instance exited with error" not in daemon.messages()


def test_a_daemon_that_is_not_root(serve: Serve, public_path: Path) -> None:
    """Whatever needs no root works, also drop: [ALL]; another user is one clear line."""
    os.chown(public_path, 65534, 65534)
    daemon = serve(
        f"""
global: {{api_socket: {public_path}/api.sock}}
processes:
  web: {{command: [sh, -c, "{STATUS}"], no_new_privileges: true, capabilities: {{drop: [ALL]}}, umask: "077"}}
  other: {{command: [sleep, "1000"], restart: never, user: daemon, no_new_privileges: true}}
""",
        command=AS_NOBODY,
    )
    daemon.until_said("Process instance could not be started")
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    (line,) = daemon.lines("web")
    uid, effective, _, no_new_privileges = str(line).split()
    assert (uid, int(effective, 16), no_new_privileges) == ("65534", 0, "1")
    (error,) = (
        str(record["error"])
        for record in daemon.records()
        if record["msg"] == "Process instance could not be started"
    )
    assert error.startswith("cannot become user daemon (uid 1, gid 1): this daemon runs as uid 65534, and")
    assert daemon.stop() == 0


def test_what_needs_no_root_works_without(serve: Serve, public_path: Path) -> None:
    """Limits that are lowered, hooks, checks, its own user, outputs, runs, a reload, and the API."""
    os.chown(public_path, 65534, 65534)
    script = "trap 'exit 0' TERM; echo $(ulimit -n) $(nice) $(umask); sleep 1000 & wait"
    daemon = serve(
        f"""
global: {{api_socket: {public_path}/api.sock, audit_enabled: true, audit_output: {public_path}/audit}}
hooks: {{post-start: [{{command: [touch, {public_path}/started]}}]}}
processes:
  web:
    command: [sh, -c, "{script}"]
    user: nobody
    hook_user: nobody
    umask: "027"
    limits: {{nofile: 64, nice: 19, oom_score_adj: 900}}
    no_new_privileges: true
    capabilities: {{drop: [ALL]}}
    health_check: {{command: ["true"], initial_delay: 0, period: 100ms}}
    shutdown: {{post_stop_hook: {{command: [touch, {public_path}/stopped]}}}}
    logging: {{outputs: {{file: {{path: {public_path}/web.log}}}}}}
  job: {{command: [echo, ran], schedule: "0 3 1 1 *"}}
""",
        command=AS_NOBODY,
    )
    daemon.until_said("Process marked as healthy")
    wait_for(lambda: daemon.lines("web") == ["64 19 0027"], daemon.output())
    wait_for((public_path / "started").exists, daemon.output())
    with Client.connect(socket=str(public_path / "api.sock")) as client:
        client.trigger("job")
        wait_for(lambda: daemon.lines("job") == ["ran"], "the run of the schedule")
        daemon.config.write_text(daemon.config.read_text().replace("027", "077"))
        assert client.reload_config().changed == ("web",)
        wait_for(lambda: daemon.lines("web")[1:] == ["64 19 0077"], "the instance after the reload")
    assert daemon.stop() == 0
    assert (public_path / "stopped").exists()
    assert "64 19 0077" in (public_path / "web.log").read_text()
    assert (public_path / "audit").stat().st_size > 0
    assert not [record for record in daemon.records() if record.get("level") in ("WARN", "ERROR")]


def test_check_config_says_what_cannot_be_applied_here(tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"
    file.write_text(
        """
processes:
  web:
    command: [sleep, "1000"]
    user: nobody
    private_tmp: true
    capabilities: {drop: [ALL], ambient: [SYS_TIME]}
  other: {command: [sleep, "1000"], user: nobody, read_only_paths: [/etc], enabled: false}
"""
    )
    done = subprocess.run(
        [*LIKE_DOCKER, "check-config", "-c", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "web.private_tmp cannot be applied here: mounts of its own need CAP_SYS_ADMIN, which this" in said
    assert "web.capabilities.ambient cannot be applied here: the daemon lacks SYS_TIME: remove it" in said
    assert "read_only_paths" not in said
