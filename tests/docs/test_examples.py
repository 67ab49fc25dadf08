"""Every configuration that the documentation shows passes ``check-config --strict``.

What depends on the machine that checks it (limits, cgroups, users) is left out: a page is read on any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from tests.docs.markdown import PAGES, ROOT, sections

if TYPE_CHECKING:
    from pathlib import Path

_TOP = re.compile(r"(?:#.*\n)*(?:global|hooks|notifications|processes|include):")
_REFERENCE = re.compile(r"\$\{([A-Z_]+)\}")

#: What a variable of an example holds, where its key takes no text such as this one.
VALUES = {
    "SLACK_URL": "https://a/",
    "CHAT_URL": "https://a/",
    "API_TOKEN": "0123456789abcdef0123456789abcdef",
    "HEARTBEAT_URL": "https://example.org/ping",
}


def _blocks() -> dict[str, str]:
    """The YAML of all pages that is a configuration, by page and line.

    One that shows a part alone gets a process, since there must be one.
    """
    found: dict[str, str] = {}
    for page in PAGES:
        for section in sections(page):
            for language, text, line in section.blocks:
                if language == "yaml" and _TOP.match(text):
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


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/**/*.yaml")), ids=lambda file: str(file.relative_to(ROOT))
)
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


def test_the_check_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"
    file.write_text("processes: {web: {command: a, replicas: 2}}\n")
    with pytest.raises(AssertionError, match=r"replicas"):
        _check(file)


def _check(file: Path) -> None:
    """No errors and no warnings, when the variables that it refers to are set."""
    environ = with_variables(file.read_text())
    found = examine(str(file), environ, strict=True)
    assert [str(p) for p in (*found.of(Severity.ERROR), *found.of(Severity.WARNING))] == []


def with_variables(text: str) -> dict[str, str]:
    """An environment with the variables that a configuration refers to."""
    names = _REFERENCE.findall(text)
    return {name: VALUES.get(name, "1") for name in names if not name.startswith(("PORT", "CBOX_INIT_"))}
