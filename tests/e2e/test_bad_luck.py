"""Children that misbehave and a system that runs out: nothing else is disturbed, nothing is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve

ONE_GIGABYTE = 2**30


def test_a_line_of_one_gigabyte_arrives_whole_in_bounded_memory(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        f"""
global: {{api_socket: {tmp_path}/api.sock}}
processes:
  flood: {{type: oneshot, command: [sh, -c, "head -c {ONE_GIGABYTE} /dev/zero | tr '\\\\0' x"]}}
"""
    )
    daemon = subprocess.Popen(
        [*COMMAND, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=2**20
    )
    assert daemon.stdout
    received = most_memory_kb = 0
    with daemon.stdout as lines:
        for number, line in enumerate(lines):
            message = re.match(rb'\{"time":"[^"]+","level":"INFO","msg":"(x+)"', line)
            if message:
                received += message.end(1) - message.start(1)
            if number % 1000 == 0:
                status = Path(f"/proc/{daemon.pid}/status").read_text()
                resident = re.search(r"VmRSS:\s+(\d+)", status)
                most_memory_kb = max(most_memory_kb, int(resident[1]) if resident else 0)
    assert daemon.wait(30) == 0
    assert received == ONE_GIGABYTE
    assert most_memory_kb < 60_000


def test_outputs_that_are_closed_are_not_an_end(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  mute: {command: [sh, -c, "echo before; exec >&- 2>&-; touch DIR/closed; exec sleep 1000"]}
"""
    )
    wait_for((daemon.folder / "closed").exists, daemon.errors())
    wait_for(lambda: "before" in daemon.lines("mute"), daemon.errors())
    assert daemon.stop() == 0
    assert daemon.messages().count("Process instance started") == 1
    assert daemon.messages().count("Process instance stopped") == 1


def test_a_child_that_forks_away_is_ended_and_started_anew(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET, restart_backoff: 1ms}
processes:
  daemonizer:
    max_restarts: 2
    command: [sh, -c, "setsid sh -c 'echo $$; exec sleep 1000' & exit 3"]
  other: {command: [sleep, "1000"]}
"""
    )
    daemon.until_said("Process instance has failed and is not restarted")
    for pid in daemon.lines("daemonizer"):
        assert not os.path.exists(f"/proc/{pid}")
    assert daemon.messages("daemonizer").count("Process instance exited with error") == 3
    assert daemon.stop() == 0


@pytest.mark.parametrize("limit", [63, 64])  # two for an instance: the last one is left, or none
def test_without_descriptors_the_rest_runs_and_the_api_answers(tmp_path: Path, limit: int) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        f"""
global: {{api_socket: {tmp_path}/api.sock, restart_backoff: 20ms}}
processes:
  many: {{command: [sleep, "1000"], scale: 60, max_restarts: 1}}
"""
    )
    output = tmp_path / "out"
    with output.open("wb") as out:
        daemon = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *COMMAND, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        wait_for(lambda: "waits to start" in output.read_text(), "an instance that waits for descriptors")
        with Client.connect(socket=f"{tmp_path}/api.sock") as client:
            states = Counter(instance.state for instance in client.status("many").instances)
            reasons = {str(one.reason) for one in client.status("many").instances if one.state == "starting"}
        assert states["running"] > 10
        assert states["running"] + states["starting"] == 60
        assert reasons
        assert all("too many open files" in reason and f"now {limit}" in reason for reason in reasons)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert "Unexpected" not in output.read_text()
    assert "Traceback" not in output.read_text()


def test_a_full_process_table_is_the_reason_until_there_is_room(tmp_path: Path, pids_limit: Path) -> None:
    limit = pids_limit / "pids.max"
    limit.write_text("8")
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        f"""
global: {{api_socket: {tmp_path}/api.sock, restart_backoff: 20ms, restart_backoff_max: 20ms}}
processes:
  many: {{command: [sleep, "1000"], scale: 12, max_restarts: 1}}
"""
    )
    output = tmp_path / "out"
    with output.open("wb") as out:
        daemon = subprocess.Popen(
            [
                "sh",
                "-c",
                f'echo $$ > {pids_limit}/cgroup.procs; exec "$@"',
                "sh",
                *COMMAND,
                "-c",
                str(config),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
        )
    try:
        started, deferred = "Process instance started", "Process instance waits to start"
        wait_for(lambda: deferred in output.read_text(), "a spawn that is refused")
        record = next(json.loads(line) for line in output.read_text().splitlines() if deferred in line)
        assert "out of processes" in record["error"]
        limit.write_text("100")
        wait_for(lambda: output.read_text().count(started) == 12, "all run")
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0


@pytest.fixture
def pids_limit() -> Iterator[Path]:
    """A cgroup of its own with the pids controller, version 1 or 2."""
    group = _new_pids_cgroup()
    if group is None:
        pytest.skip("no cgroup with the pids controller can be made here")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "the cgroup is empty")
    group.rmdir()


def _new_pids_cgroup() -> Path | None:
    for parent in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        group = parent / f"cbox-init-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / "pids.max").exists():
            return group
        group.rmdir()
    return None
