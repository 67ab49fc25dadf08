"""docs/configuration.md names every key of the model, and no other."""

from __future__ import annotations

import runpy

from cbox_init.config.legacy import RENAMED
from cbox_init.config.load import usual_places
from cbox_init.config.model import Config
from cbox_init.config.schema import ValueSpec, fields_of
from cbox_init.reference.keys import UNUSED, keys
from tests.docs.markdown import ROOT, code, sections

PAGE = ROOT / "docs/configuration.md"
HEADER = ["key", "type", "default", "range", "built", "meaning"]


def documented() -> dict[tuple[str, str], list[str]]:
    """The row of each key, by its section and name; a heading names the sections of the tables below it."""
    rows: dict[tuple[str, str], list[str]] = {}
    for section in sections(PAGE):
        for header, *body in section.tables:
            if header != HEADER:
                continue
            for row in body:
                (name,) = code(row[0])
                for path in code(section.heading):
                    assert (path, name) not in rows, f"{path}.{name} is there twice"
                    rows[path, name] = row
    return rows


def test_every_key_is_there_and_every_key_there_exists() -> None:
    model = {(key.section, key.name) for key in keys() if key.section}
    page = set(documented())
    assert sorted(model - page) == [], "not in docs/configuration.md: run `make reference`"
    assert sorted(page - model) == [], "not in the model: run `make reference`"


def test_the_tables_are_those_of_the_model() -> None:
    written = runpy.run_path(str(ROOT / ".ci/reference.py"))["written"]
    for path, text in written().items():
        assert path.read_text() == text, f"run `make reference`, which writes {path.name}"


def test_a_key_that_is_new_gets_a_row_and_one_that_is_gone_loses_it() -> None:
    configuration = runpy.run_path(str(ROOT / ".ci/reference.py"))["configuration"]
    page = PAGE.read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `api_preload` |"))
    assert row in configuration(page.replace(row, row.replace("api_preload", "api_preloaded")))
    assert "api_preloaded" not in configuration(
        page.replace(row, row.replace("api_preload", "api_preloaded"))
    )


def test_the_reference_sees_what_is_built_and_what_is_not() -> None:
    """The cells above are made from the model; these are known."""
    known = {key.path: key for key in keys()}
    assert known["global.shutdown_timeout"][4:8] == ("duration", "`30s`", "0 to 1h", "yes")
    assert known["global.process_stop_timeout"].built == "not yet"
    assert known["global.tracing_enabled"].built == "yes"
    assert known["processes.NAME.shutdown.pre_stop_hook.timeout"].built == "yes"
    assert {path for path, key in known.items() if key.built == "unused"} == UNUSED


def test_the_names_of_older_files() -> None:
    (table,) = (
        table for section in sections(PAGE) for table in section.tables if table[0][1:2] == ["older name"]
    )
    page = {(path, code(old)[0], code(new)[0]) for where, old, new in table[1:] for path in code(where)}
    model = {
        (path, old, new)
        for section, path in _paths(Config, "")
        for old, new in RENAMED.get(section, {}).items()
    }
    assert page == model


def test_the_places_of_the_file() -> None:
    text = PAGE.read_text()
    for place in usual_places({"HOME": "$HOME"}):
        if place.endswith(".yaml"):
            assert f"`{place}`" in text


def _paths(section: type, path: str) -> list[tuple[type, str]]:
    """Each section of the model with its path."""
    found = [(section, path.removeprefix("."))]
    for name, field in fields_of(section).items():
        inner = field.spec.type
        if inner is not None and hasattr(inner, "__struct_fields__"):
            found += _paths(inner, f"{path}.{name}{_step(field.spec)}")
    return found


def _step(spec: ValueSpec) -> str:
    return {"SECTION_LIST": "[]", "SECTION_MAP": ".NAME"}.get(spec.value_type.name, "")
