"""Overrides from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine
from cbox_init.config.model import LogLevel
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read

FILE = """
global: {log_level: debug}
processes:
  web: &web
    command: a
    env: {A: file, B: file}
    health_check: {address: "localhost:1", interval: 7}
  web-api: *web
"""


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("LOG_LEVEL", "error", "log_level", LogLevel.ERROR),
        ("API_ENABLED", "on", "api_enabled", True),
        ("LOG_TIMESTAMPS", "0", "log_timestamps", False),
        ("API_PORT", "81", "api_port", 81),
        ("SHUTDOWN_TIMEOUT", "1m", "shutdown_timeout", 60.0),
        ("SHUTDOWN_TIMEOUT", "1", "shutdown_timeout", 1.0),
        ("API_MAX_REQUEST_BODY", "1MB", "api_max_request_body", 10**6),
        ("LOG_FILTER_PATTERNS", '["a", 1.10]', "log_filter_patterns", ("a", "1.10")),
        ("LOG_MULTILINE_TIMEOUT", "250", "log_multiline_timeout", 0.25),
        ("API_HOST", "", "api_host", ""),
        ("API_PORT", "", "api_port", 9180),
    ],
)
def test_global(read: Read, variable: str, value: str, key: str, expected: object) -> None:
    config = config_of(read(FILE, {f"CBOX_INIT_GLOBAL_{variable}": value}))
    assert getattr(config.global_, key) == expected


def test_nested_global_keys(read: Read) -> None:
    environ = {
        "CBOX_INIT_GLOBAL_API_TLS_ENABLED": "true",
        "CBOX_INIT_GLOBAL_API_TLS_CLIENT_CA_FILE": "/ca",
        "CBOX_INIT_GLOBAL_API_ACL": '{"enabled": true, "allow": ["10.0.0.1"]}',
        "CBOX_INIT_GLOBAL_READINESS_HTTP_PORT": "8086",
    }
    settings = config_of(read(FILE, environ)).global_
    assert settings.api_tls is not None and settings.api_acl is not None and settings.readiness is not None
    assert (settings.api_tls.enabled, settings.api_tls.ca_file) == (True, "/ca")
    assert settings.api_acl.allow_list == ("10.0.0.1",)
    assert settings.readiness.http_port == 8086


def test_process_keys(read: Read) -> None:
    environ = {
        "CBOX_INIT_PROCESS_WEB_SCALE": "1",
        "CBOX_INIT_PROCESS_WEB_ENABLED": "no",
        "CBOX_INIT_PROCESS_WEB_ENV_B": "over",
        "CBOX_INIT_PROCESS_WEB_ENV_lower_Case": "x",
        "CBOX_INIT_PROCESS_WEB_SHUTDOWN_TIMEOUT": "5s",
        "CBOX_INIT_PROCESS_WEB_COMMAND": '["run", "two words", 8.10]',
        "CBOX_INIT_PROCESS_WEB_LOGGING_LABELS": '{"n": 1}',
        "CBOX_INIT_PROCESS_WEB_API_COMMAND": "serve 'two words'",
    }
    config = config_of(read(FILE, environ))
    web, api = config.processes["web"], config.processes["web-api"]
    assert (web.scale, web.enabled, web.command) == (1, False, ("run", "two words", "8.10"))
    assert web.env == {"A": "file", "B": "over", "lower_Case": "x"}
    assert web.shutdown.timeout == 5.0
    assert web.logging.labels == {"n": "1"}
    assert (api.command, api.env, api.enabled) == (("serve", "two words"), {"A": "file", "B": "file"}, True)


def test_the_whole_environment_of_a_process(read: Read) -> None:
    config = config_of(read(FILE, {"CBOX_INIT_PROCESS_WEB_ENV": '{"ONLY": true}'}))
    assert config.processes["web"].env == {"ONLY": "true"}


def test_over_the_old_name_of_a_key(read: Read) -> None:
    for name in ("INTERVAL", "PERIOD"):
        found = read(FILE, {f"CBOX_INIT_PROCESS_WEB_HEALTH_CHECK_{name}": "3"})
        check = config_of(found).processes["web"].health_check
        assert check is not None
        assert (check.period, check.address) == (3.0, "localhost:1")
        assert not any("mean the same" in problem.message for problem in found.problems)
    check = (
        config_of(read(FILE, {"CBOX_INIT_PROCESS_WEB_HEALTH_CHECK_PORT": "99"})).processes["web"].health_check
    )
    assert check is not None
    assert check.address == "127.0.0.1:99"


@pytest.mark.parametrize(
    ("names", "variable", "process", "key"),
    [
        (["web", "web-api"], "WEB_API_SCALE", "web-api", "scale"),
        (["web", "web-api"], "WEB_MAX_SCALE", "web", "max_scale"),
        (["web", "web-restart"], "WEB_RESTART_DELAY", "web", "restart_delay"),
        (["web", "web-max"], "WEB_MAX_SCALE", "web-max", "scale"),
        (["queue_mail"], "QUEUE_MAIL_SCALE", "queue_mail", "scale"),
        (["Web.2"], "WEB_2_SCALE", "Web.2", "scale"),
        ([], "QUEUE_MAIL_SCALE", "queue-mail", "scale"),
        ([], "QUEUE_MAX_SCALE", "queue", "max_scale"),
        ([], "QUEUE_RESTART_DELAY", "queue", "restart_delay"),
        ([], "NAME_SCALE", "name", "scale"),
    ],
)
def test_whose_key_it_is(names: list[str], variable: str, process: str, key: str) -> None:
    import json

    environ = {f"CBOX_INIT_PROCESS_{variable}": "4", "CBOX_INIT_GLOBAL_MAX_PROCESS_SCALE": "9"}
    environ |= {f"CBOX_INIT_PROCESS_{process.upper().replace('-', '_').replace('.', '_')}_COMMAND": "x"}
    from cbox_init.config.environment import override
    from cbox_init.config.problems import ProblemReport

    root = override({"processes": {name: {} for name in names}}, environ, ProblemReport())
    processes = root["processes"]
    assert isinstance(processes, dict)
    assert json.dumps(processes[process], sort_keys=True) == json.dumps(
        {"command": "x", key: "4"}, sort_keys=True
    )


def test_the_environment_alone_defines_processes() -> None:
    environ = {
        "CBOX_INIT_PROCESS_QUEUE_WORKER_COMMAND": "php artisan queue:work",
        "CBOX_INIT_PROCESS_QUEUE_WORKER_ENV_APP_SCALE": "x",
        "CBOX_INIT_PROCESS_QUEUE_WORKER_SCALE": "2",
    }
    config = config_of(examine(None, environ))
    process = config.processes["queue-worker"]
    assert list(config.processes) == ["queue-worker"]
    assert (process.command, process.env, process.scale) == (
        ("php", "artisan", "queue:work"),
        {"APP_SCALE": "x"},
        2,
    )


@pytest.mark.parametrize(
    "variable",
    [
        *(
            "CBOX_INIT_CONFIG_X",
            "CBOX_INIT_API_AUTH",
            "CBOX_INIT_SKIP_PERMISSION_SETUP",
            "CBOX_INIT_SCHEDULE",
        ),
        *(
            "CBOX_INIT_READ_ONLY_ROOT",
            "CBOX_INIT_INSTANCE_ID",
            "CBOX_INIT_PROCESS_NAME",
            "CBOX_INIT_HOOK_NAME",
        ),
        *("CBOX_INIT_SCHEDULED", "CBOX_INIT_START_TIME", "CBOX_INIT_INSTANCE_NUMBER", "CBOX_PROCESS"),
    ],
)
def test_reserved_variables_override_nothing(read: Read, variable: str) -> None:
    plain, found = read(FILE), read(FILE, {variable: "web"})
    assert (found.config, found.problems) == (plain.config, plain.problems)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("CBOX_INIT_GLOBAL_LOG_LEVLE", "did you mean CBOX_INIT_GLOBAL_LOG_LEVEL?"),
        ("CBOX_INIT_PROCESS_WEB_SCAEL", "did you mean CBOX_INIT_PROCESS_WEB_SCALE?"),
        ("CBOX_INIT_PROCESS_ZZZ", "unset it"),
    ],
)
def test_variables_that_fit_no_key(read: Read, variable: str, hint: str) -> None:
    found = read("processes: {web: {command: a}}", {variable: "1"})
    (warning,) = found.problems
    assert (warning.severity, warning.field, warning.recommendation, warning.line) == (
        Severity.WARNING,
        variable,
        hint,
        None,
    )


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("PROCESS_WEB_SCALE", "two", "processes.web.scale", "expected a whole number or auto, got 'two'"),
        ("PROCESS_WEB_SCALE", "true", "processes.web.scale", "expected a whole number or auto, got 'true'"),
        ("PROCESS_WEB_DEPENDS_ON", "a", "processes.web.depends_on", "expected a list of texts"),
        ("PROCESS_WEB_DEPENDS_ON", "[" * 100_000, "processes.web.depends_on", "expected a list of texts"),
        ("PROCESS_WEB_SHUTDOWN", "[1]", "processes.web.shutdown", "expected a mapping of keys"),
        ("GLOBAL_API_PORT", "99999", "global.api_port", "must be at least 1 and at most 65535"),
        ("PROCESS_NEW_SCALE", "1", "processes.new.command", "a command is required"),
    ],
)
def test_wrong_values_name_their_variable(
    read: Read, variable: str, value: str, field: str, expected: str
) -> None:
    error = the_error(read(FILE, {f"CBOX_INIT_{variable}": value}))
    assert error.field == field
    assert error.message.startswith(expected)
    assert error.message.endswith(f"(set by CBOX_INIT_{variable})")
    assert error.line is None


def test_a_bad_list_of_processes_is_not_hidden(read: Read) -> None:
    found = read("processes: [a]", {"CBOX_INIT_PROCESS_WEB_COMMAND": "a"})
    assert fields(found) == ["processes"]


def test_the_environment_fills_an_empty_file(read: Read) -> None:
    assert list(config_of(read("", {"CBOX_INIT_PROCESS_WEB_COMMAND": "a"})).processes) == ["web"]
    assert list(config_of(read("processes:\n", {"CBOX_INIT_PROCESS_WEB_COMMAND": "a"})).processes) == ["web"]
