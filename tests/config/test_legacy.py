"""Keys of older files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import HealthCheckConfig, HealthCheckType
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields

if TYPE_CHECKING:
    from tests.config.conftest import Read


def health(read: Read, keys: str) -> tuple[HealthCheckConfig, list[str]]:
    found = read(f"processes: {{web: {{command: a, health_check: {{{keys}}}}}}}")
    check = config_of(found).processes["web"].health_check
    assert check is not None
    return check, [problem.field for problem in found.problems if problem.field]


@pytest.mark.parametrize(
    ("old", "attribute", "value"),
    [
        ("interval: 7, port: 80", "period", 7.0),
        ("retries: 9, port: 80", "failure_threshold", 9),
        ("port: 8080", "address", "127.0.0.1:8080"),
        ("port: '${PORT}'", "address", "127.0.0.1:${PORT}"),
        ("address: 'http://localhost/x'", "url", "http://localhost/x"),
        ("address: 'http://localhost/x'", "type", HealthCheckType.HTTP),
        ("port: 80", "type", HealthCheckType.TCP),
        ("command: a b", "type", HealthCheckType.EXEC),
    ],
)
def test_health_checks(read: Read, old: str, attribute: str, value: object) -> None:
    check, warned = health(read, old)
    assert getattr(check, attribute) == value
    assert warned == []


@pytest.mark.parametrize(
    ("both", "attribute", "value", "warned"),
    [
        ("interval: 7, period: 8, port: 80", "period", 8.0, "interval"),
        ("port: 80, address: 'a:1'", "address", "a:1", "port"),
        ("address: 'http://a', url: 'http://b'", "url", "http://b", "address"),
    ],
)
def test_the_new_key_counts(read: Read, both: str, attribute: str, value: object, warned: str) -> None:
    check, fields_ = health(read, both)
    assert getattr(check, attribute) == value
    assert fields_ == [f"processes.web.health_check.{warned}"]


@pytest.mark.parametrize("unset", ["''", "null", "[]", "0"])
@pytest.mark.parametrize(
    ("old", "value", "new", "attribute", "result"),
    [
        ("interval", "7", "period", "period", 7.0),
        ("retries", "9", "failure_threshold", "failure_threshold", 9),
        ("port", "80", "address", "address", "127.0.0.1:80"),
    ],
)
def test_a_key_that_is_not_set_neither_counts_nor_warns(
    read: Read, unset: str, old: str, value: str, new: str, attribute: str, result: object
) -> None:
    more = "" if new == "address" else ", address: 'a:1'"
    if not (new == "address" and unset == "0"):  # a text like any other
        check, warned = health(read, f"{old}: {value}, {new}: {unset}{more}")
        assert (getattr(check, attribute), warned) == (result, [])
    written = f"'{result}'" if isinstance(result, str) else result
    check, warned = health(read, f"{old}: {unset}, {new}: {written}{more}")
    assert (getattr(check, attribute), warned) == (result, [])


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("global: {api_tls: {client_ca_file: /a, ca_file: /b}}", "global.api_tls.client_ca_file"),
        ("global: {metrics_tls: {client_ca_file: /a, ca_file: /b}}", "global.metrics_tls.client_ca_file"),
        ("global: {api_acl: {allow: [10.0.0.1], allow_list: [10.0.0.2]}}", "global.api_acl.allow"),
        ("global: {metrics_acl: {deny: [10.0.0.1], deny_list: [10.0.0.2]}}", "global.metrics_acl.deny"),
        ("processes: {web: {schedule: '@daily', timeout: 1, schedule_timeout: 2}}", "processes.web.timeout"),
        (
            "processes: {web: {logging: {filter_patterns: [a], filters: {exclude: [b]}}}}",
            "processes.web.logging.filter_patterns",
        ),
    ],
)
def test_each_pair_of_old_and_new_warns_and_has_the_new_value(read: Read, keys: str, warned: str) -> None:
    def with_command(text: str) -> str:
        if "processes" not in text:
            return f"{{{text}, processes: {{web: {{command: a}}}}}}"
        return text.replace("web: {", "web: {command: a, ")

    found = read(with_command(keys))
    assert fields(found, Severity.WARNING) == [warned]
    old = re.sub(rf"{warned.rpartition('.')[2]}: [^,]+, ", "", keys)
    assert old != keys
    assert config_of(found) == config_of(read(with_command(old)))


def test_the_period_of_all_is_that_of_a_check_that_names_none(read: Read) -> None:
    text = """
        global: {health_check_interval: 7}
        processes:
          web: {command: a, health_check: {port: 1}}
          own: {command: a, health_check: {port: 1, period: 3}}
    """
    config = config_of(read(text))
    rules = [config.health_rules(name) for name in ("web", "own")]
    assert [one and one.period_s for one in rules] == [7.0, 3.0]


def test_an_address_with_a_url_and_a_port(read: Read) -> None:
    check, warned = health(read, "address: 'http://a', port: 80")
    assert (check.url, check.address) == ("http://a", "127.0.0.1:80")
    assert warned == []


def test_the_other_old_keys(read: Read) -> None:
    text = """
        global:
          api_tls: {client_ca_file: /ca}
          api_acl: {allow: [10.0.0.1], deny: [10.0.0.2]}
          api_auth: "Bearer abcdefghijklmnop"
        processes:
          web:
            schedule: '@daily'
            timeout: 60
            command: a
            logging: {filter_patterns: [x], filters: {include: [y]}}
    """
    found = read(text)
    config = config_of(found)
    settings, web = config.global_, config.processes["web"]
    assert settings.api_tls is not None and settings.api_acl is not None and settings.api_auth is not None
    assert settings.api_tls.ca_file == "/ca"
    assert (settings.api_acl.allow_list, settings.api_acl.deny_list) == (("10.0.0.1",), ("10.0.0.2",))
    assert settings.api_auth.reveal() == "abcdefghijklmnop"
    assert web.schedule_timeout == 60.0
    assert web.logging.filters is not None
    assert (web.logging.filters.exclude, web.logging.filters.include) == (("x",), ("y",))
    assert fields(found, Severity.WARNING) == ["global.api_auth"]


def test_filters_that_are_there_already(read: Read) -> None:
    found = read("processes: {w: {command: a, logging: {filter_patterns: [x], filters: {exclude: [y]}}}}")
    logging = config_of(found).processes["w"].logging
    assert logging.filters is not None
    assert logging.filters.exclude == ("y",)
    assert fields(found, Severity.WARNING)[0] == "processes.w.logging.filter_patterns"


@pytest.mark.parametrize(
    ("keys", "stdout", "stderr"),
    [
        ("", True, True),
        ("stdout: false", False, True),
        ("logging: {stderr: false}", True, False),
        ("stderr: no, logging: {stdout: no}", False, False),
    ],
)
def test_the_short_forms_of_stdout_and_stderr(read: Read, keys: str, stdout: bool, stderr: bool) -> None:
    process = config_of(read(f"processes: {{w: {{command: a, {keys}}}}}")).processes["w"]
    assert (
        (process.stdout, process.stderr)
        == (process.logging.stdout, process.logging.stderr)
        == (stdout, stderr)
    )


def test_problems_name_the_key_that_the_file_has(read: Read) -> None:
    text = """
global:
  api_tls:
    client_ca_file: [a]
  api_acl:
    allow: [nope]
processes:
  web:
    command: [a]
    schedule: "@daily"
    timeout: 5x
    logging:
      filter_patterns: ["("]
  api:
    command: [a]
    health_check:
      port: abc
      interval: -1
      retries: x
"""
    assert {(one.field, one.line) for one in read(text).of(Severity.ERROR)} == {
        ("global.api_tls.client_ca_file", 4),
        ("global.api_acl.allow[0]", 6),
        ("processes.web.timeout", 11),
        ("processes.web.logging.filter_patterns[0]", 13),
        ("processes.api.health_check.port", 17),
        ("processes.api.health_check.interval", 18),
        ("processes.api.health_check.retries", 19),
    }
