"""The parts of a Markdown page that the tests look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

#: Every page that a reader of the project finds.
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line that it begins on."""

    language: str
    text: str
    line: int


class Section(NamedTuple):
    """What stands under one heading, down to the next one. ``tables`` are rows of cells, header first."""

    heading: str
    tables: list[list[list[str]]]
    blocks: list[Block]
    prose: str


def sections(page: Path) -> list[Section]:
    """The page cut at its headings; what stands before the first one has the heading ""."""
    found = [Section("", [], [], "")]
    fence: Block | None = None
    in_table = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        last = found[-1]
        if fence is not None:
            if line.startswith("```"):
                last.blocks.append(fence)
                fence = None
            else:
                fence = fence._replace(text=f"{fence.text}{line}\n")
        elif line.startswith("```"):
            fence = Block(line[3:].partition(" ")[0], "", number)
        elif line.startswith("#"):
            found.append(Section(line.lstrip("#").strip(), [], [], ""))
        elif line.startswith("|"):
            if not in_table:
                last.tables.append([])
            row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if any(cell.strip("-") for cell in row) or not any(row):
                last.tables[-1].append(row)
        else:
            found[-1] = last._replace(prose=f"{last.prose}{line}\n")
        in_table = line.startswith("|") and fence is None
    assert fence is None, f"{page.name}: the block of line {fence and fence.line} has no end"
    return found


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return _CODE.findall(text)


def links(page: Path) -> list[str]:
    """Where the page's links lead, those in code left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return _LINK.findall(_CODE.sub("", text))


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", section.heading.lower()).replace(" ", "-")
        for section in sections(page)
        if section.heading
    }
