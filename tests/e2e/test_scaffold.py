"""What ``scaffold`` writes starts, with the programs that it is for: nginx, node and php-fpm.

The files are those that it writes, with other ports and folders: several tests run at the same time.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for
from tests.ports import free_ports
from tests.supervisor.health.programs import php_fpm

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = PROBES, PROXY, APP, _NEXT, FPM, METRICS = "9181", "8080", "3000", "3001", "9000", "9090"
PATH = f"{os.environ['PATH']}:/usr/sbin"
EXAMPLE = Path(__file__).parents[2] / "examples/laravel-like"
SERVER = """
const server = require("node:http").createServer((request, reply) => {
  reply.end("node " + request.url + "\\n");
});
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => { console.error("closing"); server.close(() => process.exit(0)); });
"""
POOL = """[global]
error_log = /dev/stderr
[www]
user = www-data
group = www-data
"""


class Scaffolded:
    """A scaffold in a folder that every user may enter, and the daemon that runs it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        done = subprocess.run(
            [*COMMAND, "scaffold", *arguments, "-o", str(folder)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        first = free_ports(len(PORTS))
        self.ports = {port: str(first + number) for number, port in enumerate(PORTS)}
        self._daemon: DaemonProcess | None = None

    def place(self, name: str, **replaced: str) -> str:
        """The text of a written file, with the ports and folders of this test."""
        file = self.folder / name
        text = re.sub(rf"\b({'|'.join(self.ports)})\b", lambda found: self.ports[found[1]], file.read_text())
        for old, new in replaced.items():
            text = text.replace(old, new)
        file.write_text(text)
        return text

    def program(self, name: str, command: str) -> None:
        """A program of that name in front of the others."""
        file = self.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        file.chmod(0o755)

    def nginx(self, **replaced: str) -> None:
        """nginx, with the nginx.conf that was written."""
        self.place("nginx.conf", **{"/tmp/": f"{self.folder}/", **replaced})
        conf = self.folder / "nginx.conf"
        if os.geteuid() == 0:
            conf.write_text(f"user nobody nogroup;\n{conf.read_text()}")
        self.program("nginx", f"/usr/sbin/nginx -p {self.folder} -c {conf}")

    def php_fpm(self) -> str:
        """php-fpm, with the pool that was written; returns the profile that the Dockerfile sets."""
        self.place("php-fpm.conf")
        pool = (self.folder / "php-fpm.conf").read_text().partition("[www]\n")[2]
        (self.folder / "fpm.conf").write_text(POOL + pool)
        self.program("php-fpm", f"{php_fpm()} --fpm-config {self.folder}/fpm.conf")
        (profile,) = re.findall(
            r"ENV PHP_FPM_AUTOTUNE_PROFILE=(\w+)", (self.folder / "Dockerfile").read_text()
        )
        return str(profile)

    def start(self, **env: str) -> DaemonProcess:
        text = self.place("cbox-init.yaml").replace("global:\n", "global:\n  api_socket: SOCKET\n", 1)
        daemon = DaemonProcess(
            self.folder,
            text,
            env={"PATH": f"{self.folder}/bin:{PATH}", "CBOX_INIT_GLOBAL_SHUTDOWN_DRAIN": "500ms", **env},
            command=("env", "-C", str(self.folder), *COMMAND),
        )
        self._daemon = daemon
        wait_for(
            lambda: self.get(PROBES, "/readyz")[0] == 200 or daemon.process.poll() is not None, "ready", 60
        )
        assert daemon.process.poll() is None, daemon.output() + daemon.errors()
        return daemon

    def get(self, port: str, path: str) -> tuple[int, str]:
        """Status and body of a reply; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def end(self) -> None:
        if self._daemon is not None:
            self._daemon.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, and open: workers of nginx and php-fpm are other users."""
    path = Path(tempfile.mkdtemp(prefix="scaffold"))
    path.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IRGRP | stat.S_IXOTH | stat.S_IROTH)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def made(folder: Path) -> Iterator[list[Scaffolded]]:
    """Those that a test starts; they are ended with it."""
    scaffolds: list[Scaffolded] = []
    yield scaffolds
    for one in scaffolds:
        one.end()


def healthy(daemon: DaemonProcess) -> int:
    return subprocess.run(
        [*COMMAND, "health", "--ready", "--socket", str(daemon.socket)], capture_output=True, timeout=30
    ).returncode


def test_a_static_site(folder: Path, made: list[Scaffolded]) -> None:
    site = Scaffolded(folder, "static-nginx", "--nginx", "--observability")
    made.append(site)
    (folder / "html").mkdir()
    (folder / "html" / "index.html").write_text("<h1>hello</h1>\n")
    (folder / "html" / ".env").write_text("secret")
    site.nginx(**{"/usr/share/nginx/html": f"{folder}/html"})
    daemon = site.start()
    assert site.get(PROXY, "/") == (200, "<h1>hello</h1>\n")
    assert site.get(PROXY, "/.env")[0] == 404
    assert site.get(PROXY, "/missing")[0] == 404
    assert site.get(PROBES, "/livez") == (200, '{"status":"alive"}')
    assert "cbox_init_process_up" in site.get(METRICS, "/metrics")[1]
    assert healthy(daemon) == 0
    wait_for(lambda: "GET /missing" in daemon.lines("nginx"), str(daemon.lines("nginx")), 5)
    (record,) = [one for one in daemon.records() if one["msg"] == "GET /missing"]
    assert record["status"] == 404
    daemon.process.terminate()
    wait_for(lambda: site.get(PROBES, "/readyz")[0] == 503, "not ready in the drain")
    assert site.get(PROXY, "/")[0] == 200  # requests still come
    assert daemon.wait(60) == 0


def test_node_behind_nginx(folder: Path, made: list[Scaffolded]) -> None:
    (folder / "package.json").write_text('{"scripts": {"start": "node app.js"}}')
    (folder / "app.js").write_text(SERVER)
    site = Scaffolded(folder, "--nginx")  # nodejs, by its package.json
    made.append(site)
    site.nginx()
    daemon = site.start()
    assert site.get(PROXY, "/hello") == (200, "node /hello\n")
    assert site.get(APP, "/") == (200, "node /\n")
    assert healthy(daemon) == 0
    assert daemon.stop() == 0
    assert daemon.lines("web") == ["closing"]


def test_php(folder: Path, made: list[Scaffolded]) -> None:
    (folder / "public").mkdir()
    (folder / "public" / "index.php").write_text(
        "<?php error_log('a fatal thing');\n"
        "echo 'php ', $_SERVER['REQUEST_URI'], ' ', getenv('COLOUR'), \"\\n\";"
    )
    site = Scaffolded(folder, "--nginx", "--dockerfile")  # php, by its index.php
    made.append(site)
    site.nginx(**{"/var/www/html": str(folder)})
    profile = site.php_fpm()
    daemon = site.start(COLOUR="green", PHP_FPM_AUTOTUNE_PROFILE=profile)
    assert site.get(PROXY, "/hello?x=1") == (200, "php /hello?x=1 green\n")
    (folder / "public" / "notes.md").write_text("not for visitors")
    assert [site.get(PROXY, path)[0] for path in ("/other.php", "/notes.md", "/.env")] == [404] * 3
    assert healthy(daemon) == 0
    wait_for(lambda: any("a fatal thing" in str(line) for line in daemon.lines("php-fpm")), "the error log")
    assert daemon.stop() == 0
    assert "Process instance stopped" in daemon.messages("php-fpm")


def test_laravel(folder: Path, made: list[Scaffolded]) -> None:
    """The preset on an application with the commands that it runs."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    (folder / "cbox-init.yaml").unlink()
    site = Scaffolded(folder, "--nginx", "--dockerfile", "--queue-workers", "2")  # laravel, by its artisan
    made.append(site)
    site.nginx(**{"/var/www/html": str(folder)})
    daemon = site.start(WORKDIR=str(folder), PHP_FPM_AUTOTUNE_PROFILE=site.php_fpm())
    assert site.get(PROXY, "/")[0] == 200
    assert [site.get(PROXY, path)[0] for path in ("/artisan", "/app/queue.php", "/../artisan")] == [
        404,
        404,
        400,
    ]
    assert site.get(PROXY, "/dispatch?job=hello")[0] == 200
    wait_for(lambda: "Processed: hello" in str(daemon.lines("queue")), "a job done")
    done = subprocess.run(
        [*COMMAND, "trigger", "scheduler", "--wait", "--socket", str(daemon.socket)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert daemon.stop() == 0
    ended = [line for line in daemon.lines("queue") if "ended after" in str(line)]
    assert len(ended) == 2  # both workers had their time
