"""Collectors that speak OTLP, over gRPC and over HTTP, in threads of the test."""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.supervisor.health.certificates import Certificate

DEADLINE_S = 30.0

Value = str | int | float | bool


class Received:
    """One span as the collector has it."""

    def __init__(self, span: Span, resource: dict[str, Value]) -> None:
        self.name = span.name
        self.trace_id = span.trace_id.hex()
        self.span_id = span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.state = span.trace_state
        self.kind = span.kind
        self.start_ns = span.start_time_unix_nano
        self.end_ns = span.end_time_unix_nano
        self.failed = span.status.code == 2
        self.error = span.status.message
        self.attributes = _values(span.attributes)
        self.resource = resource


class Collector:
    """Keeps what it receives. ``hang`` makes it answer nothing until ``close``; ``refuse`` fail at once."""

    address = ""
    port = 0

    def __init__(self) -> None:
        self.requests = 0
        self.refuse = False
        self.hang = False
        self.closed = threading.Event()
        self._spans: list[Received] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop; what hangs is answered."""

    def take(self, request: messages.ExportTraceServiceRequest) -> bool:
        """Keep the spans of a request; False when it is to be refused."""
        with self._lock:
            self.requests += 1
        if self.hang:
            self.closed.wait(DEADLINE_S)
        if self.refuse:
            return False
        with self._lock:
            self._spans.extend(
                Received(span, _values(of.resource.attributes))
                for of in request.resource_spans
                for scope in of.scope_spans
                for span in scope.spans
            )
        return True

    @property
    def spans(self) -> list[Received]:
        with self._lock:
            return list(self._spans)

    def named(self, name: str) -> list[Received]:
        """Those of this name, in the order in which they were received."""
        return [span for span in self.spans if span.name == name]

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, [(span.name, span.attributes) for span in self.spans]
            time.sleep(0.01)

    def one(self, name: str, **attributes: Value) -> Received:
        """The span of this name with these attributes (``_`` for a dot), once it has come."""

        def found() -> list[Received]:
            return [
                span
                for span in self.named(name)
                if all(
                    span.attributes.get(key.replace("_", ".")) == value for key, value in attributes.items()
                )
            ]

        self.wait(found)
        (span,) = found()
        return span


class GrpcCollector(Collector):
    def __init__(self, port: int = 0, certificate: Certificate | None = None) -> None:
        super().__init__()
        collector = self

        class Service(service.TraceServiceServicer):
            def Export(  # noqa: N802
                self, request: messages.ExportTraceServiceRequest, context: grpc.ServicerContext
            ) -> messages.ExportTraceServiceResponse:
                if not collector.take(request):
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not these")
                return messages.ExportTraceServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        service.add_TraceServiceServicer_to_server(Service(), self._server)  # type: ignore[no-untyped-call]
        if certificate is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            pair = (certificate.key.read_bytes(), certificate.cert.read_bytes())
            credentials = grpc.ssl_server_credentials([pair])
            self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def close(self) -> None:
        self.closed.set()
        self._server.stop(0).wait(DEADLINE_S)


class HttpCollector(Collector):
    """``tail`` is how many bytes it says that it sends in its answer, and does not."""

    def __init__(self, port: int = 0, certificate: Certificate | None = None) -> None:
        super().__init__()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                collector.headers.append(dict(self.headers))
                taken = collector.take(messages.ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if taken else 400)
                self.send_header("content-length", str(collector.tail))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.tail = 0
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that are gone
        self.port = self._server.server_port
        self.address = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE_S)


def _values(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    assert kind is not None
    found: Value = getattr(value, kind)
    return found
