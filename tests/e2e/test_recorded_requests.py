"""Requests as existing clients send them, one for every route, to a real daemon: each reply member by member.

The requests are those of curl, as the description of the API shows them, and of the Go program's own client.
"""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import yaml

from tests.config.test_absent_keys import OF_ENVIRONMENT
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN: Final = "your-secure-token-here"
CURL: Final = {"User-Agent": "curl/8.5.0", "Accept": "*/*"}
GO: Final = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
BEARER: Final = {"Authorization": f"Bearer {TOKEN}"}

CONFIG: Final = """
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: PORT
  api_socket: SOCKET
  api_auth: "your-secure-token-here"
  max_process_scale: 40
processes:
  php-fpm:
    command: [sh, -c, "echo ready; exec sleep 1000"]
    scale: 2
  queue-default:
    command: [sleep, "1000"]
  web:
    command: [sleep, "1000"]
    env: {APP_KEY: hush, MODE: "0755"}
    health_check: {type: exec, command: ["true"], initial_delay: 0, period: 1m}
    shutdown: {timeout: 5}
  report:
    command: [sh, -c, "echo report; exit 3"]
    schedule: "0 0 1 1 ?"
  migrate:
    type: oneshot
    command: ["true"]
"""

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NUMBER: Final = (int, float)
#: The member that this daemon adds to the replies to commands, behind all others.
CHANGE: Final = re.compile(rb',"change":"[0-9a-f]+-[0-9]+"(?=}$)')
ANY: Final = object


class Recorded(NamedTuple):
    """A request, and its reply: a value, the type of one, a pattern of a text, or (bytes) the body itself."""

    method: str
    path: str
    body: object
    status: int
    reply: Any
    headers: Mapping[str, str] = CURL | BEARER

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


def shown(text: str) -> bytes:
    """The JSON of the description, without the blanks that are there for people."""
    return json.dumps(json.loads(text), separators=(",", ":")).encode()


INSTANCE: Final = {
    "id": "php-fpm-0",
    "state": "running",
    "pid": int,
    "started_at": int,
    "restart_count": 0,
    "cpu_percent": NUMBER,
    "memory_rss_bytes": int,
    "memory_percent": NUMBER,
}
PHP_FPM: Final = {
    "name": "php-fpm",
    "type": "longrun",
    "state": "running",
    "scale": 2,
    "desired_scale": 2,
    "max_scale": 40,
    "cpu_percent": NUMBER,
    "memory_rss_bytes": int,
    "memory_percent": NUMBER,
    "instances": [INSTANCE, {**INSTANCE, "id": "php-fpm-1"}],
}
REPORT: Final = {
    "name": "report",
    "type": "scheduled",
    "state": "scheduled",
    "scale": 0,
    "desired_scale": 0,
    "schedule": "0 0 1 1 ?",
    "schedule_state": "idle",
    "next_run": int,
    "run_count": 0,
    "success_rate": NUMBER,
}
LINE: Final = {
    "timestamp": TIME,
    "process": "php-fpm",
    "instance": re.compile("php-fpm-[01]"),
    "stream": "stdout",
    "level": "info",
    "message": "ready",
    "ProcessName": "php-fpm",
    "InstanceID": re.compile("php-fpm-[01]"),
    "Stream": "stdout",
    "Level": "info",
    "Message": "ready",
    "Timestamp": TIME,
}
STATS: Final = {
    "total_executions": 0,
    "success_count": 0,
    "failure_count": 0,
    "running_count": 0,
    "success_rate": NUMBER,
    "average_duration": 0,
    "last_execution_time": None,
    "last_success_time": None,
    "last_failure_time": None,
}
SCHEDULE: Final = {
    "name": "report",
    "schedule": "0 0 1 1 ?",
    "timezone": "UTC",
    "state": "idle",
    "last_run": None,
    "next_run": TIME,
    "current_execution_id": None,
    "stats": STATS,
}
RUN: Final = {
    "id": "report-run-1",
    "start_time": TIME,
    "end_time": TIME,
    "exit_code": 3,
    "success": False,
    "error": str,
    "triggered": "manual",
}
EXECUTION: Final = {
    "id": int,
    "process_name": "migrate",
    "instance_id": "migrate-0",
    "started_at": TIME,
    "finished_at": TIME,
    "exit_code": 0,
    "success": True,
    "error": "",
    "duration": str,
    "duration_ms": int,
    "trigger_type": "startup",
}
UNAUTHORIZED: Final = shown('{\n"error": "unauthorized"\n}')
INVALID: Final = shown('{\n"error": "invalid request body"\n}')
NOT_ALLOWED: Final = shown('{\n"error": "method not allowed"\n}')
API: Final = "/api/v1"
PROCESSES: Final = f"{API}/processes"

