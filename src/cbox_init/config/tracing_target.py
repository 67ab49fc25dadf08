"""Where traces are sent to: what the ``tracing_*`` keys mean together, and what is wrong with them.

Imported only where ``tracing_enabled`` is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.endpoints import parse_address, parse_url
from cbox_init.config.model import TracingExporter

if TYPE_CHECKING:
    from cbox_init.config.model import GlobalConfig
    from cbox_init.config.problems import ProblemReport

_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
_HTTP_PATH: Final = "/v1/traces"

#: Ports of Jaeger and Zipkin where something else than OTLP is spoken.
_OTHER_PORTS: Final = (6831, 6832, 9411, 14250, 14268)


class TracingTarget(Struct, frozen=True):
    """A collector that speaks OTLP. ``grpc``: over gRPC, with ``endpoint`` as HOST:PORT; else a URL."""

    grpc: bool
    endpoint: str
    tls: bool


def target_of(settings: GlobalConfig) -> TracingTarget | None:
    """Where these settings send traces to; None for the log. Raises ValueError, which says what is wrong."""
    exporter = settings.tracing_exporter
    if exporter is TracingExporter.STDOUT:
        return None
    grpc = exporter is not TracingExporter.OTLP_HTTP
    port = _GRPC_PORT if grpc else _HTTP_PORT
    text = (settings.tracing_endpoint or "").strip() or f"localhost:{port}"
    tls = settings.tracing_use_tls
    for sign, what in (("@", "a user or a password"), ("?", "a query")):
        if sign in text:  # first: other errors quote it
            raise ValueError(f"it has {what}")
    if "://" not in text:
        endpoint = parse_address(text if _has_port(text) else f"{text}:{port}")
        scheme = "https" if tls else "http"
        return TracingTarget(grpc, str(endpoint) if grpc else f"{scheme}://{endpoint}{_HTTP_PATH}", tls)
    url = parse_url(text)
    tls = tls or url.tls
    if grpc:
        if url.target != "/":
            raise ValueError(f"it has a path, {url.target}, which gRPC does not use")
        named = url.authority if _has_port(url.authority) else f"{url.authority}:{port}"
        return TracingTarget(grpc, str(parse_address(named)), tls)
    path = _HTTP_PATH if url.target == "/" else url.target
    named = url.authority if _has_port(url.authority) else f"{url.authority}:{443 if url.tls else port}"
    return TracingTarget(grpc, f"{'https' if tls else 'http'}://{named}{path}", tls)


def check_tracing(settings: GlobalConfig, report: ProblemReport) -> None:
    """Report what is wrong with the keys of tracing, which is enabled."""
    exporter = settings.tracing_exporter
    if exporter in (TracingExporter.JAEGER, TracingExporter.ZIPKIN):
        report.warning(
            ("global", "tracing_exporter"), f"{exporter} is reached over OTLP", "write otlp-grpc or otlp-http"
        )
    try:
        target = target_of(settings)
    except ValueError as error:
        report.error(
            ("global", "tracing_endpoint"),
            f"{_shown(settings.tracing_endpoint or '')!r} cannot be used: {error}",
            "write HOST:PORT or, with a path for otlp-http, http://HOST:PORT/PATH; "
            "credentials go into OTEL_EXPORTER_OTLP_HEADERS",
        )
        return
    if target is None and settings.tracing_endpoint:
        report.warning(
            ("global", "tracing_endpoint"),
            "has no effect: the exporter is stdout",
            "set tracing_exporter: otlp-grpc or otlp-http, or remove it",
        )
    elif target is not None and _speaks_something_else(settings):
        report.warning(
            ("global", "tracing_endpoint"),
            "has a port where Jaeger or Zipkin does not speak OTLP",
            "write the collector's port for OTLP: 4317 for gRPC, 4318 for HTTP",
        )


def _speaks_something_else(settings: GlobalConfig) -> bool:
    authority = (settings.tracing_endpoint or "").partition("://")[2] or settings.tracing_endpoint or ""
    port = authority.partition("/")[0].rpartition(":")[2]
    return any(port == str(one) for one in _OTHER_PORTS)


def _shown(endpoint: str) -> str:
    """An endpoint without what may be a secret."""
    scheme, separator, rest = endpoint.partition("?")[0].rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _has_port(authority: str) -> bool:
    _, colon, port = authority.rpartition(":")
    return (
        bool(colon) and port.isascii() and port.isdigit() and (authority.count(":") == 1 or "]:" in authority)
    )
