"""Completion in real shells, with names of a daemon."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.app import run
from tests.client.fake import fake_daemon, instance, listed, process

from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

BASH = """
eval "$(cbox-init completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_cbox_init_completion cbox-init
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

FISH = """
cbox-init completion fish | source
complete -C '{line}'
"""


@pytest.fixture
def shell_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """That of a shell in which cbox-init is on PATH, and finds a daemon."""
    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as fake:
        fake.answers["GET /api/v1/processes"] = listed(
            process(instance(), instance(1), groups=["front"]),
            process(instance(id="worker-0"), name="worker", groups=["back"]),
            process(name="backup", type="scheduled", state="scheduled"),
            *(process(name=f"odd{more}") for more in (" name$(touch x)", "!1", "{a,b}", "=c", "^d^e")),
        )
        here = str(Path(sys.executable).parent)
        base = environment(CBOX_INIT_API_SOCKET=path, HOME=str(tmp_path), TERM="dumb")
        yield {**base, "PATH": f"{here}:{base['PATH']}"}


def output(shell: str, script: str, env: dict[str, str]) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    option = ["--norc"] if shell == "bash" else ["--no-config"] if shell == "fish" else ["-f"]
    done = subprocess.run(
        [shell, *option, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("cbox-init shu", ["shutdown"]),
        ("cbox-init restart w", ["web", "web-0", "web-1", "worker", "worker-0"]),
        ("cbox-init restart web wo", ["worker", "worker-0"]),
        ("cbox-init stop @f", ["@front"]),
        ("cbox-init ls a", ["all"]),
        ("cbox-init trigger ''", ["backup"]),
        ("cbox-init status odd", [""]),
        ("cbox-init --socket /nowhere restart w", [""]),
        ("cbox-init signal US", ["USR1", "USR2"]),
    ],
)
def test_bash(words: str, found: list[str], shell_environment: dict[str, str]) -> None:
    assert output("bash", BASH.format(words=words), shell_environment) == found


def test_fish(shell_environment: dict[str, str]) -> None:
    lines = output("fish", FISH.format(line="cbox-init restart web-"), shell_environment)
    assert [line.split("\t")[0] for line in lines] == ["web-0", "web-1"]


def test_zsh(shell_environment: dict[str, str]) -> None:
    """The function is defined and registered, and the program answers it."""
    script = (
        "autoload -Uz compinit; compinit -D -u; "
        'eval "$(cbox-init completion zsh)"; print $_comps[cbox-init]; '
        "COMP_WORDS='cbox-init restart web-' COMP_CWORD=2 _CBOX_INIT_COMPLETE=zsh_complete cbox-init"
    )
    assert output("zsh", script, shell_environment) == [
        "_cbox_init_completion",
        *("plain", "web-0", "running", "plain", "web-1", "running"),
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_needs_no_shell(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert "_CBOX_INIT_COMPLETE" in out and err == ""