#: In this order, to one daemon.
RECORDED: Final = (
    Recorded("GET", f"{API}/health", None, 200, shown('{\n"status": "healthy"\n}'), CURL),
    Recorded("GET", PROCESSES, None, 401, UNAUTHORIZED, CURL),
    Recorded("GET", PROCESSES, None, 401, UNAUTHORIZED, {**CURL, "Authorization": "Bearer other"}),
    Recorded("GET", PROCESSES, None, 200, {"processes": [PHP_FPM, ANY, ANY, REPORT, ANY]}),
    Recorded("GET", f"{PROCESSES}/php-fpm/restart", None, 405, NOT_ALLOWED),
    Recorded("POST", f"{PROCESSES}/queue-default/scale", b"{", 400, INVALID),
    Recorded("POST", f"{PROCESSES}/queue-default/scale", {"scale": "many"}, 400, INVALID),
    Recorded(
        "POST",
        f"{PROCESSES}/queue-default/scale",
        b'{"scale": 5}',
        202,
        shown('{\n"message": "scale initiated",\n"process": "queue-default",\n"scale": 5\n}'),
        {**CURL, **BEARER, "Content-Type": "application/json"},
    ),
    # curl sends a form without -H: the body counts, whatever it is called.
    Recorded(
        "POST",
        f"{PROCESSES}/queue-default/scale",
        b'{"scale": 0}',
        202,
        shown('{\n"message": "scale initiated",\n"process": "queue-default",\n"scale": 0\n}'),
        {**CURL, **BEARER, "Content-Type": "application/x-www-form-urlencoded"},
    ),
    Recorded(
        "POST",
        f"{PROCESSES}/queue-default/scale",
        {"desired": 3},
        200,
        b'{"status":"scaled","process":"queue-default","desired":3}',
    ),
    Recorded(
        "POST",
        f"{PROCESSES}/queue-default/scale",
        {"delta": -1},
        200,
        b'{"status":"scaled","process":"queue-default","delta":-1}',
    ),
    Recorded(
        "POST",
        f"{PROCESSES}/queue-default/scale",
        {"delta": -9},
        200,
        b'{"status":"scaled","process":"queue-default","delta":-9}',
    ),
    Recorded(
        "POST", f"{PROCESSES}/queue-default/scale", {"desired": -1}, 400, {"error": str, "details": [str]}
    ),
    Recorded(
        "POST", f"{PROCESSES}/queue-default/scale", {"desired": 41}, 400, {"error": str, "details": [str]}
    ),
    *(
        Recorded(
            "POST",
            f"{PROCESSES}/php-fpm/{action}",
            None,
            202,
            shown(f'{{\n"message": "{action} initiated",\n"process": "php-fpm"\n}}'),
            headers,
        )
        for headers in ({**CURL, **BEARER}, {**GO, **BEARER})
        for action in ("restart", "stop", "start")
    ),
    Recorded("POST", f"{PROCESSES}/nothing/restart", None, 404, {"error": str}),
    Recorded("GET", f"{PROCESSES}/nothing", None, 404, {"error": str}),
    Recorded("GET", f"{PROCESSES}/web", None, 200, {"process": "web", "config": dict}),
    Recorded(
        "GET",
        f"{PROCESSES}/php-fpm/logs?limit=1",
        None,
        200,
        {"process": "php-fpm", "limit": 1, "count": 1, "logs": [LINE]},
    ),
    Recorded(
        "GET", f"{API}/logs?limit=1", None, 200, {"scope": "stack", "limit": 1, "count": 1, "logs": [dict]}
    ),
    Recorded("GET", f"{API}/logs", None, 200, {"scope": "stack", "limit": 100, "count": int, "logs": list}),
    Recorded("GET", f"{API}/logs?limit=0", None, 400, {"error": str}),
    Recorded("GET", f"{API}/logs?limit=10001", None, 400, {"error": str}),
    Recorded("GET", f"{PROCESSES}/report/schedule", None, 200, {"process": "report", "schedule": SCHEDULE}),
    Recorded("GET", f"{PROCESSES}/web/schedule", None, 404, {"error": str}),
    Recorded(
        "POST", f"{PROCESSES}/report/schedule/pause", None, 200, b'{"status":"paused","process":"report"}'
    ),
    Recorded("POST", f"{PROCESSES}/report/schedule/trigger", None, 409, {"error": str}),
    Recorded(
        "POST", f"{PROCESSES}/report/schedule/resume", None, 200, b'{"status":"resumed","process":"report"}'
    ),
    Recorded(
        "POST",
        f"{PROCESSES}/report/schedule/trigger?sync=true",
        None,
        200,
        b'{"status":"completed","process":"report","exit_code":3}',
    ),
    Recorded(
        "GET",
        f"{PROCESSES}/report/schedule/history?limit=5",
        None,
        200,
        {"process": "report", "limit": 5, "count": 1, "history": [RUN]},
    ),
    Recorded(
        "POST",
        f"{PROCESSES}/report/schedule/trigger",
        None,
        202,
        b'{"status":"triggered","process":"report"}',
    ),
    Recorded(
        "GET",
        f"{API}/oneshot/history?limit=100",
        None,
        200,
        {"executions": list, "count": int, "limit": 100},
    ),
    Recorded(
        "POST",
        PROCESSES,
        {"name": "added", "process": {"command": ["sleep", "1000"], "enabled": True}},
        201,
        {"status": "created", "process": "added", "message": str},
        {**GO, **BEARER, "Content-Type": "application/json"},
    ),
    Recorded("POST", PROCESSES, {"name": "added", "process": {"command": ["a"]}}, 409, {"error": str}),
    Recorded(
        "POST",
        PROCESSES,
        {"name": "web app", "process": {"command": ["a"]}},
        422,
        {"error": str, "details": [re.compile(r".*: invalid name: .* \(call it web-app\)")]},
    ),
    Recorded("POST", PROCESSES, {"process": {}}, 400, INVALID),
    Recorded(
        "POST",
        PROCESSES,
        {"name": "other", "process": {"command": ["a"], "scale": "x", "type": "y"}},
        422,
        {"error": str, "details": [str, str]},
    ),
    Recorded(
        "PUT",
        f"{PROCESSES}/added",
        {"process": {"command": ["sleep", "1001"]}},
        200,
        {"status": "updated", "process": "added", "message": str},
        {**GO, **BEARER, "Content-Type": "application/json"},
    ),
    Recorded("PUT", f"{PROCESSES}/nothing", {"process": {"command": ["a"]}}, 404, {"error": str}),
    Recorded("POST", f"{API}/config/save", None, 200, {"status": "saved", "message": str}),
    Recorded(
        "DELETE", f"{PROCESSES}/added", None, 200, {"status": "removed", "process": "added", "message": str}
    ),
    Recorded("DELETE", f"{PROCESSES}/added", None, 404, {"error": str}),
    Recorded("POST", f"{API}/config/save", None, 200, {"status": "saved", "message": str}),
    Recorded("POST", f"{API}/config/reload", None, 200, {"status": "reloaded", "message": str}),
    Recorded("GET", f"{API}/metrics/history?instance=web-0", None, 400, {"error": str}),
    Recorded("GET", f"{API}/metrics/history?process=web", None, 400, {"error": str}),
    Recorded(
        "GET", f"{API}/metrics/history?process=web&instance=web-0&since=soon", None, 400, {"error": str}
    ),
    Recorded("GET", f"{API}/metrics/history?process=web&instance=web-0&limit=0", None, 400, {"error": str}),
    Recorded("GET", f"{API}/metrics/history?process=nothing&instance=web-0", None, 404, {"error": str}),
    Recorded(
        "GET",
        f"{API}/metrics/history?process=web&instance=web-0&since=1795511283&limit=100",
        None,
        503,
        {"error": str},
    ),
    Recorded("GET", f"{API}/nothing", None, 404, {"error": str}),
    Recorded("PATCH", PROCESSES, None, 405, NOT_ALLOWED),
)


