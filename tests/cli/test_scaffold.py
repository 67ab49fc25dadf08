"""``scaffold`` as a command: what it writes, prints, asks and refuses."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cbox_init.cli.app import run
from tests.e2e.daemon import COMMAND

from .conftest import DEADLINE_S, environment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from .conftest import Run

ALL = ("--dockerfile", "--docker-compose", "--nginx", "--kubernetes", "--observability")
WRITTEN = {"cbox-init.yaml", "Dockerfile", ".dockerignore", "php-fpm.conf", "nginx.conf",
           "docker-compose.yml", "kubernetes.yaml"}  # fmt: skip


def test_what_it_writes_passes_the_strict_check(cbox: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    done = cbox("scaffold", "laravel", "-o", str(folder), *ALL, "--queue-workers", "3")
    assert (done.code, done.err) == (0, "")
    assert {path.name for path in folder.iterdir()} == WRITTEN
    assert f"wrote {folder}/cbox-init.yaml\n" in done.out
    assert "docker compose up --build" in done.out
    text = (folder / "cbox-init.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert "scale: 3" in text
    assert "name: shop\n" in (folder / "docker-compose.yml").read_text()  # that of the directory
    checked = cbox("check-config", "--strict", "-c", str(folder / "cbox-init.yaml"))
    assert (checked.code, checked.err) == (0, "")
    assert "0 warnings" in checked.out


def test_nothing_is_overwritten(cbox: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM mine")
    done = cbox("scaffold", "go", "-o", str(tmp_path), "--dockerfile")
    assert done.code == 1
    assert done.out == ""
    assert done.err == (
        f"cbox-init: {tmp_path}/Dockerfile: already there, nothing was written; "
        "give --force to replace it, or -o to write elsewhere\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]
    assert cbox("scaffold", "go", "-o", str(tmp_path), "--dockerfile", "--force").code == 0
    assert "golang" in (tmp_path / "Dockerfile").read_text()


def test_printing(cbox: Run) -> None:
    one = cbox("scaffold", "static-nginx", "--stdout")
    assert one.code == 0
    assert one.out.startswith("# yaml-language-server")
    assert cbox("scaffold", "static-nginx", "-o", "-").out == one.out
    two = cbox("scaffold", "static-nginx", "-o", "-", "--nginx")
    assert two.out.startswith("# ---- cbox-init.yaml ----\n# yaml-language-server")
    assert "\n\n# ---- nginx.conf ----\n" in two.out


def test_the_files_say_which_preset(cbox: Run, tmp_path: Path) -> None:
    (tmp_path / "artisan").write_text("")
    done = cbox("scaffold", "-o", str(tmp_path))
    assert (done.code, done.err) == (0, "preset laravel, because of artisan\n")
    assert "Laravel" in (tmp_path / "cbox-init.yaml").read_text()


def test_no_preset(cbox: Run, tmp_path: Path) -> None:
    done = cbox("scaffold", "-o", str(tmp_path))
    assert done.code == 1
    assert done.err.startswith("cbox-init: no preset was given, and none fits the files of ")
    assert "laravel, symfony, php" in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, reason in (
        (("larvel",), "no preset is named 'larvel'; did you mean 'laravel'?"),
        (("zzz",), "no preset is named 'zzz'; there are laravel, "),
        (("wordpress", "--queue-workers", "2"), "the preset wordpress has no workers; "),
        (("celery", "--nginx"), "the preset celery serves no HTTP; "),
        (("go", "--queue-workers", "101"), "101 is not in the range 0<=x<=100"),
        (("go", "--app-name", "My App"), "'My App' is no name for images and services; "),
        (("-i",), "-i needs a terminal; give the choices as options: PRESET, --app-name, "),
    ):
        assert run(["scaffold", *arguments, "-o", str(tmp_path)]) in (1, 2), arguments
        error = capsys.readouterr().err
        assert error.startswith("cbox-init: "), arguments
        assert reason in error, arguments
        assert error.count("\n") == 1, arguments
    assert list(tmp_path.iterdir()) == []


def test_the_help_has_the_presets(cbox: Run) -> None:
    assert "\n  static-nginx  Static site\n" in cbox("scaffold", "--help").out


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.mine, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", *COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="dumb"),
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        """Read until ``text`` comes, or the end."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.mine], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.mine, 4096).decode()
                except OSError:  # the other end is closed
                    assert text in self.seen, self.seen
        self.seen = self.seen.partition(text)[2]

    def answer(self, question: str, line: str) -> None:
        self.until(question)
        os.write(self.mine, f"{line}\n".encode())

    def end(self) -> int:
        try:
            code = self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
        with suppress(OSError):
            while select.select([self.mine], [], [], 0)[0] and (data := os.read(self.mine, 4096)):
                self.seen += data.decode()
        os.close(self.mine)
        return code


