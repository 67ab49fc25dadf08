"""``cbox-init import``: what is written where, and the run of the result."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from cbox_init.cli.app import run
from cbox_init.cli.trial import verdict
from tests.cli.conftest import Done
from tests.client.fake import instance, process
from tests.importers.cases import CORPUS
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Run

    Import = Callable[..., Done]

PROCFILE = "web: sleep 1000\nworker: cat | cat\n"
LOSSY = "[program:web]\ncommand=sleep 1000\nserverurl=AUTO\nenvironment=TOKEN=abcdefgh123\n"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Import:
    """``cbox-init import`` in this process."""

    def import_(*arguments: str) -> Done:
        code = run(["import", *arguments])
        return Done(code, *capsys.readouterr())

    return import_


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    file = tmp_path / "Procfile"
    file.write_text(PROCFILE)
    return file


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    file = tmp_path / "supervisord.conf"
    file.write_text(LOSSY)
    return file


def test_the_result_is_on_standard_output_and_notes_beside_it(call: Import, lossy: Path) -> None:
    done = call(str(lossy))
    assert done.code == 0
    assert yaml.safe_load(done.out)["processes"]["web"]["command"] == "sleep 1000"
    lost, secret, count = sorted(done.err.splitlines(), key=lambda line: ("note" in line, line[:1].isdigit()))
    assert lost.startswith(f"{lossy}:3: program:web.serverurl: children get no URL")
    assert secret.startswith(f"{lossy}:1: env.TOKEN: note: ")
    assert count == "1 process; 1 not carried over, 1 note"
    assert "abcdefgh123" not in done.err


def test_strict(call: Import, lossy: Path, procfile: Path) -> None:
    assert call("--strict", str(lossy)).code == 1
    assert call("--strict", str(procfile)).code == 0


def test_a_file_is_not_replaced_unless_forced(
    call: Import, procfile: Path, lossy: Path, tmp_path: Path
) -> None:
    target = tmp_path / "cbox-init.yaml"
    done = call(str(procfile), "-o", str(target))
    assert (done.code, done.out) == (0, "")
    before = target.read_text()
    again = call(str(lossy), "-o", str(target))
    assert again.code == 1 and "--force" in again.err and again.err.count("\n") == 1
    assert target.read_text() == before
    assert call(str(lossy), "-o", str(target), "--force").code == 0
    assert "TOKEN" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600  # it holds a secret
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "Procfile",
        "cbox-init.yaml",
        "supervisord.conf",
    ]


def test_several_files_are_one_configuration(call: Import, procfile: Path, lossy: Path) -> None:
    done = call(str(procfile), str(lossy))
    assert list(yaml.safe_load(done.out)["processes"]) == ["web", "worker", "web-2"]
    assert f"{lossy}:1: web: note: the process is called web-2: {procfile}:1 has a web too" in done.err


def test_json(call: Import, lossy: Path) -> None:
    done = call("--json", str(lossy))
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["valid"] and report["processes"] == ["web"]
    assert yaml.safe_load(report["configuration"])["processes"]["web"]["command"] == "sleep 1000"
    lost = [note for note in report["notes"] if note["kind"] == "lost"]
    assert [(note["file"], note["line"], note["key"], note["process"]) for note in lost] == [
        (str(lossy), 3, "program:web.serverurl", "web")
    ]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", "nothing of this", "its format is not known"),
        ("a.conf", "x=1", "no sections of supervisord or circus"),
        ("compose.yml", "services: [", "not valid YAML"),
        ("compose.yml", "a: 1", "no services"),
        ("ecosystem.json", '{"apps": 5}', "no apps"),
        ("ecosystem.json", "", "it is empty"),
        ("ecosystem.config.js", "throw new Error('no way')", "no way"),
        ("ecosystem.config.js", "module.exports = {", "Unexpected end of input"),
        ("cbox-init.yaml", "processes: {a: {command: b}}", "a configuration of cbox-init already"),
        ("supervisord.conf", "[supervisord]\nnodaemon=true\n", "no process"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    call: Import, tmp_path: Path, name: str, text: str, reason: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    done = call(str(file))
    assert (done.code, done.out) == (1, "")
    assert reason in done.err
    assert "Traceback" not in done.err


def test_standard_input(call: Import, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text("0 3 * * * /usr/local/bin/backup.sh\n")
    with file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        done = call("-")
    assert done.code == 0
    assert yaml.safe_load(done.out)["processes"]["backup"]["schedule"] == "0 3 * * *"
    file.write_bytes(b"\xff")
    with file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        done = call("-", "--from", "crontab")
    assert (done.code, done.out) == (1, "") and "standard input is not UTF-8" in done.err


@pytest.mark.parametrize("path", ["/no/such/file", "/", "/dev/zero"])
def test_a_path_that_is_no_file(call: Import, path: str) -> None:
    done = call(path)
    assert (done.code, done.out) == (1, "") and path in done.err and done.err.count("\n") == 1


def test_javascript_needs_node(call: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ecosystem.config.js"
    file.write_text("module.exports = {apps: []}")
    monkeypatch.setenv("PATH", "/no/such/directory")
    done = call(str(file))
    assert done.code == 1 and "needs node" in done.err and done.err.count("\n") == 1


def test_what_is_tried_comes_up_or_says_why(cbox: Run, tmp_path: Path) -> None:
    file = tmp_path / "supervisord.conf"
    port = free_port()
    file.write_text(
        f"""