def differences(expected: Any, value: Any, where: str = "") -> list[str]:
    """What of ``value`` is not as expected. A mapping may have more members than the expected ones."""
    if isinstance(expected, re.Pattern):
        return [] if isinstance(value, str) and expected.fullmatch(value) else [f"{where}: {value!r}"]
    if isinstance(expected, type | tuple):
        fits = isinstance(value, expected) and (expected is object or not isinstance(value, bool))
        return [] if fits else [f"{where}: {value!r} is no {expected}"]
    if isinstance(expected, dict) and isinstance(value, dict):
        missing = [f"{where}.{key} is missing" for key in expected if key not in value]
        return missing + [
            problem
            for key, one in expected.items()
            if key in value
            for problem in differences(one, value[key], f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(value, list) and len(expected) == len(value):
        pairs = zip(expected, value, strict=True)
        return [line for at, pair in enumerate(pairs) for line in differences(*pair, f"{where}[{at}]")]
    same = type(expected) is type(value) and expected == value
    return [] if same else [f"{where}: {value!r} is not {expected!r}"]


class Caller:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, request: Recorded) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = request.body if isinstance(request.body, bytes | None) else json.dumps(request.body).encode()
        headers = dict(request.headers)
        if request.method == "POST" and body is None:
            headers["Content-Length"] = "0"  # as curl -X POST and Go's client do
        connection.request(request.method, request.path, body, headers)
        reply = connection.getresponse()
        assert reply.getheader("content-type") == "application/json"
        if reply.status == 405:
            assert reply.getheader("allow")
        content = reply.read()
        connection.close()
        return reply.status, content

    def json(self, method: str, path: str, body: object = None) -> Any:
        status, content = self.ask(Recorded(method, path, body, 0, None))
        assert status < 300, content
        return json.loads(content)


def nothing_set() -> dict[str, str]:
    """A variable for each key, set to nothing as images do, which leaves what the file says."""
    names = ["_".join(key.path) for key in OF_ENVIRONMENT]
    return {f"CBOX_INIT_{name.upper().replace('PROCESSES_X', 'PROCESS_WEB')}": "" for name in names}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, Caller]]:
    port = free_port()
    daemon = DaemonProcess(
        tmp_path_factory.mktemp("recorded"), CONFIG.replace("PORT", str(port)), env=nothing_set()
    )
    daemon.until_said("All processes started successfully")
    wait_for(lambda: len(daemon.lines("php-fpm")) == 2, daemon.output())
    yield daemon, Caller(port)
    daemon.end()


