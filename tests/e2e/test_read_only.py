"""A container whose root file system is read-only, without tmpfs mounts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.daemon import AS_PID_1, COMMAND, DaemonProcess

if TYPE_CHECKING:
    from pathlib import Path

_READ_ONLY: Final = """
set -e
for folder in /run /tmp; do mount --bind $folder $folder; mount -o remount,bind,ro $folder; done
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
exec "$@"
"""


@pytest.mark.mounts
def test_the_socket_is_in_shared_memory_and_commands_find_it(tmp_path: Path) -> None:
    daemon = DaemonProcess(
        tmp_path,
        "processes:\n  app: {command: [sleep, '600']}\n",
        command=(
            "unshare",
            "--mount",
            "--kill-child",
            "--",
            "sh",
            "-c",
            _READ_ONLY,
            "sh",
            *AS_PID_1,
            *COMMAND,
        ),
    )
    try:
        daemon.until_said("All processes started successfully")
        opened = [one["address"] for one in daemon.records() if one["msg"] == "Management API listening"]
        assert opened == ["unix:/dev/shm/cbox-init.sock"]
        inside = f"/proc/{daemon.process.pid}/ns/mnt"
        listed = subprocess.run(
            ["nsenter", f"--mount={inside}", *COMMAND, "list"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "app" in listed.stdout, listed.stderr
    finally:
        daemon.process.kill()
        daemon.process.wait()
