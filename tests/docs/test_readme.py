"""What README.md promises: its version, its table, and an image that builds and runs."""

from __future__ import annotations

import json
import re
import signal
import sys
import tomllib
import urllib.request
from pathlib import Path

from dockerfile_parse import DockerfileParser

from cbox_init import __version__
from cbox_init.cli.process_table import COLUMNS, USUAL
from cbox_init.config.load import usual_places
from cbox_init.config.model import GlobalConfig, ProcessConfig
from cbox_init.config.schema import fields_of
from tests.docs.markdown import ROOT, code, sections
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_ports

PAGE = ROOT / "README.md"
IMAGE = ROOT / "examples/image"
PROOF = re.compile(r"\[test\]\((tests/[\w/]+\.py) \"(test_\w+)\"\)")
INSTRUCTIONS = {"COMMENT", "FROM", "ENV", "COPY", "RUN", "ENTRYPOINT"}


def block(language: str) -> str:
    (found,) = (b.text for s in sections(PAGE) for b in s.blocks if b.language == language)
    return found


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments."""
    with (IMAGE / "Dockerfile").open("rb") as file:
        return [(entry["instruction"], entry["value"]) for entry in DockerfileParser(fileobj=file).structure]


def environment() -> dict[str, str]:
    return dict(value.split("=", 1) for name, value in instructions() if name == "ENV")


def copied() -> dict[str, list[str]]:
    """What COPY takes from the checkout, by where it goes."""
    words = [value.split() for name, value in instructions() if name == "COPY"]
    return {destination: [*sources] for *sources, destination in words}


def test_the_version_is_that_of_the_package() -> None:
    assert f"Version {__version__} ·" in PAGE.read_text().partition("\n## ")[0]


def test_every_row_of_the_comparison_names_a_test_and_keys_that_exist() -> None:
    (rows,) = (
        t[1:]
        for s in sections(PAGE)
        for t in s.tables
        if t[0] == ["feature", "requested in", "here", "proof"]
    )
    known = {*fields_of(GlobalConfig), *fields_of(ProcessConfig), "restart"}
    assert len(rows) > 8
    for _, _, here, proof in rows:
        tests = PROOF.findall(proof)
        assert tests, here
        for file, name in tests:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), name
        keys = [name.partition(":")[0] for name in code(here) if " " not in name.partition(":")[0]]
        assert [key for key in keys if key not in known] == []


def test_the_picture_shows_the_list_as_it_is() -> None:
    picture = (ROOT / "docs/pictures/terminal.svg").read_text()
    titles = [COLUMNS[name].title for name in USUAL]
    assert [name for name in titles if not re.search(rf">{name} *<", picture)] == []


def test_the_files_of_the_image_are_those_of_the_page() -> None:
    assert block("dockerfile") == (IMAGE / "Dockerfile").read_text()
    first, _, rest = (IMAGE / "cbox-init.yaml").read_text().partition("\n")
    assert first.startswith("# yaml-language-server:")
    assert block("yaml") == rest


def test_the_dockerfile_has_known_instructions_and_no_comment_behind_one() -> None:
    found = instructions()
    assert {name for name, _ in found} == INSTRUCTIONS
    assert next(name for name, _ in found if name != "COMMENT") == "FROM"
    assert [value for name, value in found if name != "COMMENT" and "#" in value] == []


def test_the_image_has_what_the_package_is_built_from() -> None:
    sources = [source for group in copied().values() for source in group]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {"pyproject.toml", project["project"]["readme"], project["project"]["license"]["file"]}
    needed |= {Path(p).parts[0] for p in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert needed <= set(sources)
    (installed,) = (value.split()[-1] for name, value in instructions() if name == "RUN")
    assert f"{installed}/" in copied()
    assert f"{installed}/src" in copied()


def test_the_daemon_finds_the_file_where_the_image_has_it() -> None:
    (place,) = (where for where, what in copied().items() if what == ["examples/image/cbox-init.yaml"])
    assert place in usual_places({})
    (entrypoint,) = (value for name, value in instructions() if name == "ENTRYPOINT")
    assert json.loads(entrypoint) == ["cbox-init"]


def test_the_configuration_runs_with_python_alone(tmp_path: Path) -> None:
    """As the image runs it, but for the ports; its programs are Python's."""
    ports = free_ports(2)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    text = block("yaml").replace("port_base: 8000", f"port_base: {ports}")
    assert str(ports) in text
    text = text.replace("log_format: text ", "api_socket: SOCKET\n  log_format: json ")
    env = {**environment(), "PATH": str(tmp_path / "bin")}
    daemon = DaemonProcess(tmp_path, text, env=env)
    try:
        daemon.until_said("All processes started successfully")
        wait_for(lambda: daemon.lines("worker"), "a line of worker")
        assert daemon.lines("migrate") == ["schema is up to date"]
        for port in (ports, ports + 1):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                assert answer.status == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    finally:
        daemon.end()


def test_a_worker_that_fails_is_the_exit_code(tmp_path: Path) -> None:
    """The promise beside ``on_give_up`` in the file, with a worker that cannot work."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    ports = free_ports(2)
    text = block("yaml").replace("port_base: 8000", f"port_base: {ports}")
    text = text.replace("import itertools, time", "raise SystemExit(7)")
    text = text.replace("restart_delay: 1s ", "max_restarts: 1\n    restart_delay: 10ms ")
    assert "raise SystemExit(7)" in text
    text = text.replace("log_format: text ", "api_socket: SOCKET\n  log_format: json ")
    daemon = DaemonProcess(tmp_path, text, env={**environment(), "PATH": str(tmp_path / "bin")})
    try:
        assert daemon.wait() == 7
    finally:
        daemon.end()
