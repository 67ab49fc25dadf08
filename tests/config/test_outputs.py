"""Outputs and followed files: what their keys mean, and what is wrong with them."""

from __future__ import annotations

import os
from threading import Event
from typing import TYPE_CHECKING

import pytest

from cbox_init.config import check_outputs
from cbox_init.config.check_outputs import check_places
from cbox_init.config.endpoints import Endpoint
from cbox_init.config.model import LogOverflow, OutputConfig, OutputType
from cbox_init.config.outputs import (
    SyslogAddress,
    otlp_url,
    output_type,
    overflow_of,
    syslog_address,
)
from cbox_init.config.problems import ProblemReport, Severity
from tests.attacker import NOBODY
from tests.config.helpers import config_of, fields
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import Read


@pytest.mark.parametrize(
    ("keys", "kind", "overflow"),
    [
        ({"path": "/a"}, "file", "block"),
        ({"address": "udp://h"}, "syslog", "drop"),
        ({"address": "TCP://h:1"}, "syslog", "drop"),
        ({"address": "unix:///dev/log"}, "syslog", "drop"),
        ({"address": "http://h"}, "otlp", "drop"),
        ({"address": "https://h"}, "otlp", "drop"),
        ({"type": OutputType.STDERR}, "stderr", "block"),
        ({"type": OutputType.SYSLOG, "overflow": LogOverflow.BLOCK}, "syslog", "block"),
        ({"address": "ftp://h"}, None, "block"),
        ({}, None, "block"),
    ],
)
def test_type_and_overflow_follow_from_the_other_keys(
    keys: dict[str, object], kind: str | None, overflow: str
) -> None:
    output = OutputConfig(**keys)  # type: ignore[arg-type]
    assert (output_type(output), overflow_of(output)) == (kind, overflow)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://log", SyslogAddress("udp", Endpoint("log", 514))),
        ("tcp://log:601", SyslogAddress("tcp", Endpoint("log", 601))),
        ("tcp://[::1]:601", SyslogAddress("tcp", Endpoint("::1", 601))),
        ("udp://[::1]", SyslogAddress("udp", Endpoint("::1", 514))),
        ("unix:///dev/log", SyslogAddress("unix", path="/dev/log")),
    ],
)
def test_addresses_of_syslog(text: str, address: SyslogAddress) -> None:
    assert syslog_address(text) == address