[inet_http_server]
port=127.0.0.1:{port}
[unix_http_server]
file={tmp_path}/own.sock
[program:good]
command=sleep 1000
numprocs=2
[program:bad]
command=sh -c "echo no database >&2; exit 3"
[program:missing]
command=/no/such/program
[program:once]
command=true
autorestart=false
startsecs=0
[program:late]
command=sleep 1000
autostart=false
"""
    )
    target = tmp_path / "out.yaml"
    done = cbox("import", str(file), "-o", str(target), "--try", "2", "--json")
    report = json.loads(done.out)
    assert done.code == 1 and not report["try"]["all_up"]
    found = report["try"]["processes"]
    assert {name for name, one in found.items() if one["up"]} == {"good", "once", "late"}
    assert found["good"]["state"] == "running, 2 instances"
    assert "3" in found["bad"]["reason"] and "no database" in found["bad"]["reason"]
    assert "/no/such/program" in found["missing"]["reason"]
    assert not (tmp_path / "own.sock").exists()


def test_what_is_not_healthy_did_not_come_up() -> None:
    def seen(status: str) -> dict[str, object]:
        health = {"status": status, "ready": status == "healthy", "consecutive_failures": 0}
        return verdict(process(instance(health=health)), "")

    assert seen("healthy") == {"up": True, "state": "running"}
    assert seen("starting")["up"] is True
    assert seen("unhealthy") == {"up": False, "state": "running, but not healthy"}


def test_files_of_variables_are_found_from_wherever_it_is_tried(
    cbox: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "app ${X}"
    folder.mkdir()
    (folder / "Procfile").write_text("web: echo $PORT-$GREETING > said; exec sleep 1000\n")
    (folder / ".env").write_text("GREETING=hello\nPORT=7000\n")
    monkeypatch.chdir(folder)
    done = cbox("import", "Procfile", "--try", "1", "--json")
    report = json.loads(done.out)
    assert report["try"]["all_up"], report["try"]
    keys = yaml.safe_load(report["configuration"])["processes"]["web"]
    assert keys["env_file"] == ".env" and "working_dir" not in keys
    assert (folder / "said").read_text() == "7000-hello\n"
    monkeypatch.chdir(tmp_path)
    keys = yaml.safe_load(cbox("import", f"{folder.name}/Procfile").out)["processes"]["web"]
    assert keys["env_file"] == "app $${X}/.env" and keys["working_dir"] == "app $${X}"


def test_the_daemon_of_a_try_imports_nothing_from_the_working_directory(
    call: Import, procfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pkgutil.py", "cbox_init.py"):
        (procfile.parent / module).write_text("open('imported', 'w')\nraise SystemExit\n")
    procfile.write_text("web: sleep 1000\n")
    monkeypatch.chdir(procfile.parent)
    assert call("Procfile", "--try", "0.5").code == 0
    assert not (procfile.parent / "imported").exists()


@pytest.mark.parametrize("case", ["procfile/honcho", "s6/services", "systemd/web"])
def test_programs_of_the_corpus_in_the_shape_that_people_write(case: str, cbox: Run, tmp_path: Path) -> None:
    """The result of an import starts what the source would start, with stand-ins for its programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gunicorn", "redis-server", "npm", "python", "python3"):
        (programs / name).write_text("#!/bin/sh\nexec sleep 1000\n")
        (programs / name).chmod(0o755)
    folder = CORPUS / case
    if case == "systemd/web":
        unit = tmp_path / "worker.service"
        unit.write_text(
            "[Service]\nEnvironment=N=1000\nExecStartPre=-/bin/false\n"
            "ExecStart=/bin/sleep $N\nRestart=always\n"
        )
        source = unit
    else:
        source = folder / ("Procfile.dev" if case.startswith("procfile") else "svc")
    path = f"{programs}:{os.environ['PATH']}"
    done = cbox("import", str(source), "--try", "1", "--json", env={"PATH": path})
    report = json.loads(done.out)
    assert report["try"]["all_up"], report["try"]
    assert done.code == 0
