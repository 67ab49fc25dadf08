"""Where the file is looked for, and what loading costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cbox_init.config.load import Loaded, examine, find, load, usual_places
from cbox_init.config.problems import Problem, Severity
from cbox_init.errors import ConfigError
from tests.config.helpers import the_error

GOOD = "processes: {web: {command: a}}\n"


def test_the_usual_places() -> None:
    assert usual_places({"HOME": "/root"}) == [
        "/root/.cbox/init/config.yaml",
        "/root/.cbox/init/config.yml",
        "/etc/cbox/init/config.yaml",
        "/etc/cbox/init/config.yml",
        "/etc/cbox-init/cbox-init.yaml",
        "/etc/cbox-init/cbox-init.yml",
        "./cbox-init.yaml",
        "./cbox-init.yml",
    ]
    assert usual_places({})[0] == "/etc/cbox/init/config.yaml"


def test_the_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    environ = {"HOME": str(home)}
    (tmp_path / "cbox-init.yml").write_text(GOOD)
    assert find(None, environ) == "./cbox-init.yml"
    (tmp_path / "cbox-init.yaml").write_text(GOOD)
    assert find(None, environ) == "./cbox-init.yaml"
    (home / ".cbox/init").mkdir(parents=True)
    (home / ".cbox/init/config.yml").write_text(GOOD)
    assert find(None, environ) == f"{home}/.cbox/init/config.yml"
    assert find(None, {**environ, "CBOX_INIT_CONFIG": "/named"}) == "/named"
    assert find("/given", {**environ, "CBOX_INIT_CONFIG": "/named"}) == "/given"
    assert find(None, {**environ, "CBOX_INIT_CONFIG": ""}) == f"{home}/.cbox/init/config.yml"
    assert load(None, environ).path == f"{home}/.cbox/init/config.yml"


def test_a_named_file_that_is_not_there_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cbox-init.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match="cannot read /none: No such file"):
        load(None, {"CBOX_INIT_CONFIG": "/none"})


def test_no_file_and_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(None, {})
    text = str(caught.value)
    assert "./cbox-init.yaml" in text and "/etc/cbox/init/config.yaml" in text and "--config" in text


def test_what_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + "extra: 1\n")
    loaded = load(str(file), {})
    assert isinstance(loaded, Loaded)
    assert loaded.path == str(file)
    assert [problem.severity for problem in loaded.problems] == [Severity.WARNING]
    assert examine(str(file), {}).config == loaded.config
    with pytest.raises(ConfigError, match="unknown key"):
        load(str(file), {}, strict=True)


def test_a_problem_is_one_line() -> None:
    assert str(Problem(field="a.b", message="is wrong", recommendation="fix it", line=3)) == (
        "line 3: a.b: is wrong (fix it)"
    )
    assert str(Problem(field="", message="is wrong")) == "is wrong"


def test_loading_imports_nothing_dear() -> None:
    code = """if True:
        import errno, math, sys, msgspec, yaml, signal
        before = set(sys.modules)
        from cbox_init.config.load import load
        load(sys.argv[1], {"CBOX_INIT_GLOBAL_LOG_LEVEL": "info"})
        print(*(name for name in set(sys.modules) - before if not name.startswith("cbox_init")))
    """
    file = Path(__file__).with_name("plain.yaml")
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_an_empty_name_is_an_error_and_no_reason_to_look_elsewhere() -> None:
    found = examine("", {"CBOX_INIT_CONFIG": "/none.yaml"})
    assert the_error(found).message == "the name of the configuration file is empty"
