"""Where the daemon's records go, as people use it: a slow reader, restarts, files moved away, a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.e2e.daemon import COMMAND, DEADLINE_S, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

RUNS = 10
LINES_OF_A_RUN = 100_000

#: Writes numbers where the run before has left off, and is killed after the last of its run.
WRITER = f"""
import os, signal, sys
state = sys.argv[1]
run = int(open(state).read()) if os.path.exists(state) else 0
with open(state, "w") as file:
    file.write(str(run + 1))
for start in range(run * {LINES_OF_A_RUN}, (run + 1) * {LINES_OF_A_RUN}, 500):
    os.write(1, b"".join(b"%d\\n" % number for number in range(start, start + 500)))
if run + 1 < {RUNS}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def config_of(folder: Path, more: str = "") -> str:
    (folder / "writer.py").write_text(WRITER)
    return f"""
global: {{api_socket: {folder}/s{more}}}
processes:
  writer: {{command: [python3, {folder}/writer.py, {folder}/state],
    restart: on-failure, max_restarts: 0, restart_delay: 0}}
"""


def peak_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("VmHWM")), 0)


def test_a_reader_that_stalls_at_random_and_a_child_that_is_killed_lose_nothing(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(config_of(tmp_path))
    moods = random.Random(20261125)
    expected = 0
    peak = 0
    with subprocess.Popen([*COMMAND, "serve", "-c", config], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        for line in daemon.stdout:
            record = json.loads(line)
            if "stream" in record:
                assert record["msg"] == str(expected)
                expected += 1
                if moods.random() < 0.0002:
                    peak = max(peak, peak_kib(daemon.pid))
                    time.sleep(moods.random() * 0.02)
        assert daemon.wait(DEADLINE_S) == 0
    assert expected == RUNS * LINES_OF_A_RUN
    assert 0 < peak < 60_000


def test_dropped_lines_and_those_that_came_are_all_that_were_written(tmp_path: Path) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(config_of(tmp_path, ", log_overflow: drop"))
    with subprocess.Popen([*COMMAND, "serve", "-c", config], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        wait_for(lambda: _state(tmp_path) == RUNS, "the last run, although nobody reads")
        records = [json.loads(line) for line in daemon.stdout]
        assert daemon.wait(DEADLINE_S) == 0
    numbers = [int(record["msg"]) for record in records if "stream" in record]
    dropped = sum(record["dropped"] for record in records if record["msg"] == "Log records were dropped")
    assert dropped > 0
    assert numbers == sorted(set(numbers))
    assert len(numbers) + dropped == RUNS * LINES_OF_A_RUN
    assert records[-1]["msg"] == "Cbox Init shutdown complete"


def _state(folder: Path) -> int:
    try:
        return int((folder / "state").read_text() or 0)
    except FileNotFoundError:
        return 0


def test_sigusr1_opens_files_anew(serve: Serve, tmp_path: Path) -> None:
    daemon = serve("""
global: {api_socket: SOCKET, log_outputs: {all: {path: DIR/all.log}}}
processes: {web: {command: [sh, -c, "echo hello; exec sleep 1000"]}}
""")
    path, old = daemon.folder / "all.log", daemon.folder / "old.log"
    wait_for(lambda: path.exists() and "hello" in path.read_text(), "the first file")
    path.rename(old)
    daemon.signal(signal.SIGUSR1)
    wait_for(lambda: path.exists() and "Reopening log files" in path.read_text(), "the new file")
    assert "hello" in old.read_text()
    assert daemon.stop() == 0
    assert "Cbox Init shutdown complete" in path.read_text()


def test_a_disk_that_is_full_at_the_end_does_not_keep_the_daemon(serve: Serve) -> None:
    daemon = serve("""
global: {api_socket: SOCKET, log_outputs: {full: {path: /dev/full}}}
processes: {web: {command: [sh, -c, "echo hello; exec sleep 1000"]}}
""")
    daemon.until_said("hello")
    daemon.until_said("Log output cannot be written")
    assert daemon.stop() == 0
    assert daemon.messages().count("Log output cannot be written") == 1


def test_standard_output_on_a_full_disk_is_written_when_there_is_room(tmp_path: Path) -> None:
    """A tmpfs of 64 KiB: what somebody moves away makes room."""
    script = f"""
import json, os, shutil, subprocess, sys, time
from pathlib import Path
from tests.e2e.daemon import COMMAND, wait_for
folder = Path({str(tmp_path)!r})
disk = folder / "disk"
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
config = folder / "cbox-init.yaml"
config.write_text('''
global: {{api_socket: {tmp_path}/s}}
processes: {{count: {{command: [sh, -c, "seq 3000"], restart: never}}}}
''')
ballast = disk / "ballast"
ballast.write_bytes(bytes(48 * 1024))
with (disk / "out").open("ab") as out:
    daemon = subprocess.Popen([*COMMAND, "serve", "-c", config], stdout=out, stderr=subprocess.PIPE)
    wait_for(lambda: (disk / "out").stat().st_size == 16 * 1024, "a full disk")
    subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
    assert daemon.wait(30) == 0
notes = daemon.stderr.read().decode().splitlines()
assert len(notes) == 1, notes
assert "No space left on device: lines wait until there is room" in notes[0], notes
records = [json.loads(line) for line in (disk / "out").read_text().splitlines()]
assert [r["msg"] for r in records if "stream" in r] == [str(n) for n in range(1, 3001)]
"""
    subprocess.run(["unshare", "-m", *COMMAND[:1], "-c", script], check=True, timeout=150, cwd=os.getcwd())


def test_a_file_of_an_application_is_followed_and_rotated(serve: Serve) -> None:
    """The application begins before there is an event loop, opens its log for each line, and is killed."""
    daemon = serve("""
global: {api_socket: SOCKET, log_redaction_enabled: true, log_redaction_patterns: [password]}
processes:
  app:
    working_dir: DIR/logs
    command:
      - sh
      - -c
      - |
        write() { for n in $(seq $1 $2); do echo "line $n password=x$n" >> app.log; done; }
        write 1 1000; until [ -e app.log.1 ]; do sleep 0.01; done; write 1001 2000; kill -9 $$
    restart: never
    logging: {files: {main: {path: DIR/logs/app.log, rotate: {max_size: 5000, max_files: 100}}}}
hooks: {pre-start: [{command: [mkdir, DIR/logs]}]}
""")
    assert daemon.wait() == 137
    records = [record for record in daemon.records() if record.get("stream") == "file"]
    assert [record["msg"] for record in records] == [f"line {n} password=***" for n in range(1, 2001)]
    assert {(record["process"], record["instance_id"]) for record in records} == {("app", "main")}
    on_disk = [
        line
        for number in [*range(100, 0, -1), 0]
        if (path := daemon.folder / "logs" / (f"app.log.{number}" if number else "app.log")).exists()
        for line in path.read_text().splitlines()
    ]
    assert on_disk == [f"line {n} password=x{n}" for n in range(1, 2001)]
    assert (daemon.folder / "logs/app.log.1").exists()
    assert daemon.messages()[-1] == "Cbox Init shutdown complete"


def test_a_line_that_nothing_can_decode_costs_neither_its_neighbours_nor_the_exit(serve: Serve) -> None:
    """It is read at the exit of its process, on which another depends."""
    nested = "[" * 600 + "]" * 600
    daemon = serve(
        f"""
global: {{api_socket: SOCKET, log_outputs: {{all: {{path: DIR/all.log, format: text}}}}}}
processes:
  first:
    type: oneshot
    command: [printf, 'before\\n{{"msg":"x","amount":1e999}}\\n{{"msg":"y","deep":{nested}}}\\nafter']
    logging:
      json: {{enabled: true, extract_message: true, merge_fields: true}}
      redaction: {{enabled: true, patterns: [jwt]}}
  second: {{type: oneshot, command: [echo, there], depends_on: [first]}}
"""
    )
    assert daemon.wait() == 0
    lines = daemon.lines("first")
    assert (lines[0], lines[-1], len(lines)) == ("before", "after", 4)
    assert daemon.lines("second") == ["there"]


def test_a_log_file_that_can_never_be_written_is_an_error_of_the_start_and_not_of_a_reload(
    serve: Serve,
) -> None:
    text = """
global: {api_socket: SOCKET}
processes:
  web:
    command: [sh, -c, "while :; do echo line; sleep 0.01; done"]
    logging: {outputs: {own: {path: "DIR/PLACE"}}}
"""
    refused = serve(text.replace("PLACE", "."))
    assert refused.wait() == 1
    (line,) = refused.errors().splitlines()
    assert "processes.web.logging.outputs.own.path: cannot be written: it is a directory" in line
    daemon = serve(text.replace("PLACE", "web.log"))
    wait_for(lambda: (daemon.folder / "web.log").exists(), "its file")
    daemon.config.write_text(daemon.config.read_text().replace("web.log", "."))
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration reloaded")
    daemon.until_said("Log records were dropped")
    before = len(daemon.lines("web"))
    wait_for(lambda: len(daemon.lines("web")) > before, "more lines: nothing is held up")
    assert daemon.stop() == 0
