"""The section ``autoscale``: what follows from its keys, and what is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.masking import masked
from cbox_init.config.model import AutoscaleMetric
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields

if TYPE_CHECKING:
    from tests.config.conftest import Read


def process(autoscale: str, others: str = "") -> str:
    return f"processes: {{web: {{command: a, {others}autoscale: {{{autoscale}}}}}}}"


@pytest.mark.parametrize(
    ("keys", "metric", "target"),
    [
        ("max: 4", AutoscaleMetric.CPU, 70.0),
        ("max: 4, target: 55 %", AutoscaleMetric.CPU, 55.0),
        ("max: 4, metric: memory, target: 256M", AutoscaleMetric.MEMORY, 2.0**28),
        ("max: 4, metric: memory, target: 256MB", AutoscaleMetric.MEMORY, 256e6),
        ("max: 4, command: [a], target: 2.5", AutoscaleMetric.COMMAND, 2.5),
        ("max: 4, url: 'http://a/', target: 1e3", AutoscaleMetric.HTTP, 1000.0),
        ("max: 4, url: 'http://a/', command: [a], metric: command, target: 1", AutoscaleMetric.COMMAND, 1.0),
    ],
)
def test_metric_and_target(read: Read, keys: str, metric: AutoscaleMetric, target: float) -> None:
    autoscale = config_of(read(process(keys))).processes["web"].autoscale
    assert autoscale is not None
    assert (autoscale.metric, autoscale.target) == (metric, target)


@pytest.mark.parametrize(
    ("keys", "others", "wrong"),
    [
        ("min: 1", "", ["max"]),
        ("max: 4, min: 5", "", ["min"]),
        ("max: 4, min: 0", "", ["min"]),
        ("max: 4, min: 0, command: [a], target: 1", "", []),
        ("max: 200", "", ["max"]),
        ("max: 4", "max_scale: 3, ", ["max"]),
        ("max: 4", "port_base: 65533, ", ["max"]),
        ("max: 4, metric: memory", "", ["target"]),
        ("max: 4, command: [a]", "", ["target"]),
        ("max: 4, metric: command, target: 1", "", ["command"]),
        ("max: 4, metric: http, target: 1", "", ["url"]),
        ("max: 4, url: 'ftp://a/', target: 1", "", ["url"]),
        ("max: 4, url: 'http://a/', target: 1, headers: {'a b': c}", "", ["headers.a b"]),
        ("max: 4, url: 'http://a/', target: 1, value: a..b", "", ["value"]),
        (f"max: 4, url: 'http://a/', target: 1, value: {'.'.join('a' * 21)}", "", ["value"]),
        ("max: 4, target: much", "", ["target"]),
        ("max: 4, target: -5", "", ["target"]),
        ("max: 4, metric: load", "", ["metric"]),
        ("max: 4, interval: 1ms", "", ["interval"]),
    ],
)
def test_what_cannot_be(read: Read, keys: str, others: str, wrong: list[str]) -> None:
    found = read(process(keys, others))
    paths = [f"processes.web.autoscale.{key}".rstrip(".") for key in wrong]
    assert fields(found) == paths
    assert all(problem.recommendation for problem in found.problems)


@pytest.mark.parametrize("others", ["type: oneshot, ", "schedule: '@hourly', "])
def test_it_has_no_effect_on_what_cannot_be_scaled(read: Read, others: str) -> None:
    found = read(process("max: 4", others))
    assert found.valid
    assert "processes.web.autoscale" in fields(found, Severity.WARNING)


def test_keys_without_effect_are_warnings(read: Read) -> None:
    found = read(process("max: 4, url: 'http://a/', value: a, timeout: 1s, headers: {A: b}, metric: cpu"))
    keys = ("url", "headers", "value", "timeout")
    assert fields(found, Severity.WARNING) == [f"processes.web.autoscale.{key}" for key in keys]


def test_headers_are_not_shown(read: Read) -> None:
    found = read(process("max: 4, url: 'http://a/', target: 1, headers: {Authorization: hush}"))
    assert "hush" not in str(masked(config_of(found).processes["web"]))
