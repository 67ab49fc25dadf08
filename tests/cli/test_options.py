"""The quick parser of serve's options, held against click's reading of the same table."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.cli import daemon, launch
from cbox_init.cli.app import commands
from cbox_init.options import SERVE_OPTIONS, ServeOptions, parse_serve, serve_arguments


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], ServeOptions()),
        (["serve"], ServeOptions()),
        (["-c", "x.yaml"], ServeOptions(config="x.yaml")),
        (["serve", "--config=x.yaml", "--dry-run"], ServeOptions(config="x.yaml", dry_run=True)),
        (["--dry-run", "serve"], ServeOptions(dry_run=True)),
        (["--config", "serve"], ServeOptions(config="serve")),
        (["--config="], ServeOptions(config="")),
        (["-c", "a", "-c", "b"], ServeOptions(config="b")),
        (["--dev"], ServeOptions(watch=True)),
        (["--watch"], ServeOptions(watch=True)),
        (["--php-fpm-profile=medium"], ServeOptions(php_fpm_profile="medium")),
        (["--autotune-memory-threshold", "0.8"], ServeOptions(autotune_memory_threshold=0.8)),
        (
            ["--skip-permission-setup", "--skip-runtime-validation"],
            ServeOptions(skip_permission_setup=True, skip_runtime_validation=True),
        ),
    ],
)
def test_the_ordinary_ways_to_start_are_known(arguments: list[str], options: ServeOptions) -> None:
    assert parse_serve(arguments) == options


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["--help"],
        ["serve", "--help"],
        ["--version"],
        ["serve", "serve"],
        ["serve", "extra"],
        ["-c"],
        ["-c", "--dry-run"],
        ["-c=x"],
        ["-cx"],
        ["--conf", "x"],
        ["--dry-run=yes"],
        ["--autotune-memory-threshold", "much"],
        ["--autotune-memory-threshold"],
        ["--", "serve"],
        [""],
    ],
)
def test_everything_else_is_left_to_click(arguments: list[str]) -> None:
    assert parse_serve(arguments) is None


_words = st.lists(
    st.sampled_from(["serve", "x", "0.5", "list", "--dry-run=1", "-cx", "--"])
    | st.sampled_from([flag for option in SERVE_OPTIONS for flag in option.flags])
    | st.sampled_from(["--config=a", "--php-fpm-profile=b", "--autotune-memory-threshold=2"]),
    max_size=6,
)


@settings(deadline=None)
@given(_words)
def test_click_reads_the_same(arguments: list[str]) -> None:
    options = parse_serve(arguments)
    if options is None or not arguments:
        return
    seen: list[ServeOptions] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "launch", seen.append)
        with commands.make_context("cbox-init", list(arguments)) as context:
            commands.invoke(context)
    assert seen == [options]


def test_help_names_every_option_of_the_table() -> None:
    text = daemon.serve.get_help(click.Context(daemon.serve))
    for option in SERVE_OPTIONS:
        assert all(flag in text for flag in option.flags)


def test_an_option_of_serve_in_front_means_serve() -> None:
    assert serve_arguments(["--php-fpm-profile=medium"]) == ["--php-fpm-profile=medium"]
    assert serve_arguments(["-cfile", "serve", "--bogus"]) == ["-cfile", "--bogus"]
    assert serve_arguments(["--config", "serve", "serve", "serve"]) == ["--config", "serve", "serve"]
    assert serve_arguments([]) is None
    assert serve_arguments(["serve"]) is None
    assert serve_arguments(["--url", "x", "list"]) is None


def test_the_way_to_the_daemon_imports_nothing_of_the_command_line() -> None:
    program = (
        "import sys, cbox_init.__main__, cbox_init.cli.launch, cbox_init.options as options\n"
        "assert options.parse_serve(['serve', '-c', 'x', '--autotune-memory-threshold', '1'])\n"
        "slow = {'click', 'httpx', 'argparse', 'asyncio', 'inspect', 'msgspec'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["serve", "-c"], 1), (["-c"], 1), (["serve", "--config"], 1), (["check-config", "-c"], 2)],
)
def test_a_configuration_without_a_name_is_an_error(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cbox_init", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert f"Option '{arguments[-1]}' requires an argument" in done.stderr


def every_command(group: click.Group, *names: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found = []
    for name, command in group.commands.items():
        found.append(((*names, name), command))
        if isinstance(command, click.Group):
            found += every_command(command, *names, name)
    return found


@pytest.mark.parametrize(("names", "command"), every_command(commands))
def test_each_command_takes_a_file_before_and_behind_it(
    names: tuple[str, ...], command: click.Command
) -> None:
    """What the command does with it is shown below; that it is taken, by its help."""
    for before, behind in ((["-c", "f"], []), (["--config=f"], []), ([], ["-c", "f"]), ([], ["--config=f"])):
        assert commands.main([*before, *names, *behind, "--help"], standalone_mode=False) == 0


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["-c", "a", "check-config"], "a"),
        (["check-config", "-c", "a"], "a"),
        (["-c", "b", "check-config", "--config=a"], "a"),
        (["--config=a", "check-config", "--strict"], "a"),
        (["-ca", "check-config"], "a"),
        (["check-config"], None),
    ],
)
def test_the_file_behind_a_command_counts(
    arguments: list[str], file: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def run(path: str | None, *_: object) -> int:
        given.append(path)
        return 0

    monkeypatch.setattr("cbox_init.cli.check_config.run", run)
    assert commands.main(arguments, standalone_mode=False) == 0
    assert given == [file]


def test_a_word_that_is_no_command_is_not_taken_for_one_of_serve() -> None:
    with pytest.raises(click.UsageError, match="no command is called 'lst'"):
        commands.main(["-c", "f", "lst"], standalone_mode=False)
