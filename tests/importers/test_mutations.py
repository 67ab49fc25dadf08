"""Broken files of every format: each gives a configuration that can be used, or one clear line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbox_init.errors import ImportFailed
from cbox_init.importers.checked import checked
from cbox_init.importers.formats import ImportOptions, import_files
from cbox_init.importers.source import SourceFiles
from tests.importers.cases import CORPUS, ENVIRON, cases

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    (path.parent.name if path.parent.name == "s6" else case.partition("/")[0], path.name, path.read_text())
    for case in cases()
    if not case.startswith("s6/")
    for path in sorted((CORPUS / case).rglob("*"))
    if path.is_file() and not path.name.startswith(("expected.", ".")) and path.suffix != ".js"
]
SIGNS = [
    *('"', "'", "\\", "%(", "%", "${", "$$", "{", "}", "[", "]", ":", "=", "\n", "\n ", "\t", "#", ";", ","),
    *("\x01", "\x85", "\u2028", "é", "-1", "0", "9" * 30, "~", "|", "&", "*", "!", "@", "- ", "null"),
]
WORDS = sorted({word for _, _, text in TEXTS for word in text.split()})
PIECES = st.one_of(st.sampled_from(SIGNS), st.sampled_from(WORDS))


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, str, str]:
    """Format, name and text of a file of the corpus after a few changes."""
    kind, name, text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + draw(PIECES) + text[at:]
            case 2:
                text = text[:at] + text[at:end] * 3 + text[end:]
            case _:
                lines = text.split("\n")
                lines[draw(st.integers(0, len(lines) - 1))] = draw(PIECES)
                text = "\n".join(lines)
    return kind, name, text


@pytest.mark.hypothesis
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(file=broken())
def test_a_broken_file_gives_a_valid_result_or_one_line(
    file: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name, text = file
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    try:
        made = import_files([name], SourceFiles(ENVIRON), ImportOptions(format=kind))
        found = checked(made, "cbox-init.yaml", ENVIRON)
    except ImportFailed as error:
        assert "\n" not in str(error) and name in str(error)
        return
    assert all("\n" not in str(note) for note in made.notes)
    if any(one.keys.get("enabled") is not False for one in made.processes.values()):
        assert found.valid, found.problems


@pytest.mark.parametrize(
    "kind", ["supervisord", "procfile", "pm2", "circus", "compose", "systemd", "crontab"]
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\0b", "NUL"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (2**20 + 1), "larger than 1024 KiB"),
    ],
)
def test_what_is_no_text_is_one_line(kind: str, content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "web.service"
    file.write_bytes(content)
    with pytest.raises(ImportFailed, match=reason):
        import_files([str(file)], SourceFiles(ENVIRON), ImportOptions(format=kind))


@pytest.mark.parametrize("kind", ["supervisord", "procfile", "circus", "systemd", "crontab"])
def test_an_empty_file_gives_no_process(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "web.service"
    file.write_text("")
    made = import_files([str(file)], SourceFiles(ENVIRON), ImportOptions(format=kind))
    assert not made.processes
    assert not checked(made, "cbox-init.yaml", ENVIRON).valid
