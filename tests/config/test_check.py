"""What is wrong with values that are each right by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


def process(keys: str, more: str = "") -> str:
    return f"{{processes: {{web: {{command: a, {keys}}}{more}}}}}"


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (
            process("type: oneshot, restart: always"),
            "processes.web.restart",
            "always is not possible for a oneshot",
        ),
        (process("type: oneshot, scale: 2"), "processes.web.scale", "a oneshot has one instance"),
        (
            "{global: {audit_enabled: true, audit_output: audit.log}, processes: {a: {command: a}}}",
            "global.audit_output",
            "'audit.log' is neither log nor an absolute path",
        ),
        (
            "{global: {audit_enabled: true, audit_required: true}, processes: {a: {command: a}}}",
            "global.audit_required",
            "needs a file: what the log has taken may still be lost",
        ),
        (
            "{global: {audit_enabled: true, audit_output: /l, log_outputs: {a: {path: /l}}},"
            " processes: {a: {command: a}}}",
            "global.audit_output",
            "an output of log_outputs writes to the same file",
        ),
        (process("scale: 101"), "processes.web.scale", "101 is above global.max_process_scale (100)"),
        (process("scale: 3, max_scale: 2"), "processes.web.scale", "3 is above max_scale (2)"),
        (process("port_base: 65535, scale: 2"), "processes.web.port_base", "would have port 65536"),
        (process("depends_on: [web]"), "processes.web.depends_on", "wait for each other: web -> web"),
        (process("depends_on: [dbb]", ", db: {command: a}"), "processes.web.depends_on[0]", "called 'dbb'"),
        (
            process(
                "depends_on: [b]", ", b: {command: a, depends_on: [c]}, c: {command: a, depends_on: [web]}"
            ),
            "processes.web.depends_on",
            "the processes wait for each other: web -> b -> c -> web",
        ),
        (
            process("health_check: {type: http}"),
            "processes.web.health_check.url",
            "is required for a check of type http",
        ),
        (
            process("health_check: {type: exec}"),
            "processes.web.health_check.command",
            "is required for a check of type exec",
        ),
        (
            process("health_check: {timeout: 1}"),
            "processes.web.health_check.address",
            "is required for a check of type tcp",
        ),
        (process("health_check: {address: web}"), "processes.web.health_check.address", "'web' has no port"),
        (process("health_check: {port: 99999}"), "processes.web.health_check.port", "'99999' is no port"),
        (process("health_check: {url: '/up'}"), "processes.web.health_check.url", "does not begin with http"),
        (process("health_check: {url: 'http://'}"), "processes.web.health_check.url", "it names no host"),
        (
            process("shutdown: {pre_stop_hook: {timeout: 1}}"),
            "processes.web.shutdown.pre_stop_hook.command",
            "is required",
        ),
        (
            "{hooks: {pre-stop: [{}]}, processes: {a: {command: a}}}",
            "hooks.pre-stop[0].command",
            "is required",
        ),
        (
            "{global: {api_acl: {allow: [10.0.0.0/8, everyone]}}, processes: {a: {command: a}}}",
            "global.api_acl.allow[1]",
            "'everyone' is not an address or CIDR",
        ),
        (
            "{global: {metrics_acl: {deny_list: [10.0.0.0/33]}}, processes: {a: {command: a}}}",
            "global.metrics_acl.deny_list[0]",
            "is not an address or CIDR",
        ),
        (
            "{global: {api_acl: {trusted_proxies: [10.0.0.7/8]}}, processes: {a: {command: a}}}",
            "global.api_acl.trusted_proxies[0]",
            "'10.0.0.7/8' has bits set behind its prefix",
        ),
        (
            "{global: {readiness: {processes: [wbe]}}, processes: {web: {command: a}}}",
            "global.readiness.processes[0]",
            "no process is called 'wbe'",
        ),
        *(
            (
                f"{{global: {{api_cors_origins: ['{origin}']}}, processes: {{a: {{command: a}}}}}}",
                "global.api_cors_origins[0]",
                "is no origin of web pages",
            )
            for origin in ("*", "null", "a.example", "https://", "https://a.example/", "https://*.a.example")
        ),
    ],
)
def test_errors(read: Read, text: str, field: str, message: str) -> None:
    error = the_error(read(text))
    assert error.field == field
    assert message in error.message
    assert error.recommendation
    assert error.line == 1


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        "a/b",
        "a?b",
        "a#b",
        "a%b",
        "a b",
        "a\tb",
        "a\nb",
        "a\x7fb",
        "a\u200bb",
        "a\u00a0b",
        "",
        "n" * 129,
    ],
)
def test_names_that_cannot_be_in_a_url(read: Read, name: str) -> None:
    import json

    error = the_error(read(json.dumps({"processes": {name: {"command": "a"}}})))
    assert error.message.startswith("invalid name: ")
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("web app", "call it web-app"),
        ("php/fpm", "call it php-fpm"),
        (" queue  mail ", "call it queue-mail"),
        ("App\\Jobs: Mail", "call it App-Jobs-Mail"),
        ("größe/1", "call it größe-1"),
        ("w" * 200, f"call it {'w' * 128}"),
        ("//", "use letters, digits, - and _"),
        ("..", "use letters, digits, - and _"),
    ],
)
def test_a_bad_name_comes_with_one_to_use(read: Read, name: str, hint: str) -> None:
    import json

    error = the_error(read(json.dumps({"processes": {name: {"command": "a"}}})))
    assert error.recommendation == hint
    usable = hint.removeprefix("call it ")
    assert usable == hint or not read(json.dumps({"processes": {usable: {"command": "a"}}})).problems


@pytest.mark.parametrize(
    "name", ["web", "php-fpm", "queue:mail", "a.b", "...", "Ünïcode", "_", "n" * 128, "1"]
)
def test_names_that_can(read: Read, name: str) -> None:
    assert list(config_of(read(f'processes: {{"{name}": {{command: a}}}}')).processes) == [name]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (process("depends_on: [b]", ", b: {enabled: false}"), "processes.web.depends_on[0]", "b is disabled"),
        (
            process("shutdown: {timeout: 31}"),
            "processes.web.shutdown.timeout",
            "is above global.shutdown_timeout (30s)",
        ),
        (
            "processes: {web: {command: a && b}}",
            "processes.web.command",
            "no shell runs this, so it has no use for &&",
        ),
        (process("watchdog: 5s"), "processes.web.watchdog", "without type: notify"),
        (
            process("type: notify, schedule: '@daily'"),
            "processes.web.type",
            "notify has no effect with a schedule",
        ),
        (
            "{global: {api_enabled: true}, processes: {web: {command: a}}}",
            "global.api_enabled",
            "api_auth is not set",
        ),
        (
            "{global: {restart_backoff_max: 1}, processes: {web: {command: a}}}",
            "global.restart_backoff_max",
            "is below restart_backoff_initial",
        ),
    ],
)
def test_warnings(read: Read, text: str, field: str, message: str) -> None:
    found = read(text)
    config_of(found)
    (warning,) = found.problems
    assert (warning.severity, warning.field) == (Severity.WARNING, field)
    assert message in warning.message
    assert warning.recommendation


def test_more_memory_than_there_is(read: Read) -> None:
    found = read("{global: {autotune_memory_threshold: 1.1}, processes: {web: {command: a}}}")
    assert fields(found, Severity.WARNING) == ["global.autotune_memory_threshold"]


@pytest.mark.parametrize(
    "token", ["' '", "${TOKEN}", '"${TOKEN}"', "${TOKEN:-}", "Bearer ${TOKEN}", '" ${TOKEN} "']
)
def test_an_empty_token_is_an_error_where_others_reach_the_port(read: Read, token: str) -> None:
    text = f"""
