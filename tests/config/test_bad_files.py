"""Files that are broken, hostile or merely odd: each has one clear result."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.document import parse_document
from cbox_init.config.load import examine, load
from cbox_init.config.problems import Severity
from cbox_init.errors import ConfigError
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.config.conftest import Read

GOOD = "processes:\n  web:\n    command: sleep 1\n"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"processes: [", 2, "not valid YAML"),
        (b"processes:\n  web: a: b\n", 2, "not valid YAML: mapping values"),
        (b"processes:\n\tweb:\n", 2, "not valid YAML: a tab in the indentation"),
        (b"a: 'open\n", 2, "not valid YAML"),
        (b"processes:\n  web: @at\n", 2, "not valid YAML"),
        (b"a: \x01\n", 1, "not valid YAML"),
        (b"", None, "the file is empty"),
        (b"# only a comment\n", None, "the file is empty"),
        (b"---\n", None, "the file is empty"),
        (b"- a\n- b\n", None, "expected a mapping of keys, got a list"),
        (b"just text\n", None, "expected a mapping of keys, got a single value"),
        (b"processes:\n  web:\0\n", 2, "a NUL byte"),
        (b"processes:\n  # \xff\xfe\n", 2, "not UTF-8"),
        (GOOD.encode("utf-16"), 1, "NUL byte"),
        (b"a: *nothing\n", 1, "has no anchor"),
        (b"a: &a [*a]\n", 1, "the alias *a is inside its own anchor"),
        (b"a: &a {b: *a}\n", 1, "the alias *a is inside its own anchor"),
        (b"? [a]\n: b\n", 1, "a key must be text"),
        (b"a: {<<: 3}\n", 1, "<< merges mappings only"),
        (b"a: {<<: [3]}\n", 1, "<< merges mappings only"),
        (b"processes: {}\n", 1, "no process is defined"),
        (b"processes:\nglobal: {}\n", 1, "no process is defined"),
        (b"processes: [web]\n", 1, "expected a mapping of sections, got a list"),
        (b"processes: {web: 3}\n", 1, "expected a mapping of keys, got a single value"),
        (b"processes: {web: }\n", 1, "a command is required"),
        (b"processes: {web: {command: []}}\n", 1, "a command is required"),
        (b"processes: {web: {command: ''}}\n", 1, "a command is required"),
        (b"processes: {web: {command: ['']}}\n", 1, "the program is empty"),
        (b'processes: {web: {command: "it\'s"}}\n', 1, "no closing quotation"),
        (b'processes: {web: {command: ["a\\0"]}}\n', 1, "contains a NUL character"),
        (b'processes: {web: {command: a, env: {A: "\\0"}}}\n', 1, "contains a NUL character"),
        (b"processes: {web: {command: a, env: {'A=B': c}}}\n", 1, "is not a valid name of a variable"),
        (b"processes: {web: {command: a, env: ['A=b']}}\n", 1, "expected a mapping of texts, got a list"),
        (b"processes: {web: {command: a, depends_on: b}}\n", 1, "expected a list of texts"),
        (b"processes: {web: {command: a, depends_on: [~]}}\n", 1, "expected a text, got nothing"),
    ],
)
def test_bad_files(read: Read, content: bytes, line: int | None, message: str) -> None:
    error = the_error(read(content))
    assert message in error.message
    assert error.line == line
    assert error.recommendation
    assert "\n" not in str(error)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path / "\0", "null byte"),
    ):
        with pytest.raises(ConfigError, match=reason) as caught:
            load(str(path), {})
        assert len(caught.value.problems) == 1


def test_a_file_without_permission(public_path: Path) -> None:
    file = public_path / "c.yaml"
    file.write_text(GOOD)
    file.chmod(0)
    with as_somebody_else(), pytest.raises(ConfigError, match="Permission denied"):
        load(str(file), {})


@contextlib.contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root reads everything: be nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_an_endless_file() -> None:
    assert "larger than 8 MiB" in the_error(examine("/dev/zero", {})).message


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        b"%YAML 1.1\n---\n" + GOOD.encode() + b"...\n",
        b'{"processes": {"web": {"command": "sleep 1"}}}',
    ],
)
def test_odd_but_good(read: Read, content: bytes) -> None:
    found = read(content)
    assert config_of(found).processes["web"].command == ("sleep", "1")
    assert not found.problems


def test_the_first_of_two_documents_counts(read: Read) -> None:
    found = read(GOOD + "---\nprocesses: {api: {command: b}}\n")
    assert list(config_of(found).processes) == ["web"]
    (warning,) = found.problems
    assert (warning.severity, warning.line) == (Severity.WARNING, 4)
    assert "only the first is used" in warning.message


def test_a_key_that_is_there_twice(read: Read) -> None:
    found = read("processes:\n  web:\n    command: a\n    scale: 1\n    command: b\n  web:\n    command: c\n")
    assert [(error.field, error.line, error.message) for error in found.problems] == [
        ("processes.web.command", 5, "the key occurs twice, on lines 3 and 5"),
        ("processes.web", 6, "the key occurs twice, on lines 2 and 6"),
    ]


def test_merge_keys(read: Read) -> None:
    text = """
        a: &a {command: from-a, scale: 2, user: u}
        b: &b {command: from-b, group: g}
        processes:
          one: {<<: [*a, *b], user: own}
          two: {user: own, <<: *b}
          three: &c {<<: *a, scale: 3}
          four: {<<: *c, command: last}
          '<<': {command: quoted}
    """
    processes = config_of(read(text)).processes
    one, two, four = processes["one"], processes["two"], processes["four"]
    assert (one.command, one.scale, one.user, one.group) == (("from-a",), 2, "own", "g")
    assert (two.command, two.user, two.group) == (("from-b",), "own", "g")
    assert (four.command, four.scale, four.user) == (("last",), 3, "u")
    assert processes["<<"].command == ("quoted",)


def test_texts_stay_as_they_are_written() -> None:
    root, _ = parse_document(
        "[1.10, yes, 0755, 1e3, 2024-01-01, 'null', null, ~, , ~]".replace(", ,", ', "",')
    )
    assert root == ["1.10", "yes", "0755", "1e3", "2024-01-01", "null", None, None, "", None]


@pytest.mark.parametrize("where", ["bomb", "processes"])
def test_a_bomb_of_aliases(read: Read, where: str) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    began = time.thread_time()
    error = the_error(read("\n".join([*lines, f"{where}: *a8", ""])))
    assert time.thread_time() - began < 5
    assert "aliases expand to more than 100000 values" in error.message
    assert error.line is not None


def test_a_bomb_of_merges(read: Read) -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: x" for n in range(10)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)]
    assert "aliases expand" in the_error(read("\n".join(lines))).message


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 200_000, "{a: " * 200_000, "? " * 200_000])
def test_very_deep_nesting(read: Read, text: str) -> None:
    began = time.thread_time()
    error = the_error(read("processes: " + text if text[0] in "[{" else text))
    assert time.thread_time() - began < 10
    # the third is libyaml's own word, of the versions that have a limit
    told = ("nested more than 64 levels deep", "a key must be text", "exceeded maximum nesting depth")
    assert any(words in error.message for words in told)


def test_a_hundred_thousand_lines(read: Read) -> None:
    process = "  p{}:\n    command: [sleep, '1']\n    env:\n      A: x\n    scale: 1\n"
    text = "processes:\n" + "".join(process.format(number) for number in range(20_000))
    began = time.process_time()
    found = read(text)
    assert time.process_time() - began < 10
    assert len(config_of(found).processes) == 20_000


def test_a_hundred_thousand_wrong_lines(read: Read) -> None:
    process = "  p{0}:\n    comand: [sleep]\n    depends_on: [q{0}]\n    scale: x\n    stdout: maybe\n"
    text = "processes:\n" + "".join(process.format(number) for number in range(20_000))
    began = time.process_time()
    found = read(text)
    assert time.process_time() - began < 20
    errors = found.of(Severity.ERROR)
    assert len(errors) == 1_001
    assert errors[-1].message == "79000 more errors are not shown"


def test_all_problems_at_once_in_the_order_of_the_file(read: Read) -> None:
    found = read(
        """\
        global:
          shutdown_timeout: soon
          log_level: loud
          shutdwon_timeout: 3
        processes:
          web:
            command: [a]
            scale: -1
            shutdown: {signal: SIGNOPE, timeout: 2h}
            health_check:
              period: -1
              url: http://x
          db:
            comand: b
        """
    )
    assert [(problem.line, problem.field) for problem in found.problems if problem.line] == [
        (2, "global.shutdown_timeout"),
        (3, "global.log_level"),
        (4, "global.shutdwon_timeout"),
        (8, "processes.web.scale"),
        (9, "processes.web.shutdown.signal"),
        (9, "processes.web.shutdown.timeout"),
        (11, "processes.web.health_check.period"),
        (13, "processes.db.command"),
        (14, "processes.db.comand"),
    ]
    mends = {problem.field: problem.recommendation for problem in found.problems}
    assert mends["global.shutdwon_timeout"] == "did you mean shutdown_timeout?"
    assert mends["processes.db.comand"] == "did you mean command?"
    with pytest.raises(ConfigError) as caught:
        load(found.path, {})
    assert caught.value.problems == found.problems
    summary = str(caught.value)
    assert summary.startswith(f"{found.path} has 7 errors, the first: line 2: global.shutdown_timeout: ")
    assert "\n" not in summary


def test_an_unknown_key_is_an_error_when_strict(read: Read) -> None:
    assert fields(read(GOOD + "    skale: 2\n"), Severity.WARNING) == ["processes.web.skale"]
    error = the_error(read(GOOD + "    skale: 2\n", strict=True))
    assert (error.field, error.recommendation) == ("processes.web.skale", "did you mean scale?")


def test_a_variable_that_is_no_text(read: Read) -> None:
    found = read("\nprocesses: {web: {command: '${BAD}'}}", {"BAD": "\udcff"})
    assert ("UTF-8" in the_error(found).message, the_error(found).line) == (True, 2)
    found = read(GOOD, {"CBOX_INIT_PROCESS_WEB_USER": "\udcff"})
    assert "UTF-8" in the_error(found).message
