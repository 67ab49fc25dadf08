"""Writes the parts of the documentation that are made from the code: `make reference`.

The rows of the tables of keys in docs/configuration.md, from the model and the meanings; the JSON Schema;
docs/api-reference.md, from the OpenAPI document; the examples of that document, from docs/api.md; the words
of other tools in docs/migrating.md; the manual page; and the dashboard of deploy/grafana.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from api_reference import examples as api_examples
from api_reference import page as api_reference
from dashboard import text as dashboard
from man_page import page as man_page

from cbox_init.cli.other_words import WORDS
from cbox_init.reference.keys import keys
from cbox_init.reference.schema import SCHEMA_FILE, schema_text

if TYPE_CHECKING:
    from cbox_init.reference.keys import Key

DOCS = Path(__file__).parents[1] / "docs"
_HEADER = "| key | type | default | range | built | meaning |"
_ROW = re.compile(r"\| `([^`]+)` \|")
_HEADING = re.compile(r"#+ (.*)")


def configuration(text: str) -> str:
    """The page with each row of its tables of keys as the model has it.

    A heading names the sections of the tables below it in backticks. A key of the model that no table has is
    added to the last table of its section, and one that the model does not have is taken out.
    """
    model = {(key.section, key.name): key for key in keys()}
    lines: list[str] = []
    sections: list[str] = []
    last_row: dict[str, int] = {}
    in_table = False
    there: set[tuple[str, str]] = set()
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line):
            sections = re.findall(r"`([^`]+)`", heading[1])
        in_table = line == _HEADER or (in_table and line.startswith("|"))
        found = _ROW.match(line) if in_table else None
        if found is None:
            lines.append(line)
        elif key := model.get((sections[0], found[1])):
            there |= {(section, found[1]) for section in sections}
            lines.append(_row(key))
        if in_table:
            last_row |= dict.fromkeys(sections, len(lines) - 1)
    missing: dict[int, dict[str, None]] = {}
    for at, key in model.items():
        if at not in there and key.section in last_row:
            missing.setdefault(last_row[key.section], {})[_row(key)] = None
    whole = [one for index, line in enumerate(lines) for one in (line, *missing.get(index, ()))]
    return "\n".join(whole) + "\n"


def _row(key: Key) -> str:
    return f"| `{key.name}` | {key.type} | {key.default} | {key.range} | {key.built} | {key.text} |"


def migrating(text: str) -> str:
    """The page with its table of the words of other tools, which is the last of it."""
    head, header, _ = text.partition("| tool | word | here |\n|---|---|---|\n")
    rows = (f"| {one.tools or one.word} | `{one.word}` | {one.here} |" for one in WORDS)
    return "\n".join((head + header.rstrip("\n"), *rows)) + "\n"


def written() -> dict[Path, str]:
    """Each file with what it should hold."""
    page, moving = DOCS / "configuration.md", DOCS / "migrating.md"
    return {
        DOCS.parent / "src/cbox_init/api/examples.json": api_examples(DOCS.parent),
        page: configuration(page.read_text()),
        moving: migrating(moving.read_text()),
        DOCS / SCHEMA_FILE: schema_text(),
        DOCS.parent / "src/cbox_init/cli/cbox-init.1": man_page(),
        DOCS / "api-reference.md": api_reference(DOCS.parent),
        DOCS.parent / "deploy/grafana/cbox-init.json": dashboard(),
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
