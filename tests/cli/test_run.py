"""The quick parser of ``run``, and the process that it puts into a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.cli import daemon, launch
from cbox_init.cli.app import commands
from cbox_init.cli.run import parse_run
from cbox_init.config.load import examine
from cbox_init.config.main_process import MainProcess
from cbox_init.config.model import LogFormat, LogLevel, OnExit, Stdin
from cbox_init.options import ServeOptions

if TYPE_CHECKING:
    from pathlib import Path

MAIN = MainProcess("main", ("sleep", "1"))
APP = MAIN._replace(name="app")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["run", "--", "sleep", "1"], ServeOptions(main=MAIN)),
        (["run", "-c", "x", "--", "sleep", "1"], ServeOptions(config="x", main=MAIN)),
        (["-c", "x", "run", "--watch", "--", "sleep", "1"], ServeOptions(config="x", watch=True, main=MAIN)),
        (["run", "--name", "app", "--", "sleep", "1"], ServeOptions(main=APP)),
        (["run", "--", "run", "--", "-c"], ServeOptions(main=MainProcess("main", ("run", "--", "-c")))),
    ],
)
def test_the_quick_parser_reads_it_as_click_does(
    arguments: list[str], options: ServeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse_run(arguments) == options
    launched: list[ServeOptions] = []
    monkeypatch.setattr(launch, "launch", launched.append)
    commands.main(arguments, standalone_mode=False)
    assert launched == [options]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--"],
        ["run", "sleep", "1"],
        ["run", "--help", "--"],
        ["run", "run", "--", "sleep"],
        ["run", "serve", "--", "sleep"],
        ["run", "--name", "--", "sleep"],
        ["exec", "run", "--", "sleep"],
        ["list", "--", "run"],
    ],
)
def test_the_rest_is_left_to_click(arguments: list[str]) -> None:
    assert parse_run(arguments) is None
    assert daemon.run.name == "run"


def test_the_keys_of_the_file_count_for_it_and_its_command_does_not(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("""
processes:
  main: {command: [never], enabled: false, stdin: "null", restart: always, user: www-data}
  other: {command: [sleep, "2"]}
""")
    found = examine(str(file), {"CBOX_INIT_PROCESS_MAIN_USER": "nobody"}, main=MAIN)
    assert found.valid
    assert found.config is not None
    assert list(found.config.processes) == ["main", "other"]
    main = found.config.processes["main"]
    assert (main.command, main.enabled, main.user) == (("sleep", "1"), True, "nobody")
    assert (main.on_exit, main.stdin) == (OnExit.SHUTDOWN, Stdin.NULL)


def test_on_a_terminal_the_daemon_writes_less_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    on_terminal = MAIN._replace(on_terminal=True)
    alone = examine(None, {"HOME": str(tmp_path)}, main=on_terminal).config
    assert alone is not None
    assert (alone.global_.log_level, alone.global_.log_format) == (LogLevel.WARN, LogFormat.TEXT)
    file = tmp_path / "c.yaml"
    file.write_text("global: {log_level: debug}\n")
    with_file = examine(str(file), {}, main=on_terminal).config
    assert with_file is not None
    assert (with_file.global_.log_level, with_file.global_.log_format) == (LogLevel.DEBUG, LogFormat.TEXT)
    plain = examine(str(file), {}, main=MAIN).config
    assert plain is not None
    assert plain.global_.log_format is LogFormat.JSON


@pytest.mark.parametrize("text", ["processes: [a, b]", "processes: text", "global: 5"])
def test_a_file_that_is_wrong_stays_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert not examine(str(file), {}, main=MAIN._replace(on_terminal=True)).valid