def test_questions(tmp_path: Path, cbox: Run) -> None:
    (tmp_path / "composer.json").write_text('{"require": {"drupal/core": "11"}}')
    terminal = Terminal("scaffold", "-i", "-o", str(tmp_path), "--observability")
    terminal.answer("Preset [drupal]: ", "laravel")
    terminal.answer("Name of the application [", "Not A Name")
    terminal.until("use at most 63 small letters")
    terminal.answer("Name of the application [", "shop")
    terminal.answer("Queue workers [2]: ", "5")
    terminal.answer("Write an nginx.conf [y/N]: ", "y")
    terminal.answer("Write a Dockerfile [Y/n]: ", "")
    terminal.answer("Write a docker-compose.yml [y/N]: ", "")
    terminal.answer("Write a kubernetes.yaml [y/N]: ", "y")
    terminal.answer("Turn on metrics and the audit trail [Y/n]: ", "")
    assert terminal.end() == 0, terminal.seen
    names = {path.name for path in tmp_path.iterdir()} - {"composer.json"}
    assert names == WRITTEN - {"docker-compose.yml"}
    text = (tmp_path / "cbox-init.yaml").read_text()
    assert "scale: 5" in text
    assert "metrics_enabled: true" in text
    assert cbox("check-config", "--strict", "-c", str(tmp_path / "cbox-init.yaml")).code == 0


def test_files_that_are_there_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "cbox-init.yaml").write_text("mine")
    for answer, code in (("", 1), ("y", 0)):
        terminal = Terminal("scaffold", "php", "-i", "-o", str(tmp_path), "--app-name", "x")
        for question in ("Queue workers", "nginx.conf", "Dockerfile", "docker-compose.yml"):
            terminal.answer(question, "" if question == "Queue workers" else "n")
        terminal.answer("kubernetes.yaml", "n")
        terminal.answer("metrics", "n")
        terminal.answer("Replace cbox-init.yaml [y/N]: ", answer)
        assert terminal.end() == code, terminal.seen
        assert ((tmp_path / "cbox-init.yaml").read_text() == "mine") is bool(code)


def test_ctrl_c_and_ctrl_d_write_nothing(tmp_path: Path) -> None:
    for key, arguments, question in (
        ("\x03", ("go",), "Name of the application ["),
        ("\x03", (), "Preset: "),
        ("\x04", ("go",), "Name of the application ["),
    ):
        terminal = Terminal("scaffold", *arguments, "-i", "-o", str(tmp_path))
        terminal.until(question)
        for _ in range(10):  # one that comes while the line is being set up is lost
            with suppress(subprocess.TimeoutExpired, OSError):
                if key == "\x03":
                    os.killpg(terminal.process.pid, signal.SIGINT)  # as the terminal does
                else:
                    os.write(terminal.mine, key.encode())
                terminal.process.wait(2)
                break
        assert terminal.end() == 130
        assert "stopped; nothing was written" in terminal.seen
        assert "Traceback" not in terminal.seen
    assert list(tmp_path.iterdir()) == []