def test_every_recorded_request(served: tuple[DaemonProcess, Caller]) -> None:
    daemon, caller = served
    wrong: list[str] = []
    for request in RECORDED:
        status, content = caller.ask(request)
        if status != request.status:
            wrong.append(f"{request}: {status} {content!r}")
        elif isinstance(request.reply, bytes):
            content = CHANGE.sub(b"", content)
            wrong += [f"{request}: {content!r}"] if content != request.reply else []
        else:
            wrong += [f"{request}{one}" for one in differences(request.reply, json.loads(content))]
    assert not wrong, "\n".join(wrong)
    executions = caller.json("GET", f"{API}/oneshot/history")["executions"]
    assert not differences(EXECUTION, executions[-1])
    assert _described(caller) <= {_template(one.path) for one in RECORDED} | OURS
    assert "Traceback" not in daemon.output() + daemon.errors()
    assert len(nothing_set()) > 200
    assert not [message for message in daemon.messages() if "CBOX_INIT_" in str(message)]


#: Routes that no other client knows, and the stream, which is tested on its own.
OURS: Final = {
    f"{API}/actions",
    f"{API}/instances/{{id}}/restart",
    f"{API}/instances/{{id}}/signal",
    f"{API}/instances/{{id}}/stop",
    f"{API}/processes/{{name}}/signal",
    f"{API}/changes",
    f"{API}/changes/{{id}}",
    f"{API}/events",
    f"{API}/processes/{{name}}/events",
    f"{API}/config",
    f"{API}/config/validate",
    f"{API}/sessions",
    f"{API}/sessions/codes",
    f"{API}/sessions/current",
    f"{API}/daemon",
    f"{API}/live",
    f"{API}/logs/outputs",
    f"{API}/logs/stream",
    f"{API}/notifications",
    f"{API}/notifications/{{notification}}/test",
    f"{API}/openapi.json",
    f"{API}/readiness",
    f"{API}/schedules/upcoming",
    f"{API}/shutdown",
    f"{API}/whoami",
}


def _described(caller: Caller) -> set[str]:
    return set(caller.json("GET", f"{API}/openapi.json")["paths"])


def _template(path: str) -> str:
    return re.sub(r"/processes/[^/]+", "/processes/{name}", path.partition("?")[0])


def test_the_stream_has_no_other_names(served: tuple[DaemonProcess, Caller]) -> None:
    _, caller = served
    connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    connection.request("GET", f"{API}/logs/stream?process=php-fpm&tail=1", headers={**GO, **BEARER})
    reply = connection.getresponse()
    assert reply.getheader("content-type") == "text/event-stream"
    fields: dict[str, str] = {}
    while "data" not in fields:
        name, _, value = reply.readline().decode().rstrip("\n").partition(": ")
        fields[name] = value
    connection.close()
    assert fields["event"] == "log"
    entry = json.loads(fields["data"])
    assert list(entry) == [name for name in LINE if name.islower()]
    assert not differences({name: value for name, value in LINE.items() if name.islower()}, entry)