@pytest.mark.parametrize(
    "text", ["log:514", "tls://log", "udp://", "udp://:514", "tcp://a:b", "unix://log", "udp://a b"]
)
def test_what_is_no_address_of_syslog(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        syslog_address(text)


def test_the_url_of_a_collector() -> None:
    assert otlp_url("http://collector:4318") == "http://collector:4318/v1/logs"
    assert otlp_url("http://collector:4318/") == "http://collector:4318/v1/logs"
    assert otlp_url("https://a/otlp/v1/logs?x=1") == "https://a/otlp/v1/logs?x=1"


def test_what_is_right_has_no_problems(read: Read) -> None:
    found = read("""
        global:
          log_outputs:
            all: {path: /var/log/all.log, rotate: {max_size: 1MB, compress: true}}
        processes:
          web:
            command: [a]
            logging:
              outputs:
                stdout: {type: stdout, enabled: false}
                own: {path: '/var/log/${CBOX_INIT_INSTANCE_ID}.log', min_level: debug}
                far: {address: 'tcp://log:601', facility: local0, overflow: block}
                otlp: {address: 'http://collector:4318', headers: {Authorization: x}}
              files: {app: {path: /srv/app.log, rotate: {}}}
    """)
    assert config_of(found).processes["web"].logging.outputs["own"].path == (
        "/var/log/${CBOX_INIT_INSTANCE_ID}.log"
    )
    assert not found.problems


@pytest.mark.parametrize(
    ("output", "key", "message"),
    [
        ("{}", "type", "neither path nor address implies one"),
        ("{address: 'ftp://a'}", "type", "neither path nor address implies one"),
        ("{type: file}", "path", "is required"),
        ("{path: /var/log/}", "path", "is a directory"),
        ("{path: '/var/log/${PORT}'}", "path", "${PORT} is not available"),
        ("{type: otlp}", "address", "is required"),
        ("{type: otlp, address: 'udp://a'}", "address", "is invalid: it does not begin with http"),
        ("{type: syslog, address: 'a'}", "address", "is invalid: it does not begin with udp"),
        ("{address: 'udp://a:0'}", "address", "is invalid: '0' is no port"),
        ("{path: /a, filters: {exclude: ['(']}}", "filters.exclude[0]", "the pattern"),
        ("{address: 'http://a', headers: {A: \"b\\n\"}}", "headers.A", "cannot be sent"),
        ("{address: 'http://a', headers: {'A:': b}}", "headers.A:", "cannot be the name of a header"),
    ],
)
def test_errors(read: Read, output: str, key: str, message: str) -> None:
    found = read(f"processes: {{web: {{command: a, logging: {{outputs: {{x: {output}}}}}}}}}")
    (error,) = found.of(Severity.ERROR)
    assert error.field == f"processes.web.logging.outputs.x.{key}"
    assert message in error.message
    assert error.recommendation


def test_keys_without_effect(read: Read) -> None:
    found = read("""
        processes: {web: {command: a, logging: {outputs: {x: {
          type: stderr, path: /a, address: b, rotate: {}, facility: user, headers: {a: b}}}}}}
    """)
    keys = ("path", "address", "rotate", "headers", "facility")
    assert sorted(fields(found, Severity.WARNING)) == sorted(
        f"processes.web.logging.outputs.x.{key}" for key in keys
    )


def test_one_file_rotated_in_two_ways(read: Read) -> None:
    found = read("""
        global: {log_outputs: {all: {path: /log/a, rotate: {max_size: 1}}}}
        processes:
          web: {command: a, logging: {outputs: {x: {path: /log//a}}}}
          api: {command: a, logging: {outputs: {x: {path: /log/a, rotate: {max_size: 1}}}}}
    """)
    (warning,) = found.of(Severity.WARNING)
    assert warning.field == "processes.web.logging.outputs.x.rotate"
    assert "global.log_outputs.all writes to the same file" in warning.message


def test_a_file_that_would_follow_itself(read: Read) -> None:
    found = read("""
        global: {log_outputs: {all: {path: /log/a}}}
        processes: {web: {command: a, logging: {files: {x: {path: /log/../log/a}}}}}
    """)
    assert fields(found) == ["processes.web.logging.files.x.path"]


def test_files_that_cannot_be_followed_as_they_are(read: Read) -> None:
    found = read("""
        processes:
          web:
            command: a
            working_dir: /srv
            logging: {files: {a: {}, b: {path: x/}, c: {path: /y}, d: {path: /y}}}
    """)
    assert config_of(found)
    assert fields(found, Severity.WARNING) == [
        "processes.web.logging.files.a",
        "processes.web.logging.files.b.path",
        "processes.web.logging.files.d.path",
    ]
    assert fields(found, Severity.SUGGESTION) == ["processes.web.logging.files.b.path"]


def test_a_pattern_that_would_follow_an_output(read: Read) -> None:
    found = read("""
        global: {log_outputs: {all: {path: /log/a-1.log}}}
        processes: {web: {command: a, logging: {files: {x: {path: /log/a-*.log}, y: {path: '/l*/b'}}}}}
    """)
    assert fields(found, Severity.ERROR) == [
        "processes.web.logging.files.x.path",
        "processes.web.logging.files.y.path",
    ]


def test_a_file_that_would_follow_itself_under_another_name(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "soft").symlink_to("a")
    (tmp_path / "folder").symlink_to(".")
    names = ("hard", "soft", "folder/a", "folder/h*")
    files = ", ".join(f"f{number}: {{path: {tmp_path}/{name}}}" for number, name in enumerate(names))
    found = read(f"""
        global: {{log_outputs: {{a: {{path: {tmp_path}/a}}, b: {{path: {tmp_path}/hard}}}}}}
        processes: {{web: {{command: a, logging: {{files: {{{files}}}}}}}}}
    """)
    assert fields(found, Severity.ERROR) == [f"processes.web.logging.files.f{n}.path" for n in range(4)]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{folder}", "it is a directory"),
        ("{folder}/file/x.log", "{folder}/file is no directory"),
        ("{folder}/file/${{CBOX_INIT_INSTANCE_ID}}.log", "{folder}/file is no directory"),
        ("{folder}/new/x.log", None),
        ("{folder}/file", None),
        ("{folder}/link", None),
        ("{folder}/${{CBOX_INIT_INSTANCE_ID}}/x.log", None),
        ("/dev/stdout", None),
        ("/dev/null", None),
    ],
)
def test_places_that_cannot_be_written(read: Read, tmp_path: Path, path: str, message: str | None) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("not there yet")
    place = path.format(folder=tmp_path)
    found = read(f"processes: {{web: {{command: a, logging: {{outputs: {{x: {{path: '{place}'}}}}}}}}}}")
    report = ProblemReport()
    check_places(config_of(found), report)
    problems = report.problems()
    if message is None:
        assert not problems
        return
    (problem,) = problems
    assert problem.field == "processes.web.logging.outputs.x.path"
    assert problem.severity is Severity.ERROR
    assert message.format(folder=tmp_path) in problem.message


@as_root
def test_what_another_user_makes_of_its_logs_does_not_prevent_a_start(
    read: Read, theirs: Path, public_path: Path
) -> None:
    (theirs / "folder").mkdir()
    for name, target in (("link", public_path / "secret"), ("followed", public_path / "all.log")):
        (theirs / name).symlink_to(target)
        os.lchown(theirs / name, NOBODY, NOBODY)
    outputs = f"a: {{path: {theirs}/folder}}, b: {{path: {theirs}/link}}, c: {{path: {theirs}/new/x.log}}"
    files = f"x: {{path: {theirs}/followed}}"
    found = read(f"""
        global: {{log_outputs: {{all: {{path: {public_path}/all.log}}}}}}
        processes: {{web: {{command: a, logging: {{outputs: {{{outputs}}}, files: {{{files}}}}}}}}}
    """)
    report = ProblemReport()
    check_places(config_of(found), report)
    said = [(problem.severity, problem.field) for problem in report.problems()]
    fields = [f"processes.web.logging.outputs.{name}.path" for name in "ab"]
    assert said == [(Severity.WARNING, field) for field in fields]
    assert "uid 65534 made this link" in report.problems()[1].message


def test_a_file_system_that_does_not_answer_is_a_warning(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Event()

    def exists(path: str) -> bool:
        assert answers.wait(20)
        return False

    monkeypatch.setattr(os.path, "exists", exists)
    monkeypatch.setattr(check_outputs, "_ANSWER_TAKES_S", 0.05)
    outputs = f"a: {{path: {tmp_path}/a.log}}, b: {{path: {tmp_path}/b.log}}"
    found = read(f"processes: {{web: {{command: a, logging: {{outputs: {{{outputs}}}}}}}}}")
    report = ProblemReport()
    check_places(config_of(found), report)
    answers.set()
    (problem,) = report.problems()
    assert problem.severity is Severity.WARNING
    assert "is not checked, nor are further paths: no answer within 0.05 s" in problem.message
