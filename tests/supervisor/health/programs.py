"""Programs of Debian as people run them: where they are, and how they are configured for a test.

Each in directories and on ports of its own. Run by root they become the users that their packages made.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = {"initial_delay": "20ms", "period": "100ms", "timeout": "2s"}


def postgres(name: str) -> str:
    """One of PostgreSQL's programs; Debian has the server's in a directory of its version."""
    return _found(name, f"/usr/lib/postgresql/*/bin/{name}")


def php_fpm() -> str:
    """PHP-FPM, which has its version in its name on Debian."""
    return _found("php-fpm", "/usr/sbin/php-fpm*")


def _found(name: str, places: str) -> str:
    path = max(glob.glob(places), default=None) or shutil.which(name)
    assert path, f"{name} is not there: .ci/packages test installs it"
    return path


def as_user(name: str) -> dict[str, object]:
    """The keys that run a process as another user, where that can be done."""
    return {"user": name, "group": name} if os.geteuid() == 0 else {}


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """A directory that ``user`` owns and can reach: those of pytest are closed to others."""
    with tempfile.TemporaryDirectory(prefix="cbox", dir="/tmp") as name:
        if os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            os.chown(name, entry.pw_uid, entry.pw_gid)
        yield Path(name)


def nginx(folder: Path, port: int, location: str) -> dict[str, object]:
    """A process that serves ``location`` (its block's text), in the foreground with one worker."""
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} worker_processes 1;\n"
        f"http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        f"server {{ listen 127.0.0.1:{port}; {location} }} }}\n"
    )
    return {
        "command": ["nginx", "-c", str(conf), "-p", str(folder)],
        "shutdown": {"signal": "SIGQUIT"},
    }


def fpm(folder: Path, port: int, workers: int) -> dict[str, object]:
    """A process that says itself when it is ready, with this many workers and a page /ping."""
    conf = folder / "php-fpm.conf"
    conf.write_text(
        f"[global]\npid = {folder}/fpm.pid\nerror_log = /dev/stderr\n"
        "[www]\nuser = www-data\ngroup = www-data\n"
        f"listen = 127.0.0.1:{port}\npm = static\npm.max_children = {workers}\nping.path = /ping\n"
    )
    return {
        "type": "notify",
        "command": [php_fpm(), "--nodaemonize", "--fpm-config", str(conf)],
        "restart_delay": "1ms",
        "shutdown": {"signal": "SIGQUIT"},
        "health_check": {**QUICK, "port": port},
    }
