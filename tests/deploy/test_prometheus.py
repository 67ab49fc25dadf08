"""A real Prometheus scrapes a real daemon: every query of the dashboard has data, and alerts fire."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.client import Client
from tests.deploy.test_alerts import RULES
from tests.docs.markdown import ROOT
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DASHBOARD = ROOT / "deploy/grafana/cbox-init.json"

#: Something of everything that the dashboard shows.
CONFIG = """
global:
  api_socket: SOCKET
  metrics_enabled: true
  metrics_host: 127.0.0.1
  metrics_port: PORT
  api_enabled: true
  api_host: 127.0.0.1
  api_port: API_PORT
  api_tls: {enabled: true, cert_file: CERT, key_file: KEY}
  audit_enabled: true
  resource_metrics_enabled: true
  resource_metrics_interval: 200ms
notifications: [{name: ops, command: ["true"]}]
hooks:
  pre-start: [{name: warm, command: ["true"]}]
  post-start: [{name: report, command: ["false"], continue_on_error: true}]
processes:
  web:
    command: [sh, -c, "echo ready; exec sleep 1000"]
    logging: {rate_limit: {lines: 1000}}
    health_check: {command: ["true"], period: 100ms, initial_delay: 0s}
    autoscale: {max: 3, command: [echo, "15"], target: 10, interval: 200ms}
  broken: {command: ["false"], restart_delay: 100ms, max_restarts: 2}
  job: {command: ["true"], schedule: "@hourly", heartbeat: {url: "http://127.0.0.1:PING_PORT/"}}
"""


class Pinged(BaseHTTPRequestHandler):
    """Takes heartbeats."""

    def do_POST(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Prometheus:
    """Prometheus on one target, with the rules of deploy/."""

    def __init__(self, folder: Path, target: int) -> None:
        self.target = f"http://127.0.0.1:{target}/metrics"
        self._port = free_port()
        config = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {
                    "job_name": "cbox-init",
                    "honor_labels": True,
                    "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                }
            ],
        }
        file = folder / "prometheus.yaml"
        file.write_text(json.dumps(config))
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={file}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **query: str) -> Any:
        """The data of a reply of its API; None while it does not answer."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    port, api_port = free_port(), free_port()
    pinged = HTTPServer(("127.0.0.1", free_port()), Pinged)
    Thread(target=pinged.serve_forever, daemon=True).start()
    certificate = make_certificate(tmp_path, "api")
    text = CONFIG.replace("PING_PORT", str(pinged.server_port)).replace("API_PORT", str(api_port))
    text = text.replace("PORT", str(port))
    text = text.replace("CERT", str(certificate.cert)).replace("KEY", str(certificate.key))
    daemon = DaemonProcess(tmp_path, text)
    server = Prometheus(tmp_path, port)
    try:
        daemon.until_said("All processes started successfully")
        with Client.connect(socket=str(daemon.socket)) as client:
            client.trigger("job")
        yield server
    finally:
        server.close()
        daemon.stop()
        pinged.shutdown()
        pinged.server_close()


def queries() -> dict[str, str]:
    """Every query of the dashboard as Grafana sends it when all is selected, by panel."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$job", ".*").replace("$process", ".*")
            found[f"{panel['id']} {panel['title']} {target['refId']}"] = text.replace(
                "$__rate_interval", "2s"
            )
    return found


def test_every_query_of_the_dashboard_has_data(prometheus: Prometheus) -> None:
    left = queries()
    assert len(left) > 40

    def answered() -> bool:
        for panel, text in tuple(left.items()):
            data = prometheus.ask("query", query=text)
            if data and data["result"]:
                del left[panel]
        return not left

    try:
        wait_for(answered, "each query has data")
    except AssertionError:
        assert left == {}

    with urllib.request.urlopen(prometheus.target, timeout=10) as scrape:
        page = scrape.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    remarks = done.stderr.decode().splitlines()
    # A name that published dashboards use.
    assert [one for one in remarks if not one.startswith("cbox_init_manager_process_count ")] == []

    def alerts() -> dict[str, str]:
        data = prometheus.ask("query", query="ALERTS") or {"result": ()}
        return {one["metric"]["alertname"]: one["metric"]["alertstate"] for one in data["result"]}

    expected = {"CboxInitInstanceDown": "pending", "CboxInitHookFailed": "firing"}
    wait_for(lambda: expected.items() <= alerts().items(), "the alerts")
