"""Runs a page of the documentation from top to bottom, as its reader would, and compares what it shows.

A block with a title (```` ```yaml title="cbox-init.yaml" ````) is a file that is written. In a ``console``
block a line that begins with ``$`` is a command, and the lines below it are its output; ``…`` stands for any
lines. ``cbox-init serve`` runs in a terminal of its own, in which ``^C`` is Ctrl-C; a ``text`` block of
its messages is what it has said.

What differs from run to run is not compared: times, process IDs, durations, figures with a unit, numbers
above 9 and the width of columns. Ports 8000 to 8009 become free ones.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tests.ports import free_ports

if TYPE_CHECKING:
    from types import TracebackType

_DEADLINE_S: Final = 30.0
_FENCE: Final = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n\n?)?"
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PORTS: Final = re.compile(r"\b800(\d)\b")
_CHANGING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "TIME"),
    (re.compile(r"\d\d?/\w{3}/\d{4} \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"(?<![\w.-])(?:\d+(?:\.\d+)?(?:ms|us|s|m|h|d))+(?!\w)"), "SPAN"),
    (re.compile(r"(?<![\w.-])\d+(?:\.\d+)?[KMGT]iB(?!\w)"), "SIZE"),
    (re.compile(r"(?<![\w-])\d+\.\d+(?![\w.])"), "N"),
    (re.compile(r"\d{2,}"), "N"),
    (re.compile(r"[ \t]+"), " "),
)
#: Commands that change nothing, so that they can be repeated until what they show has settled.
_LOOKS: Final = re.compile(
    r"(?:cbox-init (?:list|status|logs|history|check-config|explain|health)|curl (?!.*-X))\b"
)


class Step(NamedTuple):
    """One block: a file to write, or commands. ``reason``: why it is not run."""

    language: str
    title: str
    text: str
    line: int
    reason: str


def steps(page: Path) -> list[Step]:
    """The blocks of a page, in their order."""
    text = page.read_text()
    return [
        Step(
            found["language"],
            found["title"] or "",
            found["text"],
            text.count("\n", 0, found.start("language")) + 1,
            found["reason"] or "",
        )
        for found in _FENCE.finditer(text)
    ]


def shape(text: str) -> list[str]:
    """The lines without what differs from run to run."""
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return [line.strip() for line in text.strip().splitlines()]


def fits(expected: str, actual: str) -> bool:
    """Whether the output is as the page has it; ``…`` there stands for any lines."""
    wanted = [r"(?:.*\n)*?" if line == "…" else f"{re.escape(line)}\n" for line in shape(expected)]
    return re.fullmatch("".join(wanted), "".join(f"{line}\n" for line in shape(actual))) is not None


class Reader:
    """A reader with two terminals, who has cbox-init and an empty folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="page-"))
        self._ports = free_ports(10)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._output = self.folder.with_name(f"{self.folder.name}.out")
        self._read = 0
        keep = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
        self._environ = {
            **keep,
            "HOME": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CBOX_INIT_GLOBAL_API_SOCKET": str(self.folder.with_name(f"{self.folder.name}.sock")),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            try:
                self._daemon.wait(_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        self._output.unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def follow(self, page: Path) -> int:
        """Do what the page says; return the number of commands that were run."""
        commands = 0
        for step in steps(page):
            where = f"{page.name}:{step.line}"
            if step.reason:
                continue
            if step.title:
                file = self.folder / step.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._with_ports(step.text))
            elif step.language == "text" and step.text.startswith("time="):
                self._until_said(self._with_ports(step.text), where)
            elif step.language == "console":
                commands += self.type(self._with_ports(step.text), where)
        return commands

    def type(self, text: str, where: str = "before the page") -> int:
        """Do what a console block says; return the number of its commands."""
        found = re.findall(
            r"^(?:\$ (?P<command>.*)|(?P<keys>\^C))\n(?P<output>(?:(?!\$ |\^C$).*\n)*)", text, re.MULTILINE
        )
        assert found and not text.startswith((" ", "\n")), f"{where}: a console block begins with $"
        for command, keys, output in found:
            if keys:
                assert self._daemon is not None
                self._daemon.send_signal(signal.SIGINT)
                self._until_said(output, where)
                assert self._daemon.wait(_DEADLINE_S) == 0, where
            elif re.fullmatch(r"cbox-init serve(?! --dry-run).*", command):
                with self._output.open("ab") as out:
                    words = [sys.executable, "-m", "cbox_init", *command.split()[1:]]
                    self._daemon = subprocess.Popen(
                        words,
                        cwd=self.folder,
                        env=self._environ,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                    )
                self._until_said(output, where)
            else:
                self._compare(command, output, where)
        return len(found)

    def _compare(self, command: str, expected: str, where: str) -> None:
        end = time.monotonic() + _DEADLINE_S
        while True:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_DEADLINE_S,
            )
            if fits(expected, done.stdout):
                return
            if not _LOOKS.match(command) or time.monotonic() > end:
                raise AssertionError(f"{where}: $ {command}\nshows\n{done.stdout}\nand not\n{expected}")
            time.sleep(0.3)

    def _until_said(self, expected: str, where: str) -> None:
        """Until the daemon has said these lines, others between them."""
        end = time.monotonic() + _DEADLINE_S
        wanted = [line for line in shape(expected) if line != "…"]
        while True:
            said = self._output.read_text()[self._read :]
            lines = iter(shape(said))
            if all(line in lines for line in wanted):
                self._read += len(said)
                return
            if time.monotonic() > end:
                raise AssertionError(f"{where}: the daemon says\n{said}\nand not\n{expected}")
            time.sleep(0.05)

    def _with_ports(self, text: str) -> str:
        return _PORTS.sub(lambda found: str(self._ports + int(found[1])), text)
