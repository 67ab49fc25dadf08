"""Spans reach a collector; one that is away, hangs or refuses costs a warning."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.config.tracing_target import TracingTarget
from cbox_init.logs.daemon import DaemonLog
from cbox_init.tracing.sdk import SdkExporter
from cbox_init.tracing.sender import BATCH, MOST_WAITING, MissingExtra, SpanSender
from cbox_init.tracing.span import Sampler, TraceSpan
from tests.ports import free_port
from tests.supervisor.health.certificates import make_certificate
from tests.tracing.collector import Collector, GrpcCollector, HttpCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SAMPLER = Sampler(1.0)
SOON_S = 0.01


class Said(DaemonLog):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.failed = 0
        self.mask = None

    def log(self, level: Any, message: str, **fields: Any) -> None:
        self.messages.append((message, fields))

    def named(self, message: str) -> list[dict[str, Any]]:
        return [fields for text, fields in self.messages if text == message]


def span(name: str = "x", parent: TraceSpan | None = None) -> TraceSpan:
    made = SAMPLER.begin(name, parent.context if parent is not None else None)
    made.end_ns = time.time_ns()
    return made


def target(collector: Collector) -> TracingTarget:
    grpc = isinstance(collector, GrpcCollector)
    return TracingTarget(grpc, collector.address if grpc else f"{collector.address}/v1/traces", False)


def sender(exporter: Callable[[], Any], log: DaemonLog | None = None, **times: float) -> SpanSender:
    times = {"collect_s": SOON_S, "first_pause_s": SOON_S, "warn_each_s": 3600.0, **times}
    return SpanSender(exporter, log or Said(), "collector:4317", **times)  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # threads do not set an Event of asyncio
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("make", [GrpcCollector, HttpCollector])
async def test_spans_reach_the_collector_as_they_are(make: Callable[[], Collector]) -> None:
    with make() as collector:
        sends = sender(lambda: SdkExporter(target(collector), "shop"))
        root = span("root")
        root.describe({"process.name": "web", "process.scale": 2, "share": 0.5, "yes": True})
        child = span("child", root)
        child.error = "exit code 3"
        remote = SAMPLER.begin("remote", root.context._replace(state="a=1"), remote=True)
        remote.end_ns = remote.start_ns + 1_500_000
        for one in (child, root, remote):
            sends.put(one)
        await until(lambda: len(collector.spans) == 3)
        await sends.close(5.0)
    first, second, third = collector.spans
    assert (first.name, second.name, third.name) == ("child", "root", "remote")
    assert second.trace_id == f"{root.context.trace_id:032x}" == first.trace_id
    assert (second.parent_id, first.parent_id) == ("", f"{root.context.span_id:016x}")
    assert (first.span_id, first.failed, first.error) == (
        f"{child.context.span_id:016x}",
        True,
        "exit code 3",
    )
    assert (second.failed, second.attributes) == (
        False,
        {"process.name": "web", "process.scale": 2, "share": 0.5, "yes": True},
    )
    assert (third.state, third.kind, second.kind) == ("a=1", 2, 1)
    assert (third.start_ns, third.end_ns) == (remote.start_ns, remote.end_ns)
    assert second.resource["service.name"] == "shop"
    assert (sends.lost, sends.waiting) == (0, 0)


@pytest.mark.parametrize("make", [GrpcCollector, HttpCollector])
async def test_a_collector_that_comes_back_gets_what_waited(make: Callable[..., Collector]) -> None:
    port, log = free_port(), Said()
    made = make(port)
    made.close()
    sends = sender(lambda: SdkExporter(target(made), "x", timeout_s=1.0), log)
    sends.put(span("before"))
    await until(lambda: sends._failing)
    with make(port) as collector:
        sends.put(span("after"))
        await until(lambda: len(collector.spans) == 2)
        await until(lambda: log.named("Traces are sent again"))
        await sends.close(5.0)
    assert [one.name for one in collector.spans] == ["before", "after"]
    (warning,) = log.named("Traces cannot be sent")
    assert warning["endpoint"] == "collector:4317"
    assert "efused" in warning["error"]
    assert sends.lost == 0


@pytest.mark.parametrize("make", [GrpcCollector, HttpCollector])
async def test_a_collector_that_hangs_does_not_hold_up_the_end(make: Callable[[], Collector]) -> None:
    log = Said()
    with make() as collector:
        collector.hang = True
        sends = sender(lambda: SdkExporter(target(collector), "x"), log)
        sends.put(span())
        await until(lambda: collector.requests)
        sends.put(span())
        await sends.close(0.05)
        (said,) = log.named("Traces were not sent before the end")
        assert said["spans"] == 2
        sends.put(span())
        assert (sends.lost, len(sends._queue)) == (3, 0)


@pytest.mark.parametrize("make", [GrpcCollector, HttpCollector])
async def test_what_a_collector_refuses_is_given_up(make: Callable[[], Collector]) -> None:
    log = Said()
    with make() as collector:
        collector.refuse = True
        sends = sender(lambda: SdkExporter(target(collector), "x"), log, kept_s=0.0)
        sends.put(span("refused"))
        await until(lambda: sends.lost == 1)
        collector.refuse = False
        sends.put(span("taken"))
        await until(lambda: collector.spans)
        await sends.close(5.0)
    assert [one.name for one in collector.spans] == ["taken"]
    (warning,) = log.named("Traces cannot be sent")
    assert "not these" in warning["error"] or "400" in warning["error"]


@pytest.mark.parametrize("make", [GrpcCollector, HttpCollector])
async def test_tls_is_checked_against_the_authorities_of_the_sdk(
    make: Callable[..., Collector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, log = make_certificate(tmp_path, "localhost"), Said()
    with make(certificate=certificate) as collector:
        grpc = isinstance(collector, GrpcCollector)
        place = f"localhost:{collector.port}"
        secured = TracingTarget(grpc, place if grpc else f"https://{place}/v1/traces", True)
        distrusts = sender(lambda: SdkExporter(secured, "x", timeout_s=1.0), log)
        distrusts.put(span("distrusted"))
        await until(lambda: log.named("Traces cannot be sent"))
        await distrusts.close(5.0)
        assert collector.spans == []
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate.cert))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc")
        trusts = sender(lambda: SdkExporter(secured, "x"))
        trusts.put(span("trusted"))
        await until(lambda: collector.spans)
        await trusts.close(5.0)
    assert [one.name for one in collector.spans] == ["trusted"]
    if isinstance(collector, HttpCollector):
        assert collector.headers[-1]["x-token"] == "abc"


async def test_an_answer_that_never_ends_is_not_read() -> None:
    with HttpCollector() as collector:
        collector.tail = 10**12
        sends = sender(lambda: SdkExporter(target(collector), "x"))
        for name in ("first", "second"):
            sends.put(span(name))
            await until(lambda: name in [one.name for one in collector.spans])  # noqa: B023
        await sends.close(5.0)
    assert sends.lost == 0


class Scripted:
    """An exporter that gives, or raises, what it is told."""

    def __init__(self, *results: str | Exception | None) -> None:
        self.results = list(results)
        self.sent: list[str] = []
        self.closed = False

    def export(self, spans: Sequence[TraceSpan]) -> str | None:
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        if result is None:
            self.sent += [one.name for one in spans]
        return result

    def close(self) -> None:
        self.closed = True


async def test_the_oldest_spans_are_dropped_when_too_many_wait() -> None:
    log, exporter = Said(), Scripted()
    sends = sender(lambda: exporter, log, collect_s=3600.0)
    for number in range(MOST_WAITING + 10):
        sends.put(span(str(number)))
    assert (sends.waiting, sends.lost) == (MOST_WAITING, 10)
    await sends.close(30.0)
    assert exporter.sent == [str(number) for number in range(10, MOST_WAITING + 10)]
    assert exporter.closed
    (warning,) = log.named("Traces cannot be sent")
    assert warning["error"] == "too many wait"


async def test_an_exporter_that_raises_is_tried_again() -> None:
    log, exporter = Said(), Scripted(ValueError("no"), "busy", None)
    sends = sender(lambda: exporter, log)
    sends.put(span("kept"))
    await until(lambda: exporter.sent)
    await sends.close(5.0)
    assert exporter.sent == ["kept"]
    assert [one["error"] for one in log.named("Traces cannot be sent")] == ["ValueError: no"]


async def test_warnings_come_at_intervals() -> None:
    log, exporter = Said(), Scripted(*["no"] * 3)
    sends = sender(lambda: exporter, log, warn_each_s=0.0)
    sends.put(span())
    await until(lambda: exporter.sent)
    assert len(log.named("Traces cannot be sent")) == 3
    await sends.close(5.0)


async def test_without_the_extra_spans_are_dropped_and_said_once() -> None:
    def missing() -> Scripted:
        raise MissingExtra("opentelemetry.sdk is not installed: pip install 'cbox-init[tracing]'")

    log = Said()
    sends = sender(missing, log)
    for _ in range(3):
        sends.put(span())
    await until(lambda: sends._unusable and not sends._running)
    sends.put(span())
    assert (sends.lost, sends.waiting) == (4, 0)
    (said,) = log.named("Traces are not sent")
    assert "pip install" in said["error"]
    await sends.close(5.0)


async def test_without_a_thread_the_next_span_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from cbox_init.threads import NoThreadError
    from cbox_init.tracing import sender as module

    log, exporter = Said(), Scripted()
    sends = sender(lambda: exporter, log)
    with monkeypatch.context() as broken:
        broken.setattr(module, "start_thread", _raise(NoThreadError("traces")))
        sends.put(span("first"))
        sends.put(span("second"))
    assert len(log.named("Traces cannot be sent")) == 1
    sends._no_thread_until = 0.0
    sends.put(span("third"))
    await until(lambda: len(exporter.sent) == 3)
    await sends.close(5.0)


async def test_nothing_runs_while_there_are_no_spans() -> None:
    sends = sender(Scripted)
    assert not sends._running
    await sends.close(5.0)
    await sends.close(5.0)


async def test_a_defect_ends_the_thread_and_the_next_span_starts_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, exporter = Said(), Scripted()
    sends = sender(lambda: exporter, log)
    with monkeypatch.context() as broken:
        broken.setattr(sends, "_take", _raise(RuntimeError("a defect")))
        sends.put(span("first"))
        await until(lambda: not sends._running)
    assert "a defect" in log.named("Traces cannot be sent")[0]["error"]
    sends._no_thread_until = 0.0
    sends.put(span("second"))
    await until(lambda: len(exporter.sent) == 2)
    await sends.close(5.0)


def _raise(error: Exception) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


def test_batches_are_smaller_than_what_waits() -> None:
    assert BATCH < MOST_WAITING
