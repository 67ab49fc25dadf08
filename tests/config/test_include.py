"""Processes and hooks from other files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.edit import Edits
from cbox_init.config.load import examine, load
from cbox_init.config.save import saved
from cbox_init.errors import NotSaved
from tests.config.helpers import config_of, the_error

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.config.load import Examined

MAIN = """\
version: "1"
include: [conf.d/*.yaml, extra.yaml]
hooks:
  pre-start: [{name: first, command: a}]
processes:
  web: {command: a, depends_on: [db]}
"""


def write(folder: Path, **files: str) -> str:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "extra.yaml").write_text("{}")
    for name, text in files.items():
        (folder / f"{name.replace('__', '/')}.yaml").write_text(text)
    return str(folder / "main.yaml")


def read(folder: Path, **files: str) -> Examined:
    return examine(write(folder, **files), {"NAME": "mail"})


def test_processes_and_hooks_are_merged_in_the_order_of_the_names(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        main=MAIN,
        extra="{x-a: 1, version: 2, hooks: {pre-start: [{name: z, command: c}], pre-stop: [{command: d}]}}",
        **{"conf.d__a": "processes: {db: {command: ['${NAME}']}}"},
        **{"conf.d__b": "processes: {'queue-${NAME}': {command: b}}"},
    )
    config = config_of(found)
    assert list(config.processes) == ["web", "db", "queue-mail"]
    assert config.processes["db"].command == ("mail",)
    assert [hook.name for hook in config.hooks.pre_start] == ["first", "z"]
    assert len(config.hooks.pre_stop) == 1
    assert found.problems == ()
    assert found.included == {
        "db": str(tmp_path / "conf.d/a.yaml"),
        "queue-mail": str(tmp_path / "conf.d/b.yaml"),
    }


@pytest.mark.parametrize(
    ("name", "text", "line", "field", "message"),
    [
        (
            "conf.d__a",
            "\nprocesses:\n  db:\n    command: a\n    scale: x\n",
            5,
            "processes.db.scale",
            "whole number",
        ),
        (
            "conf.d__a",
            "processes:\n  web: {command: b}\n",
            2,
            "processes.web",
            "is defined in the main file as well",
        ),
        ("extra", "global: {log_level: info}\n", 1, "global", "cannot be set in an included file"),
        ("extra", "include: [a.yaml]\n", 1, "include", "cannot be set in an included file"),
        (
            "extra",
            "hooks:\n  pre-start:\n    - {command: a, timeout: x}\n",
            3,
            "hooks.pre-start[1].timeout",
            "duration",
        ),
        (
            "extra",
            "hooks:\n  post-stop:\n    - {command: a, timeout: x}\n",
            3,
            "hooks.post-stop[0].timeout",
            "duration",
        ),
        ("extra", "hooks:\n  pre-stop: {command: a}\n", 2, "hooks.pre-stop", "expected a list"),
        ("extra", "[a]", None, "", "expected a mapping of keys"),
        ("extra", "a: [b\n", 2, "", "not valid YAML"),
        ("extra", "processes: {a: {command: '${X'}}", 1, "processes.a.command", "${X is no reference"),
        ("extra", "\0", 1, "", "a NUL byte"),
    ],
)
def test_each_problem_has_its_file_and_line(
    tmp_path: Path, name: str, text: str, line: int | None, field: str, message: str
) -> None:
    files = {"main": MAIN, "conf.d__z": "processes: {db: {command: a}}", name: text}
    if "db:" in text:
        del files["conf.d__z"]
    error = the_error(read(tmp_path, **files))
    file = str(tmp_path / f"{name.replace('__', '/')}.yaml")
    assert (error.file, error.line, error.field) == (file, line, field)
    assert message in error.message
    assert error.recommendation
    assert str(error).startswith(f"{file}: ")


def test_two_files_with_one_name(tmp_path: Path) -> None:
    text = "processes: {db: {command: a}}"
    error = the_error(read(tmp_path, main=MAIN, **{"conf.d__a": text, "conf.d__b": text}))
    assert error.message == f"is defined in {tmp_path}/conf.d/a.yaml as well"
    assert error.file == f"{tmp_path}/conf.d/b.yaml"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    main = write(tmp_path, main="include: [none.yaml, none.d/*.yaml]\nprocesses: {web: {command: a}}")
    error = the_error(examine(main, {}))
    assert (error.field, error.line, error.file) == ("include[0]", 1, None)
    assert error.message == f"there is no file {tmp_path}/none.yaml"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    main = write(tmp_path, main="include: [extra.yaml]\nprocesses: {web: {command: a}}")
    (tmp_path / "extra.yaml").write_bytes(b"\xff")
    assert the_error(examine(main, {})).file == f"{tmp_path}/extra.yaml"


def test_all_processes_may_be_in_other_files(tmp_path: Path) -> None:
    main = write(tmp_path, main="include: [extra.yaml]", extra="processes: {web: {command: a}}")
    assert list(load(main, {}).config.processes) == ["web"]


def test_patterns_count_from_the_directory_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, main="include: ['*.d/a.yaml']", **{"conf.d__a": "processes: {web: {command: a}}"})
    monkeypatch.chdir(tmp_path)
    assert list(load("main.yaml", {}).config.processes) == ["web"]


def test_a_process_of_an_included_file_is_not_saved(tmp_path: Path) -> None:
    main = write(tmp_path, main=MAIN, extra="processes: {db: {command: a}}")
    edits = Edits(load(main, {}).config)
    with pytest.raises(NotSaved, match=r"process db is defined in .*/extra\.yaml; edit that file"):
        saved(main, edits.updated("db", {"command": ["b"]}, {}), {})
    saved(main, edits.updated("web", {"command": ["b"], "depends_on": ["db"]}, {}), {})
    assert load(main, {}).config.processes["web"].command == ("b",)
    assert os.listdir(tmp_path / "conf.d") == []
