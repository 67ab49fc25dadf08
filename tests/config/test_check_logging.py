"""What is wrong with the stages of the log pipeline is said with the key, the reason and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read

WEB = "processes: {{web: {{command: a, logging: {logging}}}}}"


@pytest.mark.parametrize(
    ("logging", "field"),
    [
        ("{redaction: {enabled: true, patterns: [{pattern: '(a'}]}}", "redaction.patterns[0].pattern"),
        ("{redaction: {patterns: [{name: x, pattern: '(a'}]}}", "redaction.patterns[0].pattern"),
        ("{multiline: {enabled: true, pattern: '(a'}}", "multiline.pattern"),
        ("{level_detection: {patterns: {error: '(a'}}}", "level_detection.patterns.error"),
        ("{filters: {exclude: [a, '(a']}}", "filters.exclude[1]"),
        ("{filters: {include: ['(a']}}", "filters.include[0]"),
        ("{filter_patterns: ['(a']}", "filter_patterns[0]"),
        ("{files: {app: {path: /a, multiline: {pattern: '(a'}}}}", "files.app.multiline.pattern"),
        ("{files: {app: {path: /a, filters: {include: ['(a']}}}}", "files.app.filters.include[0]"),
    ],
)
def test_a_pattern_that_does_not_compile(read: Read, logging: str, field: str) -> None:
    error = the_error(read(WEB.format(logging=logging)))
    assert error.field == f"processes.web.logging.{field}"
    assert error.message == "the pattern has a ( without a ) (at character 1)"
    assert "RE2" in error.recommendation


def test_a_pattern_that_can_take_for_ever(read: Read) -> None:
    error = the_error(read(WEB.format(logging=r"{filters: {exclude: ['(\w+\s?)+:']}}")))
    assert error.message == (
        r"the pattern can take exponential time: (\w+\s?)+ can divide the same text in many ways"
    )
    assert "every turn of the repeat" in error.recommendation


def test_a_wrong_pattern_of_global_is_said_once(read: Read) -> None:
    found = read("""
        global:
          log_multiline_enabled: true
          log_multiline_pattern: '[a'
          log_redaction_enabled: true
          log_redaction_patterns: [fine, '(b']
          log_filter_enabled: true
          log_filter_patterns: ['c)']
        processes: {web: {command: a}, queue: {command: a, logging: {redaction: {patterns: [jwt]}}}}
    """)
    assert fields(found) == [
        "global.log_multiline_pattern",
        "global.log_redaction_patterns[1]",
        "global.log_filter_patterns[0]",
    ]


def test_a_name_that_is_no_ready_pattern(read: Read) -> None:
    error = the_error(read(WEB.format(logging="{redaction: {enabled: true, patterns: [bearer_tokn]}}")))
    assert error.field == "processes.web.logging.redaction.patterns[0].name"
    assert error.recommendation == "did you mean bearer_token?"
    error = the_error(read(WEB.format(logging="{redaction: {enabled: true, patterns: [{}]}}")))
    assert error.field == "processes.web.logging.redaction.patterns[0]"
    assert "bearer_token, aws_key, jwt" in error.recommendation


def test_ready_patterns_by_name(read: Read) -> None:
    section = "{redaction: {enabled: true, patterns: [jwt, {name: AWS key, replacement: x}]}}"
    found = read(WEB.format(logging=section))
    redaction = config_of(found).processes["web"].logging.redaction
    assert redaction is not None
    assert [(one.name, one.pattern) for one in redaction.patterns] == [("jwt", ""), ("AWS key", "")]
    assert not found.problems


def test_a_level_that_is_none(read: Read) -> None:
    error = the_error(read(WEB.format(logging="{level_detection: {patterns: {eror: x, fatal: y}}}")))
    assert error.field == "processes.web.logging.level_detection.patterns.eror"
    assert error.recommendation == "did you mean error?"


@pytest.mark.parametrize(
    ("logging", "severity", "field"),
    [
        ("{redaction: {enabled: true}}", Severity.WARNING, "redaction.enabled"),
        ("{redaction: {patterns: [jwt]}}", Severity.WARNING, "redaction.patterns"),
        (
            "{redaction: {enabled: true, patterns: [{pattern: (a), replacement: $1x}]}}",
            Severity.WARNING,
            "redaction.patterns[0].replacement",
        ),
        ("{multiline: {enabled: true}}", Severity.WARNING, "multiline.enabled"),
        ("{json: {enabled: true}}", Severity.SUGGESTION, "json.enabled"),
        ("{min_level: warn}", Severity.SUGGESTION, "min_level"),
    ],
)
def test_what_does_nothing(read: Read, logging: str, severity: Severity, field: str) -> None:
    found = read(WEB.format(logging=logging))
    assert [(problem.severity, problem.field) for problem in found.problems] == [
        (severity, f"processes.web.logging.{field}")
    ]


@pytest.mark.parametrize(
    "logging",
    [
        "{min_level: warn, level_detection: {enabled: true}}",
        "{min_level: warn, json: {enabled: true, extract_level: true}}",
        "{redaction: {enabled: false}, multiline: {enabled: false}}",
        "{filters: {exclude: [a], include: [b]}, rate_limit: {lines: 5}}",
    ],
)
def test_what_is_well(read: Read, logging: str) -> None:
    assert not read(WEB.format(logging=logging)).problems


def test_a_log_level_that_silences_processes(read: Read) -> None:
    found = read("""
        global: {log_level: warn}
        processes:
          web: {command: a}
          api: {command: a, logging: {level_detection: {enabled: true}}}
          job: {command: a, logging: {min_level: error}}
    """)
    (problem,) = found.problems
    assert (problem.field, problem.severity) == ("global.log_level", Severity.SUGGESTION)
    assert "web, job" in problem.message
    assert not read(
        "{global: {log_level: warn, log_level_detection: true}, processes: {a: {command: a}}}"
    ).problems


def test_the_defaults_of_global_in_each_process(read: Read) -> None:
    config = config_of(
        read("""
            global:
              log_multiline_enabled: true
              log_multiline_pattern: '^A'
              log_multiline_timeout: 250
              log_filter_enabled: true
              log_filter_level: error
              log_level_detection: true
              log_json_parsing: true
            processes:
              web: {command: a}
              own:
                command: a
                logging:
                  min_level: debug
                  multiline: {max_lines: 7}
                  json: {enabled: false}
                  level_detection: {default_level: warn}
                  files: {app: {path: /a}}
        """)
    )
    web, own = (config.processes[name].logging for name in ("web", "own"))
    assert web.multiline is not None and own.multiline is not None
    assert (web.multiline.pattern, web.multiline.timeout, web.multiline.max_lines) == ("^A", 0.25, 100)
    assert (own.multiline.enabled, own.multiline.pattern, own.multiline.max_lines) == (True, "^A", 7)
    assert (web.min_level, own.min_level) == ("error", "debug")
    assert web.json is not None and web.json.enabled and web.json.merge_fields
    assert own.json is not None and not own.json.enabled
    assert own.level_detection is not None and own.level_detection.enabled
    assert own.files["app"].multiline is not None
    assert own.files["app"].multiline.pattern == "^A"
    assert web.has_stages and own.has_stages


def test_without_any_of_it_there_are_no_stages(read: Read) -> None:
    logging = config_of(read("processes: {web: {command: a}}")).processes["web"].logging
    assert not logging.has_stages
    assert (logging.redaction, logging.multiline, logging.json, logging.min_level) == (
        None,
        None,
        None,
        "info",
    )
