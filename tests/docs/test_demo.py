"""What `make run` shows: the page's address, and processes that there is something to see of."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

from cbox_init.client import Client
from cbox_init.config.load import examine
from tests.docs.markdown import ROOT
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port, free_ports

if TYPE_CHECKING:
    from pathlib import Path

DEMO = ROOT / "examples/demo.yaml"


def test_make_run_says_where_the_page_is() -> None:
    config = examine(str(DEMO), {}).config
    assert config is not None
    settings = config.global_
    assert settings.api_enabled
    assert settings.api_ui
    assert f"http://{settings.api_host}:{settings.api_port}/" in (ROOT / "Makefile").read_text()


def test_it_runs_and_ends(tmp_path: Path) -> None:
    ports, search, api = free_ports(6), free_port(), free_port()
    text = DEMO.read_text().replace("9180", str(api)).replace("8101", str(search))
    text = re.sub(r"\b800([1-4])\b", lambda found: str(ports + int(found[1]) - 1), text)
    text = text.replace("log_format: text ", "api_socket: SOCKET\n  log_format: json ")
    text = text.replace("examples/demo/shop.py", str(ROOT / "examples/demo/shop.py"))
    daemon = DaemonProcess(tmp_path, text)
    try:
        daemon.until_said("All processes started successfully")
        for port in (ports, ports + 1, ports + 2, search):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as answer:
                assert answer.status == 200
        wait_for(lambda: "up, for a while" in daemon.lines("flaky"), "the crash loop")
        wait_for(lambda: daemon.lines("report"), "the job at the start")
        with Client.connect(socket=str(daemon.socket)) as client:
            names = [entry.name for entry in client.processes()]
        assert names == ["prepare", "web", "visitors", "search", "worker", "report", "flaky"]
        assert daemon.stop() == 0
    finally:
        daemon.end()
