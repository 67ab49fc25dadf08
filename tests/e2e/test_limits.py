"""Limits as in a container: PID 1, root without some capabilities, children of another user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace and another user need root")

#: What Docker does not give.
LIKE_DOCKER = ("setpriv", "--bounding-set", "-sys_resource,-sys_nice", *COMMAND)


def test_limits_of_another_user_as_pid_1(serve: Serve) -> None:
    script = "echo $(id -u) $(ulimit -n) $(ulimit -Hn) $(nice); exec sleep 1000"
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  web:
    command: [sh, -c, "{script}"]
    user: nobody
    scale: 3
    limits: {{nofile: {{soft: 64, hard: 128}}, nice: 19, nproc: 4000}}
""",
        pid_1=True,
        command=LIKE_DOCKER,
    )
    wait_for(lambda: daemon.lines("web").count("65534 64 128 19") == 3, daemon.output() + daemon.errors())
    assert daemon.stop() == 0


def test_what_is_refused_ends_in_the_log_with_its_key(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  files: {command: [sleep, "1000"], restart: never, limits: {nofile: 1000000}}
  nice: {command: [sleep, "1000"], restart: never, limits: {nice: -5}}
  oom: {command: [sleep, "1000"], restart: never, limits: {oom_score_adj: -900}}
""",
        command=LIKE_DOCKER,
    )
    assert daemon.wait() == 1
    errors = {
        record["process"]: str(record["error"])
        for record in daemon.records()
        if record["msg"] == "Process instance could not be started"
    }
    assert errors["files"].startswith(
        "processes.files.limits.nofile cannot be set: 1000000 is above the hard "
    )
    assert errors["nice"].startswith("processes.nice.limits.nice cannot be set: a nice of -5 is below the ")
    assert errors["oom"].startswith("processes.oom.limits.oom_score_adj cannot be set: -900 is below what ")
    assert all("CAP_SYS_" in error and "\n" not in error for error in errors.values())
