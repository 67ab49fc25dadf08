"""examples/laravel-like, started whole: PHP-FPM, nginx, Horizon, Reverb, queue workers and the scheduler."""

from __future__ import annotations

import base64
import http.client
import os
import pwd
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from cbox_init.config.load import load
from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.container import read_capacity
from cbox_init.php.sizing import size_pool
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.fastcgi import fpm_status
from tests.ports import free_port
from tests.supervisor.health.programs import php_fpm

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples/laravel-like"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="its processes run as www-data")


class Application:
    """The example in a directory and on ports of its own."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.root = folder / "html"
        shutil.copytree(EXAMPLE, self.root)
        (folder / "run").mkdir()
        self.port, self.fpm_port, self.reverb_port = free_port(), free_port(), free_port()
        env = {
            "WORKDIR": str(self.root),
            "RUN_DIR": str(folder / "run"),
            "APP_PORT": str(self.port),
            "FPM_PORT": str(self.fpm_port),
            "REVERB_PORT": str(self.reverb_port),
            "PHP_FPM": php_fpm(),
            "CBOX_INIT_GLOBAL_API_SOCKET": str(folder / "run/api.sock"),
        }
        config = self.root / "cbox-init.yaml"
        self.daemon = DaemonProcess(state, "", env=env, options=("-c", str(config)))
        self.socket = str(folder / "run/api.sock")

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def records(self, process: str, text: str) -> list[dict[str, object]]:
        """What a process has written with that text in it."""
        return [
            record
            for record in self.daemon.records()
            if record.get("process") == process and "stream" in record and text in str(record["msg"])
        ]

    def until_written(self, process: str, text: str) -> dict[str, object]:
        wait_for(
            lambda: self.records(process, text), f"{text!r} of {process}: {self.daemon.output()[-3000:]}"
        )
        return self.records(process, text)[0]


@pytest.fixture
def application(public_path: Path, tmp_path: Path) -> Iterator[Application]:
    started = Application(public_path, tmp_path)
    try:
        started.daemon.until_said("All processes started successfully")
        yield started
    finally:
        started.daemon.end()


def websocket_echo(port: int, text: str) -> tuple[str, str]:
    """The status line of the handshake by way of nginx, and what came back."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    lines = ("GET /app/key HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade")
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        head = "\r\n".join((*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""))
        connection.sendall(head.encode())
        with connection.makefile("rb") as stream:
            status = stream.readline().decode().strip()
            while stream.readline().strip():
                pass
            mask = b"\1\2\3\4"
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text.encode()))
            connection.sendall(bytes((0x81, 0x80 | len(masked))) + mask + masked)
            length = stream.read(2)[1]
            return status, stream.read(length).decode()


def test_the_whole_application(application: Application) -> None:
    app, daemon = application, application.daemon
    assert app.get("/")[0] == 200
    assert app.get("/")[1].startswith("Hello from PHP ")
    assert app.get("/.env")[0] == app.get("/artisan.php")[0] == 404

    here = read_capacity()
    size = size_pool(PhpFpmProfile.LIGHT, memory=here.memory, cpus=here.cpus).variables
    status = fpm_status(app.fpm_port, "/fpm-status")
    assert status["process manager"] == "dynamic"
    assert status["total processes"] == int(size["PHP_FPM_START_SERVERS"])

    owner = pwd.getpwnam("www-data")
    logs = (app.root / "storage/logs").stat()
    assert (logs.st_uid, logs.st_gid) == (owner.pw_uid, owner.pw_gid)
    assert daemon.messages().count("Configuration tested") == 2

    assert app.get("/fatal")[0] == 500
    fatal = app.until_written("php-fpm", "PHP Fatal error:")
    assert fatal["level"] == "ERROR"
    assert "thrown in" in str(fatal["msg"]), "with its trace"

    with Client.connect(socket=app.socket) as client:
        states = {process.name: (process.state, process.scale) for process in client.processes()}
        client.trigger("scheduler")
    assert states["queue"] == ("running", 2)
    assert states["scheduler"] == ("scheduled", 0)
    assert states["migrate"][0] == "completed"
    assert {states[name] for name in ("php-fpm", "nginx", "horizon", "reverb")} == {("running", 1)}

    app.get("/dispatch?job=mail")
    app.until_written("queue", "Processed: mail by queue-")
    app.get("/dispatch?job=welcome&queue=horizon")
    app.until_written("horizon", "Processed: welcome by horizon-0")
    app.until_written("scheduler", "Scheduled: report")
    app.until_written("queue", "Processed: report by queue-")
    assert websocket_echo(app.port, "hello") == ("HTTP/1.1 101 Switching Protocols", "hello")

    # A stop lets the job and the request that are at work come to their end.
    answers: list[tuple[int, str]] = []
    request = threading.Thread(target=lambda: answers.append(app.get("/slow")))
    request.start()
    app.get("/dispatch?job=slow")
    app.until_written("queue", "Processing: slow")
    wait_for(lambda: fpm_status(app.fpm_port, "/fpm-status")["active processes"] == 2, "it is at work")
    assert daemon.stop() == 0
    request.join()
    assert answers == [(200, "slept\n")]
    assert app.records("queue", "Processed: slow")
    assert app.records("horizon", "all workers are done")
    assert app.records("php-fpm", "exiting, bye-bye!")


@pytest.mark.traced
def test_a_slow_request_is_one_record_with_its_calls(application: Application) -> None:
    assert application.get("/slow") == (200, "slept\n")
    slow = application.until_written("php-fpm", "script_filename")
    assert (slow["level"], slow["stream"], slow["instance_id"]) == ("WARN", "file", "slow")
    assert "sleep() " in str(slow["msg"])
    assert not [r for r in application.records("php-fpm", "") if r["stream"] == "file" and not r["msg"]]
    assert application.daemon.stop() == 0


def test_the_configuration_has_no_problem() -> None:
    assert load(str(EXAMPLE / "cbox-init.yaml"), {}, strict=True).problems == ()
