"""OTLP over HTTP to a collector of ours."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.config.model.enums import LogLevel
from cbox_init.config.secret import Secret
from cbox_init.logs.outputs.otlp import OtlpBackend, OtlpFormat
from cbox_init.logs.outputs.retry import Retry
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.writer import Writer
from tests.logs.conftest import end
from tests.logs.outputs.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.logs.conftest import Said

WEB = RecordSource("web", "web-0", "stdout")
AT_NS = 1_764_000_000_123_456_789


class Collector(ThreadingHTTPServer):
    """Answers with the status and body that ``answers`` has next, then with 200."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.largest = 1 << 30
        self.refuses = (b"", 400)
        self.refused = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/logs"

    def records(self) -> list[dict[str, Any]]:
        """Every record, with the attributes of its resource and its own as plain members."""
        found = []
        for request in self.requests:
            for resource in request["resourceLogs"]:
                shared = plain(resource["resource"]["attributes"])
                for scope in resource["scopeLogs"]:
                    assert scope["scope"]["name"] == "cbox-init"
                    found += [
                        {**record, **shared, **plain(record["attributes"])} for record in scope["logRecords"]
                    ]
        return found

    def bodies(self) -> list[str]:
        return [record["body"]["stringValue"] for record in self.records()]

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = 200, b"{}"
        headers: dict[str, str] = {}
        word, refusal = self.server.refuses
        if word and word in body:
            self.server.refused += 1
            status = refusal
        elif len(body) > self.server.largest:
            status = 413
        elif self.server.answers:
            status, headers, answer = self.server.answers.pop(0)
        if status == 200:
            self.server.requests.append(json.loads(body))
            self.server.headers.append(dict(self.headers))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def plain(attributes: list[dict[str, Any]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for attribute in attributes:
        ((kind, value),) = attribute["value"].items()
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


class Sender:
    def __init__(self, url: str, said: Said, **headers: str) -> None:
        self.retry = Retry(said.log, url)
        secrets = {name: Secret(value) for name, value in headers.items()}
        self.writer = Writer(OtlpBackend(url, secrets, self.retry))
        self._encode = OtlpFormat().encoder(WEB, {"team": "shop"})

    def send(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(*self._encode(Block(AT_NS, WEB, LogLevel.INFO, line.encode())), WEB)


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


def test_a_record_and_who_wrote_it(collector: Collector, said: Said) -> None:
    sender = Sender(collector.url, said, Authorization="Bearer x")
    encode = OtlpFormat().encoder(WEB, {"team": "shop"})
    fields = b'{"n":1,"f":1.5,"b":true,"s":"x","l":[1,null]}'
    block = Block(AT_NS, WEB, LogLevel.ERROR, b"one\ntwo \xff", single=True, fields=fields)
    sender.writer.write(*encode(block), WEB)
    other = RecordSource("api", "api-1", "stderr")
    sender.writer.write(
        *OtlpFormat().encoder(other, {})(Block(AT_NS, other, LogLevel.DEBUG, b"a\nb", partial=True)), other
    )
    sender.writer.write(OtlpFormat().message(AT_NS, LogLevel.WARN, "Said", {"pid": 7, "error": None}))
    end(sender.writer)
    first, second, third, own = sorted(
        collector.records(), key=lambda record: ("web", "api", "cbox-init").index(record["service.name"])
    )
    assert first["body"] == {"stringValue": "one\ntwo \\xff"}
    assert (first["severityNumber"], first["severityText"]) == (17, "ERROR")
    assert first["timeUnixNano"] == str(AT_NS)
    assert (first["service.name"], first["service.instance.id"]) == ("web", "web-0")
    assert (first["log.iostream"], first["labels.team"]) == ("stdout", "shop")
    assert [first[name] for name in "nfbsl"] == [1, 1.5, True, "x", "[1,null]"]
    assert [second["service.name"], third["partial"], third["severityNumber"]] == ["api", True, 5]
    assert (own["service.name"], own["pid"], own["severityNumber"]) == ("cbox-init", 7, 13)
    assert "error" not in own
    assert collector.headers[0]["Authorization"] == "Bearer x"
    assert collector.headers[0]["Content-Type"] == "application/json"


def test_who_is_away_is_waited_for(said: Said) -> None:
    collector = Collector()
    port = collector.server_address[1]
    sender = Sender(collector.url, said)
    sender.send(*numbers(100))
    assert sender.writer.flush(20)
    collector.close()
    sender.send(*numbers(100, 100))
    wait_for(lambda: sender.retry.error, "the failure")
    again = Collector(port)
    sender.writer.reopen()
    end(sender.writer)
    again.close()
    assert collector.bodies() + again.bodies() == numbers(200)
    assert said.messages() == ["Log output cannot be written", "Log output can be written again"]
    assert (sender.writer.written, sender.writer.dropped) == (200, 0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_wants_it_later_gets_it_later(collector: Collector, said: Said, status: int) -> None:
    collector.answers = [(status, {"Retry-After": "0"}, b"")] * 2
    sender = Sender(collector.url, said)
    sender.send(*numbers(10))
    end(sender.writer)
    assert collector.bodies() == numbers(10)
    assert said.records()[0]["error"] == f"answered with {status}"


def test_what_is_refused_is_counted_and_said_once(collector: Collector, said: Said) -> None:
    collector.answers = [(401, {}, b"")] * 2
    sender = Sender(collector.url, said)
    for turn in range(3):
        sender.send("\n".join(numbers(10, turn * 10)))
        assert sender.writer.flush(20)
    end(sender.writer)
    assert collector.bodies() == numbers(10, 20)
    assert (sender.writer.written, sender.writer.dropped) == (10, 20)
    assert [(record["msg"], record["error"]) for record in said.records()] == [
        ("Log output refuses records", "answered with 401")
    ]


def test_what_is_refused_in_part_is_counted(collector: Collector, said: Said) -> None:
    answer = b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}'
    collector.answers = [(200, {}, answer), (200, {}, b"no JSON")]
    sender = Sender(collector.url, said)
    for _ in range(2):
        sender.send("a\nb\nc\nd")
        assert sender.writer.flush(20)
    end(sender.writer)
    assert sender.writer.dropped == 3
    assert said.records()[0]["error"] == "too old"


def test_a_request_that_is_too_large_is_sent_in_parts(collector: Collector, said: Said) -> None:
    collector.largest = 5000
    sender = Sender(collector.url, said)
    sender.send(*numbers(100), "x" * 6000)
    end(sender.writer)
    assert collector.bodies() == numbers(100)
    assert len(collector.requests) > 3
    assert sender.writer.dropped == 1


def test_nobody_waits_for_what_nobody_wants(said: Said) -> None:
    sender = Sender("http://127.0.0.1:1/v1/logs", said)
    sender.send(*numbers(10))
    wait_for(lambda: sender.retry.error, "the failure")
    sender.retry.leave(0)
    end(sender.writer)
    assert sender.writer.dropped == 10


def refusing(collector: Collector, word: str, status: int = 400) -> None:
    """Let it refuse each request that has ``word`` in it."""
    collector.refuses = word.encode(), status


def test_one_record_that_is_refused_costs_no_other(collector: Collector, said: Said) -> None:
    refusing(collector, "line 377")
    sender = Sender(collector.url, said)
    encode = OtlpFormat().encoder(WEB, {})
    block = Block(AT_NS, WEB, LogLevel.INFO, "\n".join(numbers(500)).encode())
    sender.writer.write(*encode(block), WEB)
    end(sender.writer)
    assert collector.bodies() == [line for line in numbers(500) if line != "line 377"]
    assert (sender.writer.written, sender.writer.dropped) == (499, 1)
    assert said.messages() == ["Log output refuses records"]


def test_a_collector_that_refuses_everything_is_not_asked_for_each_record(
    collector: Collector, said: Said
) -> None:
    refusing(collector, "line")
    sender = Sender(collector.url, said)
    encode = OtlpFormat().encoder(WEB, {})
    sender.writer.write(*encode(Block(AT_NS, WEB, LogLevel.INFO, "\n".join(numbers(5000)).encode())), WEB)
    end(sender.writer)
    assert sender.writer.dropped == 5000
    assert collector.refused <= 200


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["nonsense://x:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_holds_up_nobody(
    collector: Collector, said: Said, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    with monkeypatch.context() as environ:
        environ.setenv(name, proxy)
        sender = Sender(collector.url, said)
        sender.send(*numbers(100))
        wait_for(lambda: sender.writer.dropped == 100, "dropped")
    sender.writer.reopen()
    sender.send("there")
    end(sender.writer)
    assert collector.bodies() == ["there"]
    assert said.messages() == ["Log output cannot be written", "Log output can be written again"]


@pytest.mark.parametrize("url", ["http://a..b/v1/logs", "ftp://a/v1/logs", "http://[::1/v1/logs"])
def test_an_address_that_can_never_be_one_holds_up_nobody(said: Said, url: str) -> None:
    sender = Sender(url, said)
    sender.send(*numbers(10))
    wait_for(lambda: sender.writer.dropped == 10, "dropped")
    end(sender.writer)
    assert said.messages() == ["Log output cannot be written"]
