"""The metrics of the command as it is installed."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.signals import ONE_STOP_S
from tests.e2e.daemon import wait_for
from tests.metrics.scraped import Samples
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess

TEXT = """
global: {api_socket: SOCKET, metrics_enabled: true, metrics_host: 127.0.0.1, metrics_port: PORT}
hooks: {pre-start: [{name: first, command: ["true"]}]}
processes:
  web: {command: [sh, -c, "touch DIR/started; exec sleep 1000"]}
  stubborn: {command: [sh, -c, "trap '' TERM; while :; do sleep 0.05; done"]}
"""


def scrape(port: int) -> Samples:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/metrics")
        return Samples(connection.getresponse().read().decode())
    finally:
        connection.close()


def stop_again(daemon: DaemonProcess) -> None:
    """Send a second SIGTERM that counts as one: not at once after the first."""
    counts_at = time.monotonic() + ONE_STOP_S
    wait_for(lambda: time.monotonic() > counts_at)
    daemon.signal(15)


def test_a_scrape_from_the_first_moment_to_the_last(serve: Serve) -> None:
    port = free_port()
    daemon = serve(TEXT.replace("PORT", str(port)))
    daemon.until_said("All processes started successfully")
    assert "Metrics listening" in daemon.messages()
    samples = scrape(port)
    assert samples.of("process_up", name="web", instance="web-0") == 1
    # It ran before there was an event loop.
    assert samples.of("hook_executions_total", name="first", type="pre_start", status="success") == 1
    start = samples.of("manager_start_time_seconds")
    started = samples.of("process_start_time_seconds", name="web", instance="web-0")
    assert start is not None and started is not None and start < started
    daemon.signal(15)
    daemon.until_said("Process instance stopped")
    samples = scrape(port)
    assert samples.of("process_up", name="web", instance="web-0") == 0
    assert samples.of("shutdown_elapsed_seconds") is not None
    stop_again(daemon)
    assert daemon.wait() == 143
    with pytest.raises(ConnectionRefusedError):
        scrape(port)
    assert daemon.errors() == ""


def test_it_exits_with_1_and_one_line_when_the_port_is_taken(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = serve(TEXT.replace("PORT", str(port)))
        assert daemon.wait() == 1
    assert "another global.metrics_port" in daemon.errors()
    assert daemon.errors().count("\n") == 1
    assert not (daemon.folder / "started").exists()
    assert not daemon.socket.exists()


def test_a_second_signal_does_not_wait_for_who_reads_the_metrics(serve: Serve) -> None:
    port = free_port()
    daemon = serve(TEXT.replace("PORT", str(port)))
    daemon.until_said("All processes started successfully")
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET /metrics HTTP/1.1\r\n")
        daemon.signal(15)
        daemon.until_said("Shutting down")
        stop_again(daemon)
        wait_for(lambda: daemon.process.poll() is not None, daemon.output())
