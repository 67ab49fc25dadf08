"""The audit trail of the command as installed: curl, restarts, rotation, a full disk, a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess

TEXT = """
global:
  api_socket: SOCKET
  audit_enabled: true
  audit_output: DIR/audit/audit.log
  KEYS
processes:
  web: {command: [sleep, "1000"], env: {DB_PASSWORD: hunter2}}
"""


def curl(daemon: DaemonProcess, *words: str, path: str = "/api/v1/processes/web/restart") -> tuple[int, str]:
    """Status and body of a POST."""
    done = subprocess.run(
        [
            *("curl", "-sS", "--max-time", "30", "-X", "POST", "-w", "\n%{http_code}"),
            *("--unix-socket", str(daemon.socket), *words, f"http://localhost{path}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert done.returncode == 0, done.stderr
    return int(status), body


def verify(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "audit", "verify", *map(str, words)], capture_output=True, text=True, timeout=60
    )


def serve_audited(serve: Serve, *keys: str, **more: object) -> DaemonProcess:
    daemon = serve(TEXT.replace("KEYS", "\n  ".join(keys)), **more)  # type: ignore[arg-type]
    daemon.until_said("All processes started successfully")
    wait_for(daemon.socket.exists)
    return daemon


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_life_from_start_to_end(serve: Serve) -> None:
    daemon = serve_audited(serve)
    assert curl(daemon)[0] == 202
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration reloaded")
    assert daemon.stop() == 0
    path = daemon.folder / "audit" / "audit.log"
    assert path.stat().st_mode & 0o777 == 0o600
    found = read(path)
    types = [record["event_type"] for record in found]
    assert types[:3] == ["system.start", "config.load", "process.start"]
    assert types[-1] == "system.shutdown" and found[-1]["action"] == "end"
    for wanted in ("api.request", "api.response", "process.restart", "process.stop", "config.reload"):
        assert wanted in types
    (begin,) = (one for one in found if one["action"] == "shutdown")
    assert begin["message"] == "received SIGTERM"
    done = verify(path)
    assert (done.returncode, done.stderr) == (0, "")
    (end,) = (record for record in daemon.records() if record["msg"] == "Audit trail ends")
    assert done.stdout.strip().endswith(str(end["hash"]))
    assert verify("--quiet", "--expect", end["hash"], path).stdout == ""


def test_the_chain_goes_on_over_restarts_rotations_and_a_kill(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.log"
    keys = "audit_rotate: {max_size: 4KB, max_files: 50}"
    text = TEXT.replace("DIR/audit/audit.log", str(path)).replace("KEYS", keys)
    for _ in range(3):
        daemon = serve(text, pid_1=True)  # so that its children end with it
        daemon.until_said("All processes started successfully")
        wait_for(daemon.socket.exists)
        rotated = len(list(path.parent.iterdir()))
        for _ in range(8):
            assert curl(daemon)[0] == 202
        wait_for(lambda before=rotated: len(list(path.parent.iterdir())) > before)  # type: ignore[misc]
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        with path.open("ab") as file:  # as if the machine had gone down in the middle of a write
            file.write(b'{"seq":999,"timestamp":"20')
    assert verify(*path.parent.iterdir()).returncode == 3
    daemon = serve(text)
    daemon.until_said("All processes started successfully")
    assert daemon.stop() == 0
    done = verify(*path.parent.iterdir())
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("a write was cut short") == 3
    oldest = max(path.parent.iterdir(), key=lambda one: int(one.suffix[1:]) if one != path else 0)
    oldest.write_bytes(oldest.read_bytes().replace(b"config.load", b"config.lost", 1))
    done = verify(*path.parent.iterdir())
    assert done.returncode == 2
    assert done.stdout.startswith(f"{oldest}:2: the line was changed: its hash does not fit\n")


def test_a_full_disk_refuses_changes_and_heals(serve: Serve) -> None:
    """In a tmpfs of a few pages that only the daemon sees."""
    shell = (
        'dir=$(dirname "$3")/audit; mkdir -p "$dir"; mount -t tmpfs -o size=32k,mode=700 none "$dir" && '
        'head -c 16384 /dev/zero > "$dir/ballast" && exec "$0" -m cbox_init "$@"'
    )
    command = ("unshare", "--mount", "sh", "-c", shell, COMMAND[0])
    daemon = serve_audited(serve, "audit_required: true", command=command)
    inside = f"/proc/{daemon.pid}/root{daemon.folder}/audit"
    answers = []
    for _ in range(200):
        answers.append(curl(daemon))
        if answers[-1][0] == 503:
            break
    status, body = answers[-1]
    assert status == 503, len(answers)
    assert json.loads(body) == {
        "error": "the change is refused: audit_required is set",
        "details": ["the audit record cannot be written: No space left on device"],
    }
    assert curl(daemon)[0] == 503
    wait_for(
        lambda: any(str(said).startswith("Audit records cannot be written") for said in daemon.messages())
    )
    with open(f"{inside}/audit.log", "rb") as file:
        assert file.read().endswith(b"}\n"), "no line is torn"
    os.unlink(f"{inside}/ballast")
    assert curl(daemon)[0] == 202
    daemon.until_said("Audit records are written again")
    done = verify(f"{inside}/audit.log")
    assert done.returncode == 0, done.stdout
    assert daemon.stop() == 0


def test_the_log_as_the_output(serve: Serve) -> None:
    daemon = serve(
        TEXT.replace("audit_output: DIR/audit/audit.log\n  KEYS", "log_level: error"),
    )
    wait_for(daemon.socket.exists)
    assert curl(daemon)[0] == 202
    assert daemon.stop() == 0
    lines = [json.loads(str(record["audit"])) for record in daemon.records() if "audit" in record]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["event_type"] == "system.shutdown"
    done = verify("--log", daemon.folder / "out")
    assert done.returncode == 0 and f"intact: {len(lines)} records" in done.stdout
    text = (daemon.folder / "out").read_text()
    (daemon.folder / "out").write_text(text.replace("config.load", "config.lost"))
    assert verify("--log", daemon.folder / "out").returncode == 2


def test_a_file_that_others_made_is_not_written(serve: Serve, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    link = tmp_path / "link.log"
    link.symlink_to(precious)
    daemon = serve(TEXT.replace("DIR/audit/audit.log", str(link)).replace("KEYS", "audit_required: true"))
    daemon.until_said("All processes started successfully")
    wait_for(daemon.socket.exists)
    status, body = curl(daemon)
    assert status == 503 and "it is a link" in body
    link.unlink()
    assert curl(daemon)[0] == 202
    assert daemon.stop() == 0
    assert precious.read_text() == "precious"
    assert verify(link).returncode == 0


def test_a_reload_by_signal_is_refused_as_well(serve: Serve) -> None:
    daemon = serve_audited(serve, "audit_required: true")
    folder = daemon.folder / "audit"
    (folder / "audit.log").rename(folder / "kept")
    (folder / "audit.log").mkdir()
    daemon.config.write_text(daemon.config.read_text().replace('"1000"', '"1001"'))
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration was not reloaded")
    (folder / "audit.log").rmdir()
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration reloaded")
    assert daemon.stop() == 0
    assert verify(folder / "audit.log", folder / "kept").returncode == 0
    reloads = [one["status"] for one in read(folder / "audit.log") if one["event_type"] == "config.reload"]
    assert reloads == ["attempt", "failure", "attempt", "success"]


def test_verify_says_what_is_wrong_with_its_arguments(tmp_path: Path) -> None:
    done = verify(tmp_path / "missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"cbox-init: {tmp_path}/missing: No such file or directory\n"
    assert verify().returncode == 1
    empty = tmp_path / "empty"
    empty.touch()
    assert verify(empty).stdout == "intact: 0 records\n"
    done = verify("--expect", "0" * 64, empty)
    assert done.returncode == 2 and "there is no record with the hash" in done.stdout
    (tmp_path / "cut.gz").write_bytes(b"\x1f\x8b\x08\x00")
    done = verify(tmp_path / "cut.gz")
    assert (done.returncode, done.stderr) == (1, "cbox-init: a compressed file is not complete\n")
    (tmp_path / "none.gz").write_bytes(b"text")
    assert verify(tmp_path / "none.gz").returncode == 1
