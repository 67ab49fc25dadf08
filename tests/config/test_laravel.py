"""A file as people have it."""

from __future__ import annotations

from pathlib import Path

from cbox_init.config.load import load
from cbox_init.config.model import ProcessType, RestartPolicyName
from cbox_init.config.problems import Severity

FILE = str(Path(__file__).with_name("laravel.yaml"))


def test_it_loads() -> None:
    loaded = load(FILE, {"CBOX_TOKEN": "t" * 32})
    config = loaded.config
    assert list(config.processes) == [
        *("migrate", "php-fpm", "nginx", "horizon", "queue-default", "queue-mail", "scheduler")
    ]
    assert config.processes["migrate"].type is ProcessType.ONESHOT
    assert config.restart_rules("migrate").policy is RestartPolicyName.ON_FAILURE
    assert config.restart_rules("migrate").max_attempts == 3
    assert config.restart_rules("php-fpm").backoff_max_s == 24.0
    assert config.processes["nginx"].command == ("nginx", "-g", "daemon off;")
    mail = config.processes["queue-mail"]
    assert (mail.scale, mail.max_scale, mail.user) == (1, 20, "www-data")
    assert mail.env["WORKER"] == "${CBOX_INIT_INSTANCE_NUMBER}"
    assert config.global_.api_auth is not None
    assert config.global_.api_auth.reveal() == "t" * 32


def test_what_it_is_told() -> None:
    loaded = load(FILE, {"CBOX_TOKEN": "t" * 32})
    assert [(problem.line, problem.field) for problem in loaded.problems] == [
        (68, "processes.queue-default.depends_on[1]"),
        (68, "processes.queue-mail.depends_on[1]"),
    ]
    assert {problem.severity for problem in loaded.problems} == {Severity.WARNING}


def test_it_follows_the_environment() -> None:
    environ = {
        "CBOX_TOKEN": "t" * 32,
        "HORIZON_ENABLED": "true",
        "QUEUE_WORKERS": "4",
        "CBOX_INIT_PROCESS_QUEUE_MAIL_SCALE": "3",
    }
    config = load(FILE, environ).config
    assert config.processes["horizon"].enabled
    assert config.processes["queue-default"].scale == 4
    assert config.processes["queue-mail"].scale == 3
    assert config.enabled_processes()["queue-default"].depends_on == ("migrate", "horizon")


def test_without_horizon_nothing_waits_for_it() -> None:
    config = load(FILE, {"CBOX_TOKEN": "t" * 32}).config
    assert "horizon" not in config.enabled_processes()
    assert "horizon" in config.processes
    assert config.enabled_processes()["queue-default"].depends_on == ("migrate",)