def form() -> dict[str, Any]:
    """A process as a form sends it that has every field, most of them at the zero of their type."""
    saved = yaml.safe_load((Path(__file__).parents[1] / "config/saved.yaml").read_text())
    process: dict[str, Any] = saved["processes"]["web"]
    process["command"] = ["sleep", "1000"]
    process["logging"]["files"] = {}
    return process


def test_a_form_with_every_field_adds_and_changes(served: tuple[DaemonProcess, Caller]) -> None:
    daemon, caller = served
    path = f"{PROCESSES}/form"
    assert caller.json("POST", PROCESSES, {"name": "form", "process": form()})["status"] == "created"
    plain = {"command": ["sleep", "1000"], "scale": 0}
    assert caller.json("POST", PROCESSES, {"name": "plain", "process": plain})["status"] == "created"
    added = caller.json("GET", path)["config"]
    assert added["health_check"] is None
    assert added["shutdown"]["pre_stop_hook"] is None
    logging = added.pop("logging")
    expected = caller.json("GET", f"{PROCESSES}/plain")["config"]
    assert (added, {**logging, **dict.fromkeys(("redaction", "multiline", "json", "level_detection"))}) == (
        expected,
        expected.pop("logging"),
    )
    assert caller.json("PUT", path, {"process": {**form(), "scale": 1, "max_memory_mb": 64}})
    changed = caller.json("GET", path)["config"]
    changed.pop("logging")
    assert changed == {**added, "scale": 1, "max_memory_mb": 64}
    caller.json("POST", f"{API}/config/save")
    before = daemon.config.read_text()
    reloaded = caller.json("POST", f"{API}/config/reload")
    assert (reloaded["changed"], reloaded["adjusted"], reloaded["added"]) == ([], [], [])
    assert daemon.config.read_text() == before
    for name in ("form", "plain"):
        caller.json("DELETE", f"{PROCESSES}/{name}")
    caller.json("POST", f"{API}/config/save")


def test_a_whole_configuration_that_is_put_back_changes_nothing(served: tuple[DaemonProcess, Caller]) -> None:
    daemon, caller = served
    before = daemon.config.read_text()
    wait_for(lambda: _is_settled(caller), daemon.output())  # after the actions of other tests
    pids = _pids(caller)
    for name in ("php-fpm", "web", "report", "migrate"):
        config = caller.json("GET", f"{PROCESSES}/{name}")["config"]
        assert caller.json("PUT", f"{PROCESSES}/{name}", {"process": config})["status"] == "updated"
        assert caller.json("GET", f"{PROCESSES}/{name}")["config"] == config
    caller.json("POST", f"{API}/config/save")
    assert daemon.config.read_text() == before
    assert _pids(caller) == pids
    config = caller.json("GET", f"{PROCESSES}/web")["config"]
    config["health_check"]["period"] = 45
    caller.json("PUT", f"{PROCESSES}/web", {"process": config})
    caller.json("POST", f"{API}/config/save")
    lines = set(before.splitlines()) ^ set(daemon.config.read_text().splitlines())
    assert len(lines) == 2
    assert all("health_check" in line for line in lines)
    assert "hush" in daemon.config.read_text()


def _is_settled(caller: Caller) -> bool:
    processes = caller.json("GET", PROCESSES)["processes"]
    return all(
        one["scale"] == one["desired_scale"]
        and one["state"] in ("running", "stopped", "completed", "scheduled")
        for one in processes
        if one["type"] == "longrun"
    )


def _pids(caller: Caller) -> list[int]:
    """Of the processes with instances that stay."""
    return [
        instance["pid"]
        for process in caller.json("GET", PROCESSES)["processes"]
        if process["type"] == "longrun"
        for instance in process["instances"]
    ]


def test_seconds_are_integers_for_a_client_that_reads_integers(served: tuple[DaemonProcess, Caller]) -> None:
    _, caller = served
    _, content = caller.ask(Recorded("GET", f"{PROCESSES}/web", None, 200, None))
    assert not re.search(rb'"[a-z_]+":-?\d+\.0[,}\]]', content)
    config = json.loads(content)["config"]
    assert config["shutdown"]["timeout"] == 5
    assert config["health_check"]["initial_delay"] == 0
