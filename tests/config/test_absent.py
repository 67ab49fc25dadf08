"""Values that mean that a key is not set, as in files that were written with all their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.edit import Edits
from cbox_init.config.model import Config, GlobalConfig, LogFileConfig
from cbox_init.config.problems import Severity
from cbox_init.config.schema import fields_of
from tests.config.helpers import config_of, fields

if TYPE_CHECKING:
    from tests.config.conftest import Read

PLAIN = "processes: {web: {command: a}}"

#: As the Go program's config/save writes it: every key, those that are not set with the zero of their type.
SAVED = Path(__file__).with_name("saved.yaml").read_text()
#: What the zeros that mean something become.
ZEROS = {"max_restart_attempts": 0, "resource_metrics_max_samples": 0, "tracing_sample_rate": 0}


def test_what_the_go_program_saves_means_the_defaults(read: Read) -> None:
    found = read(SAVED, strict=True)
    (suggestion,) = found.problems
    assert (suggestion.field, suggestion.severity) == ("processes.web.scale", Severity.SUGGESTION)
    saved, plain = config_of(found), config_of(read("processes: {web: {command: a}}"))
    for key, field in fields_of(GlobalConfig).items():
        value, default = getattr(saved.global_, field.attribute), getattr(plain.global_, field.attribute)
        if default is None and isinstance(value, Struct):  # TLS, ACL and readiness, none of them enabled
            assert not getattr(value, "enabled", True), key
        else:
            assert value == ZEROS.get(key, default), key
    assert saved.hooks == plain.hooks
    web = saved.processes["web"]
    assert not web.logging.has_stages
    assert replace(web, logging=plain.processes["web"].logging) == plain.processes["web"]
    assert replace(
        web.logging.files["app"], multiline=None, json=None, level_detection=None
    ) == LogFileConfig(path="/var/log/app.log")
    job = saved.processes["job"]
    assert (job.heartbeat, job.schedule_timezone, job.schedule_timeout) == (None, "UTC", None)


@pytest.mark.parametrize("value", ['""', "null", "[]", "{}", "0", "0s", '"0"'])
@pytest.mark.parametrize(
    "key",
    [
        *("shutdown_timeout", "health_check_interval", "api_port", "metrics_port", "api_max_request_body"),
        *("max_process_scale", "resource_metrics_interval", "dependency_timeout", "process_start_timeout"),
        *("restart_stability_window", "restart_backoff_initial", "oneshot_history_max_age"),
    ],
)
def test_nothing_and_zero(read: Read, key: str, value: str) -> None:
    found = read(f"{{global: {{{key}: {value}}}, {PLAIN}}}", strict=True)
    assert config_of(found) == config_of(read(PLAIN))
    if not value.startswith(("[", "{")):
        environ = {f"CBOX_INIT_GLOBAL_{key.upper()}": json.loads(value.replace("0s", '"0s"')) or ""}
        found = read(
            f"{{global: {{{key}: 7}}, {PLAIN}}}", {name: str(text) for name, text in environ.items()}
        )
        assert getattr(config_of(found).global_, key) == 7, "the variable is as good as none"


def test_zero_keeps_its_meaning_where_it_has_one(read: Read) -> None:
    text = """
        global: {api_rate_limit: 0, log_ring_size: 0, shutdown_drain: 0, restart_backoff: 0}
        processes:
          web:
            command: a
            schedule_max_concurrent: 0
            health_check: {url: http://x, initial_delay: 0, expected_status: 0, period: 0s, timeout: 0}
    """
    config = config_of(read(text))
    assert (config.global_.api_rate_limit, config.global_.log_ring_size) == (0, 0)
    assert config.global_.restart_backoff == 0
    check = config.processes["web"].health_check
    assert check is not None
    assert (check.initial_delay, check.period, check.timeout) == (0, 10, 3)


def test_words_say_it_plainly(read: Read) -> None:
    text = """
        global: {dependency_timeout: never, process_start_timeout: unlimited, restart_stability_window: off}
        processes: {web: {command: a, dependency_timeout: never, max_restarts: unlimited, scale: off}}
    """
    config = config_of(read(text))
    assert config.global_.dependency_timeout == 0
    assert config.global_.process_start_timeout == 0
    assert config.global_.restart_stability_window == 0
    assert config.processes["web"].scale == 0
    assert config.restart_rules("web").max_attempts == 0


def test_a_readiness_without_a_file(read: Read) -> None:
    text = f"{{global: {{readiness: {{enabled: true, path: '', content: ''}}}}, {PLAIN}}}"
    readiness = config_of(read(text)).global_.readiness
    assert readiness is not None
    assert (readiness.path, readiness.content) == ("", "")


def test_bodies_of_the_api(read: Read) -> None:
    edits = Edits(config_of(read(PLAIN)))
    body = {"command": ["b"], "scale": 0, "user": "", "shutdown": {"timeout": 0}, "health_check": {}}
    process = edits.added("b", body, {}).config.processes["b"]  # type: ignore[arg-type]
    assert (process.scale, process.user, process.shutdown.timeout) == (0, None, 30)
    assert isinstance(edits.config, Config)


def test_an_empty_variable_of_a_process_is_a_value(read: Read) -> None:
    config = config_of(
        read("processes: {web: {command: a, env: {A: b}}}", {"CBOX_INIT_PROCESS_WEB_ENV_A": ""})
    )
    assert config.processes["web"].env == {"A": ""}


def test_own_keys_at_the_top_level(read: Read) -> None:
    found = read(
        "{x-common: &c {restart: never}, version: 3, processes: {web: {command: a, <<: *c}}}", strict=True
    )
    assert found.problems == ()
    assert fields(read("{y-common: 1, processes: {web: {command: a, x-mine: 1}}}"), Severity.WARNING) == [
        "y-common",
        "processes.web.x-mine",
    ]


@pytest.mark.parametrize("nothing", ["''", "null", "[]", "{}"])
def test_a_process_of_which_nothing_is_set_lacks_its_command(read: Read, nothing: str) -> None:
    assert fields(read(f"processes: {{web: {nothing}}}")) == ["processes.web.command"]
