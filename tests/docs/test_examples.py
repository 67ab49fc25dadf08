"""Every configuration that the documentation shows can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from tests.docs.markdown import PAGES, ROOT, sections

if TYPE_CHECKING:
    from pathlib import Path

_TOP = ("global:", "hooks:", "processes:")


def _blocks() -> dict[str, str]:
    """The YAML of all pages that is a configuration, by page and line.

    One that shows a part alone gets a process, since there must be one.
    """
    found: dict[str, str] = {}
    for page in PAGES:
        for section in sections(page):
            for language, text, line in section.blocks:
                if language == "yaml" and text.startswith(_TOP):
                    whole = (
                        text if "\nprocesses:" in f"\n{text}" else f"{text}processes: {{a: {{command: a}}}}\n"
                    )
                    found[f"{page.relative_to(ROOT)}:{line}"] = whole
    return found


BLOCKS = _blocks()


@pytest.mark.parametrize("where", BLOCKS)
def test_blocks_of_yaml(where: str, tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"
    file.write_text(BLOCKS[where])
    _check(file)


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*.yaml")), ids=lambda file: file.name)
def test_example_files(file: Path) -> None:
    _check(file)


def test_there_are_some() -> None:
    pages = {where.partition(":")[0] for where in BLOCKS}
    assert {"README.md", "docs/configuration.md", "docs/api.md", "docs/migrating.md"} <= pages


def test_every_block_of_yaml_is_a_configuration() -> None:
    """A block in another form would go unchecked."""
    blocks = [
        block
        for page in PAGES
        for section in sections(page)
        for block in section.blocks
        if block.language == "yaml"
    ]
    assert len(blocks) == len(BLOCKS)


def _check(file: Path) -> None:
    """No errors, and no unknown key."""
    found = examine(str(file), {"API_TOKEN": "0123456789abcdef0123456789abcdef"}, strict=True)
    assert [str(problem) for problem in found.of(Severity.ERROR)] == []
