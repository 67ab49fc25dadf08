"""What the pages show of ``cbox-init import`` is what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from cbox_init.cli.app import run
from cbox_init.config.command import parse_command
from tests.docs.markdown import ROOT, sections

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.markdown import Block


def _blocks(page: str, heading: str) -> list[Block]:
    (section,) = (one for one in sections(ROOT / page) if one.heading.strip("`") == heading)
    return section.blocks


def test_the_example_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, session, *_ = _blocks("docs/command-line.md", "import")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "supervisord.conf").write_text(source.text)
    command, _, shown = session.text.partition("\n")
    assert command == "$ cbox-init import supervisord.conf"
    assert run(["import", "supervisord.conf"]) == 0
    out, err = capsys.readouterr()
    assert out + err == shown


@pytest.mark.parametrize(
    ("heading", "name"), [("From supervisord", "supervisord.conf"), ("From a Procfile", "Procfile")]
)
def test_examples_of_migrating(
    heading: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration beside the source has the same processes with the same commands."""
    source, configuration = _blocks("docs/migrating.md", heading)[:2]
    (tmp_path / name).write_text(source.text)
    assert run(["import", str(tmp_path / name)]) == 0
    made = yaml.safe_load(capsys.readouterr().out)["processes"]
    shown = yaml.safe_load(configuration.text)["processes"]
    assert list(made) == list(shown)
    for process, keys in shown.items():
        for key in ("type", "scale", "port_base", "env", "depends_on", "user", "working_dir", "max_restarts"):
            assert made[process].get(key) == keys.get(key), (process, key)
        commands = (made[process]["command"], keys["command"])
        words = [list(parse_command(one)) if isinstance(one, str) else one for one in commands]
        assert words[0] == words[1]


def test_every_section_begins_with_the_command() -> None:
    page = (ROOT / "docs/migrating.md").read_text()
    for section in page.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if "the Go program" not in heading and "Words" not in heading:
            assert text.lstrip("\n").startswith("    cbox-init import "), heading
