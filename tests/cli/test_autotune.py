"""``autotune``, and a profile that does not fit where ``serve`` starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.app import run
from cbox_init.cli.launch import launch
from cbox_init.container import Capacity, LimitSource
from cbox_init.options import ServeOptions

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container of 300 MiB and two CPUs, in a directory without a configuration."""
    capacity = Capacity(300 * MIB, LimitSource.CGROUP_V2, 2.0, LimitSource.CGROUP_V2)
    monkeypatch.setattr("cbox_init.php.autotune.read_capacity", lambda: capacity)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_each_number_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["autotune", "--profile", "light"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["memory   300 MiB (cgroup v2)", "cpus     2 (cgroup v2)"]
    (children,) = (line for line in lines if line.startswith("PHP_FPM_MAX_CHILDREN=2 "))
    assert children.endswith("(300 MiB x 0.7 - 128 reserved - 96 OPcache) / 36 MiB a worker = 0; at least 2")
    assert lines[-1] == "With all workers at work PHP-FPM needs 296 MiB."


def test_the_profile_and_the_share_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cbox-init.yaml").write_text(
        "global: {php_fpm_profile: bursty, autotune_memory_threshold: 0.5}\nprocesses: {a: {command: b}}\n"
    )
    assert run(["autotune", "--memory", "2GiB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["profile"], found["share"], found["memory_source"]) == ("bursty", 0.5, "given")
    assert found["sources"] == {
        "profile": "global.php_fpm_profile",
        "share": "global.autotune_memory_threshold",
    }
    assert found["settings"]["PHP_FPM_MAX_CHILDREN"]["value"] == "8"


def test_auto_of_the_environment_does_not_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHP_FPM_AUTOTUNE_PROFILE", "auto")
    monkeypatch.setenv("PHP_FPM_AUTOTUNE_WORKER_MB", "100")
    monkeypatch.setenv("PHP_FPM_MAX_SPARE", "3")
    assert run(["autotune", "--memory", "4G", "--cpus", "8"]) == 0
    out = capsys.readouterr().out
    assert "worker   100 MiB (PHP_FPM_AUTOTUNE_WORKER_MB)" in out
    assert "PHP_FPM_MAX_SPARE is 3 in the environment, and is kept" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "huge"], "--profile is 'huge': write dev, light, medium, heavy, bursty or auto"),
        (
            ["--profile", "heavy"],
            "the profile heavy needs 692 MiB (384 reserved, 256 for OPcache, 52 for one",
        ),
        (["--threshold", "80"], "--threshold is 80: it must be above 0 and at most 10, write 0.8 for 80 %"),
        (["--memory", "much"], "--memory is 'much': write a size such as 512M or 2G"),
        (["--memory", "0"], "--memory is '0'"),
        (["--cpus", "-1"], "--cpus is -1: write a number above 0"),
        (["--cpus", "nan"], "--cpus is nan"),
        (["--profile", "auto", "--for", "2h"], "--for is '2h': write a time of at most an hour"),
        (["-c", "/no/such/file"], "cannot read /no/such/file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["autotune", *arguments]) in (1, 2)
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_serve_does_not_start_where_the_profile_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbox_init.daemon.gc.disable", lambda: None)
    config = tmp_path / "one.yaml"
    config.write_text("processes: {a: {command: b}}\n")
    assert launch(ServeOptions(config=str(config), php_fpm_profile="medium")) == 1
    assert capsys.readouterr().err == (
        "cbox-init: the profile medium needs 362 MiB (192 reserved, 128 for OPcache, 42 for one worker), and "
        "this container has 300 MiB: give it more memory, or choose a smaller profile\n"
    )