global:
  api_enabled: true
  api_auth: {token}
processes: {{w: {{command: a}}}}
"""
    error = the_error(read(text, {"TOKEN": ""}))
    assert (error.field, error.line) == ("global.api_auth", 4)
    assert error.message == "is empty: anyone who reaches this port could run any command"
    assert not read(text.replace("api_enabled: true", ""), {"TOKEN": ""}).of(Severity.ERROR)
    assert not read(text.replace("global:", "global:\n  api_host: 127.0.0.1"), {"TOKEN": ""}).of(
        Severity.ERROR
    )


def test_an_empty_token_behind_an_alias_is_an_error(read: Read) -> None:
    text = "{x-g: &g {api_enabled: true, api_auth: '${TOKEN}'}, global: *g, processes: {w: {command: a}}}"
    assert the_error(read(text, {"TOKEN": ""})).field == "global.api_auth"
    assert config_of(read(text, {"TOKEN": "0123456789abcdef"})).global_.api_auth


@pytest.mark.parametrize("token", ["''", "null", "", "[]"])
def test_an_absent_token_is_none(read: Read, token: str) -> None:
    """As in files that were written with all their keys."""
    found = read(f"global:\n  api_enabled: true\n  api_auth: {token}\nprocesses: {{w: {{command: a}}}}")
    assert config_of(found).global_.api_auth is None
    assert fields(found, Severity.WARNING) == ["global.api_enabled"]


@pytest.mark.parametrize("host", ["127.evil.example", "0.0.0.0", "::", "10.0.0.1", ""])
def test_hosts_that_others_reach(read: Read, host: str) -> None:
    text = f"{{global: {{api_enabled: true, api_host: '{host}'}}, processes: {{w: {{command: a}}}}}}"
    assert fields(read(text), Severity.WARNING) == ["global.api_enabled"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_an_api_for_this_machine_alone_needs_no_token(read: Read, host: str) -> None:
    assert not read(
        f"{{global: {{api_enabled: true, api_host: '{host}'}}, processes: {{w: {{command: a}}}}}}"
    ).problems


def test_good_things_are_not_complained_of(read: Read) -> None:
    text = """
        global: {api_enabled: true, api_auth: 0123456789abcdef, restart_backoff_initial: 120}
        processes:
          web: {command: [sh, -c, "a && b"], depends_on: [db, job], port_base: 65535}
          db: {command: a, depends_on: [job], scale: off}
          job: {command: a, type: oneshot, restart: on-failure}
          off: {enabled: false, depends_on: [off]}
    """
    assert not read(text).problems


def test_every_cycle_is_named(read: Read) -> None:
    text = """
        processes:
          a: {command: x, depends_on: [b]}
          b: {command: x, depends_on: [a]}
          c: {command: x, depends_on: [c]}
    """
    messages = [problem.message for problem in read(text).problems]
    assert messages == [
        "the processes wait for each other: a -> b -> a",
        "the processes wait for each other: c -> c",
    ]


def test_a_long_chain_is_no_cycle(read: Read) -> None:
    lines = [f"  p{n}: {{command: a, depends_on: [p{n + 1}]}}" for n in range(3000)]
    config_of(read("\n".join(["processes:", *lines, "  p3000: {command: a}"])))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("metrics", "'metrics' is not a path"),
        ("/a?b", "'/a?b' is not a path"),
        ("/a b", "'/a b' is not a path"),
        ("/health", "/health is taken: the metrics port answers there that it is up"),
    ],
)
def test_a_path_at_which_no_metrics_can_be(read: Read, given: str, message: str) -> None:
    (problem,) = read(f"{{global: {{metrics_path: {given}}}, processes: {{w: {{command: a}}}}}}").problems
    assert (problem.field, problem.severity) == ("global.metrics_path", Severity.ERROR)
    assert problem.message == message


def test_metrics_are_acted_on(read: Read) -> None:
    text = "metrics_enabled: true, metrics_host: 127.0.0.1, metrics_port: 9091, metrics_path: /m"
    guards = "metrics_tls: {enabled: true}, metrics_acl: {enabled: true, mode: deny}"
    assert not read(f"{{global: {{{text}, {guards}}}, processes: {{w: {{command: a}}}}}}").problems


def test_a_list_that_refuses_everyone_is_a_warning(read: Read) -> None:
    (problem,) = read(
        "{global: {api_acl: {enabled: true}, metrics_acl: {}}, processes: {w: {command: a}}}"
    ).problems
    assert (problem.field, problem.severity) == ("global.api_acl.allow_list", Severity.WARNING)
    assert problem.message == "is empty, so every client is refused"


def test_what_is_not_acted_on_is_one_warning(read: Read) -> None:
    text = """
        global: {process_stop_timeout: 5, resource_metrics_enabled: true, readiness: {enabled: false}}
        processes:
          web: {command: a, health_check: {address: "a:1"}, priority: 3, max_memory_mb: 0}
          job:
            command: a
            schedule: "@hourly"
            logging: {json: {enabled: false}}
    """
    last = read(text).problems[-1]
    assert last.message == "not implemented yet, without effect: global.process_stop_timeout"
    assert last.severity is Severity.WARNING


def test_a_file_in_which_every_process_is_disabled_is_warned_of(read: Read) -> None:
    problems = read("processes: {web: {command: a, enabled: false}, job: {command: a}}").problems
    assert not any("every process is disabled" in problem.message for problem in problems)
    (problem,) = read("processes: {web: {command: a, enabled: false}}").problems
    assert (problem.field, problem.severity) == ("processes", Severity.WARNING)
    assert problem.message == "every process is disabled, so nothing is started"


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ("ready_when: {timeout: 5}", "ready_when.log", "is required"),
        ("ready_when: {log: '('}", "ready_when.log", "the pattern "),
        ("ready_when: {log: '(a*)*b'}", "ready_when.log", "can take exponential time"),
        ("type: oneshot, ready_when: {log: a}", "ready_when", "a oneshot is ready when it has ended"),
        ("type: notify, ready_when: {log: a}", "ready_when", "says itself when it is ready"),
        ("stdout: false, stderr: false, ready_when: {log: a}", "ready_when", "neither stdout nor stderr"),
        ("schedule: '@daily', ready_when: {log: a}", "ready_when", "no effect with a schedule"),
    ],
)
def test_ready_when(read: Read, keys: str, field: str, message: str) -> None:
    (found,) = read(f"processes: {{web: {{command: a, {keys}}}}}").problems
    assert (found.field, message in found.message) == (f"processes.web.{field}", True)
    assert found.recommendation


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("web: {command: a, restart_with: [dbb]}, db: {command: a}", "web.restart_with[0]", "no process"),
        (
            "web: {command: a, restart_with: [db]}, db: {command: a, enabled: false}",
            "web.restart_with[0]",
            "is disabled",
        ),
        ("web: {command: a, restart_with: [web]}", "web.restart_with", "for ever: web -> web"),
        (
            "a: {command: a, restart_with: [b]}, b: {command: a, restart_with: [a]}",
            "a.restart_with",
            "for ever: a -> b -> a",
        ),
        (
            "web: {command: a, restart_with: [job]}, job: {command: a, schedule: '@daily'}",
            "web.restart_with[0]",
            "its runs restart nothing",
        ),
        (
            "job: {command: a, schedule: '@daily', restart_with: [web]}, web: {command: a}",
            "job.restart_with",
            "its runs are not restarted",
        ),
    ],
)
def test_restart_with(read: Read, text: str, field: str, message: str) -> None:
    (found,) = read(f"processes: {{{text}}}").problems
    assert found.field == f"processes.{field}"
    assert message in found.message
    assert found.recommendation
