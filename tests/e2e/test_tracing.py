"""Traces of the daemon as users start it, in a collector with real sockets and in the log."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from cbox_init.tracing.context import parse
from tests.e2e.daemon import wait_for
from tests.ports import free_port
from tests.tracing.collector import GrpcCollector, HttpCollector

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.e2e.daemon import DaemonProcess
    from tests.tracing.collector import Collector, Received

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"

STACK = """
global:
  api_socket: SOCKET
  tracing_enabled: true
  tracing_exporter: EXPORTER
  tracing_endpoint: ENDPOINT
  tracing_service_name: shop
hooks:
  pre-start: [{name: prepare, command: [sh, -c, 'echo "$TRACEPARENT" > DIR/hook']}]
processes:
  migrate: {type: oneshot, command: [sh, -c, 'echo "$TRACEPARENT" > DIR/oneshot']}
  web: {command: [sh, -c, 'echo "none$TRACEPARENT" > DIR/web; exec sleep 1000'], depends_on: [migrate]}
  job:
    command: [sh, -c, 'echo "$TRACEPARENT $TRACESTATE" > DIR/job; exit 3']
    schedule: "0 3 1 1 *"
"""


def stack(exporter: str, endpoint: str) -> str:
    return STACK.replace("EXPORTER", exporter).replace("ENDPOINT", endpoint)


def post(daemon: DaemonProcess, path: str, *headers: str) -> bytes:
    """The response to a request on the control socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(daemon.socket))
        lines = (f"POST {path} HTTP/1.1", "host: x", "content-length: 0", "connection: close", *headers)
        client.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)


def text(folder: Path, name: str) -> str:
    """What a child has written, once it has."""
    wait_for(lambda: (folder / name).exists() and (folder / name).read_text().endswith("\n"), name)
    return (folder / name).read_text().strip()


def belongs(child: Received, parent: Received) -> bool:
    return (child.trace_id, child.parent_id) == (parent.trace_id, parent.span_id)


@pytest.mark.parametrize(("make", "exporter"), [(GrpcCollector, "otlp-grpc"), (HttpCollector, "otlp-http")])
def test_a_life_in_spans(serve: Serve, make: type[Collector], exporter: str) -> None:
    with make() as collector:
        daemon = serve(stack(exporter, collector.address))
        daemon.until_said("All processes started successfully")
        reply = post(
            daemon,
            "/api/v1/processes/job/schedule/trigger",
            f"traceparent: 00-{TRACE}-{PARENT}-01",
            "tracestate: shop=1",
        )
        assert b" 202 " in reply.partition(b"\r\n")[0]
        run = collector.one("schedule.run", process_name="job")
        reply = post(daemon, "/api/v1/processes/web/restart")
        assert b" 202 " in reply.partition(b"\r\n")[0]
        restart = collector.one("change.restart")
        assert daemon.stop() == 0
        spans = collector.spans
        start = collector.one("process_manager.start")
        shutdown = collector.one("process_manager.shutdown")
    assert {span.resource["service.name"] for span in spans} == {"shop"}
    assert start.attributes == {"process.count": 3}
    assert "SIGTERM" in str(shutdown.attributes["shutdown.reason"])
    assert shutdown.attributes["process.count"] == 3
    processes = {
        span.attributes["process.name"]: span for span in collector.named("process_manager.start_process")
    }
    assert belongs(processes["web"], start)
    assert processes["web"].attributes == {"process.name": "web", "process.scale": 1}
    instances = [
        span for span in collector.named("instance.start") if span.attributes["instance.id"] == "web-0"
    ]
    assert belongs(instances[0], processes["web"])
    assert belongs(instances[1], restart)
    assert restart.parent_id == ""
    assert restart.attributes["change.status"] == "done"

    (trigger,) = collector.named("change.trigger")
    assert (trigger.trace_id, trigger.parent_id, trigger.state) == (TRACE, PARENT, "shop=1")
    assert belongs(run, trigger)
    assert run.failed
    assert run.attributes["process.exit.code"] == 3
    assert text(daemon.folder, "job") == f"00-{run.trace_id}-{run.span_id}-01 shop=1"

    hook = collector.one("hook", hook_name="prepare")
    assert belongs(hook, start)
    assert text(daemon.folder, "hook") == f"00-{hook.trace_id}-{hook.span_id}-01"
    (migrate,) = (
        span for span in collector.named("instance.start") if span.attributes["process.name"] == "migrate"
    )
    assert text(daemon.folder, "oneshot") == f"00-{migrate.trace_id}-{migrate.span_id}-01"
    assert migrate.attributes["process.exit.code"] == 0
    assert text(daemon.folder, "web") == "none"
    assert daemon.errors() == ""


def test_spans_in_the_log(serve: Serve) -> None:
    daemon = serve(stack("stdout", "''"))
    daemon.until_said("All processes started successfully")
    assert daemon.stop() == 0
    records = [json.loads(line) for line in daemon.output().splitlines()]
    spans = {record["name"]: record for record in records if record["msg"] == "Span"}
    start, process = spans["process_manager.start"], spans["process_manager.start_process"]
    assert start["process.count"] == 3
    assert "parent_span_id" not in start
    assert (process["trace_id"], process["parent_span_id"]) == (start["trace_id"], start["span_id"])
    assert start["status"] == "ok"
    assert start["duration_ms"] >= 0
    assert "opentelemetry" not in daemon.errors()


def test_a_collector_that_hangs_or_is_away_changes_nothing_else(serve: Serve) -> None:
    with GrpcCollector() as collector:
        collector.hang = True
        daemon = serve(stack("otlp-grpc", collector.address))
        daemon.until_said("All processes started successfully")
        wait_for(lambda: collector.requests, daemon.output())
        assert daemon.stop() == 0
        assert "Traces were not sent before the end" in daemon.messages()
        assert daemon.errors() == ""
    away = serve(stack("otlp-grpc", f"127.0.0.1:{free_port()}"))
    away.until_said("All processes started successfully")
    assert away.stop() == 0
    assert away.errors() == ""
    assert parse(text(away.folder, "hook")) is not None
