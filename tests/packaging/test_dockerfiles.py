"""The Dockerfiles that people begin with."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from cbox_init.config.load import load

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("packaging/docker/**/Dockerfile"))
BASES = [path for path in DOCKERFILES if path.parent.name != "docker"]


def named(path: Path) -> str:
    return path.parent.name


def instructions(path: Path) -> list[tuple[str, str]]:
    parser = DockerfileParser(fileobj=BytesIO(path.read_bytes()))
    return [(one["instruction"], one["value"]) for one in parser.structure]


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([program, *DOCKERFILES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_one_for_each_base() -> None:
    assert [named(path) for path in BASES] == ["nginx", "node", "php-fpm", "python"]


@pytest.mark.parametrize("path", BASES, ids=named)
def test_cbox_init_comes_by_one_line_and_is_pid_1(path: Path) -> None:
    lines = instructions(path)
    assert ("COPY", "--from=cbox-init /usr /usr") in lines
    assert ("ENTRYPOINT", '["cbox-init"]') in lines
    assert ("CMD", '["serve"]') in lines
    (health,) = (value for name, value in lines if name == "HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2]) == ["cbox-init", "health"]


@pytest.mark.parametrize("path", BASES, ids=named)
def test_the_configuration_is_copied_and_has_no_warning(path: Path) -> None:
    assert ("COPY", "cbox-init.yaml /etc/cbox-init/cbox-init.yaml") in instructions(path)
    assert load(str(path.parent / "cbox-init.yaml"), {}).problems == ()


def test_what_the_bundle_is_built_with_is_what_its_target_installs() -> None:
    """Otherwise `make bundle` in the image would have to install it."""
    text = (ROOT / ".ci/packages").read_text()
    needed = {line.split()[2] for line in text.splitlines() if line.startswith("bundle ")}
    only_tests = {"util-linux", "nginx-light", "php-fpm", "dpkg"}
    (installed,) = (
        value for name, value in instructions(ROOT / "packaging/docker/Dockerfile") if "apt-get" in value
    )
    assert needed - only_tests <= set(installed.split())
