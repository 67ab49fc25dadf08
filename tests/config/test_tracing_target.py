"""Where traces are sent to, from the keys of tracing together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import GlobalConfig, TracingExporter
from cbox_init.config.problems import Severity
from cbox_init.config.tracing_target import TracingTarget, target_of
from tests.config.helpers import fields

if TYPE_CHECKING:
    from tests.config.conftest import Read


@pytest.mark.parametrize(
    ("exporter", "endpoint", "use_tls", "wanted"),
    [
        ("otlp-grpc", None, False, (True, "localhost:4317", False)),
        ("otlp-grpc", "collector", True, (True, "collector:4317", True)),
        ("otlp-grpc", "collector:9000", False, (True, "collector:9000", False)),
        ("otlp-grpc", "http://collector:9000", False, (True, "collector:9000", False)),
        ("otlp-grpc", "https://collector", False, (True, "collector:4317", True)),
        ("otlp-grpc", "[::1]:9000", False, (True, "[::1]:9000", False)),
        ("otlp-grpc", "[::1]", False, (True, "[::1]:4317", False)),
        ("jaeger", "collector:4317", False, (True, "collector:4317", False)),
        ("zipkin", None, False, (True, "localhost:4317", False)),
        ("otlp-http", None, False, (False, "http://localhost:4318/v1/traces", False)),
        ("otlp-http", "collector:4318", True, (False, "https://collector:4318/v1/traces", True)),
        ("otlp-http", "http://collector:4318/", False, (False, "http://collector:4318/v1/traces", False)),
        ("otlp-http", "http://collector", False, (False, "http://collector:4318/v1/traces", False)),
        ("otlp-http", "https://collector/x/y", False, (False, "https://collector:443/x/y", True)),
    ],
)
def test_targets(exporter: str, endpoint: str | None, use_tls: bool, wanted: tuple[bool, str, bool]) -> None:
    settings = GlobalConfig(
        tracing_exporter=TracingExporter(exporter), tracing_endpoint=endpoint, tracing_use_tls=use_tls
    )
    assert target_of(settings) == TracingTarget(*wanted)


def test_the_log_has_no_target() -> None:
    assert target_of(GlobalConfig()) is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "a b:1",
        "collector:x",
        "collector:99999",
        "ftp://collector",
        "http://user:pa55@collector",
        "http://c:1/path",
        "http://c:1/?key=pa55",
        "user:pa55@collector:1",
        "://",
    ],
)
def test_an_endpoint_that_cannot_be_used(read: Read, endpoint: str) -> None:
    text = f"""
        global: {{tracing_enabled: true, tracing_exporter: otlp-grpc, tracing_endpoint: '{endpoint}'}}
        processes: {{web: {{command: a}}}}
    """
    found = read(text)
    assert fields(found, Severity.ERROR) == ["global.tracing_endpoint"]
    assert "pa55" not in str(found.problems)
    off = read(text.replace("tracing_enabled: true, ", ""))
    assert fields(off, Severity.ERROR) == []


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ("tracing_exporter: jaeger", "global.tracing_exporter", "jaeger is reached over OTLP"),
        ("tracing_exporter: zipkin", "global.tracing_exporter", "zipkin is reached over OTLP"),
        ("tracing_endpoint: 'a:1'", "global.tracing_endpoint", "has no effect"),
        (
            "tracing_exporter: otlp-http, tracing_endpoint: 'http://zipkin:9411/api/v2/spans'",
            "global.tracing_endpoint",
            "does not speak OTLP",
        ),
        ("tracing_exporter: otlp-grpc, tracing_endpoint: 'j:14268'", "global.tracing_endpoint", "OTLP"),
    ],
)
def test_warnings(read: Read, keys: str, field: str, message: str) -> None:
    found = read(f"{{global: {{tracing_enabled: true, {keys}}}, processes: {{web: {{command: a}}}}}}")
    (warning,) = found.problems
    assert (warning.severity, warning.field) == (Severity.WARNING, field)
    assert message in warning.message
    assert warning.recommendation
    assert "\n" not in str(warning)
