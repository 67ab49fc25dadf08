"""``explain`` and ``schema``: what the keys of the configuration mean."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cbox_init.reference.explain import Found
    from cbox_init.reference.keys import Key

_INDENT: Final = "  "
_NONE: Final = "\N{EN DASH}"
_FORMS: Final = {"not yet": "read and checked, without effect in this version", "unused": "without effect"}


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from cbox_init.reference.keys import keys

    return [key.path for key in keys() if key.path.startswith(incomplete)]


@click.command()
@click.argument("key", required=False, shell_complete=_complete)
@click.option("as_json", "--json", is_flag=True, help="One JSON object.")
def explain(key: str | None, as_json: bool) -> None:
    """Explain a key of the configuration.

    KEY is its path, as processes.web.health_check.period; the end of the path, as health_check; or the name
    of an environment variable. Without KEY, the sections are listed.
    """
    from cbox_init.reference.explain import find

    found = find(key) if key else []
    if as_json:
        click.echo(_as_json(found))
    elif not found:
        click.echo("\n".join(_children(None)))
    elif len(found) > 1:
        click.echo(f"{key} is a key of several sections:\n")
        click.echo("\n".join(_table((one.path, _sentence(one.key)) for one in found)))
    else:
        click.echo("\n".join(_lines(found[0])))


@click.command()
@click.option("output", "-o", "--output", metavar="FILE", help="Write it to FILE, not to standard output.")
def schema(output: str | None) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from cbox_init.reference.schema import schema_text

    if output is None:
        sys.stdout.write(schema_text())
        return
    with open(output, "w", encoding="utf-8") as file:
        file.write(schema_text())


def _lines(found: Found) -> Iterator[str]:
    """One key, for people."""
    from cbox_init.reference.meanings import pages, plain

    key = found.key
    yield found.path
    yield from _wrapped(plain(key.text), _INDENT)
    yield ""
    unit = f"; a number without a unit is in {key.unit}" if key.unit else ""
    rows = [
        ("type", key.type.replace("`", "") + unit),
        ("default", key.default.strip("`") if key.default != _NONE else ""),
        ("range", key.range if key.range not in (_NONE, "any") else ""),
        ("example", f"{key.name}: {key.example}" if key.example else ""),
        ("variable", found.variable),
        ("older name", ", ".join(key.older_names)),
        ("in effect", _FORMS.get(key.built, "")),
        ("also at", ", ".join(found.places[1:])),
        ("see", ", ".join(pages(key.text))),
    ]
    if found.older:
        yield f"{_INDENT}{found.older} is an older name of {key.name}."
        yield ""
    yield from _table((name, text) for name, text in rows if text)
    inner = list(_children(key))
    if inner:
        yield ""
        yield f"{_INDENT}Its keys:"
        yield from (f"{_INDENT}{line}" for line in inner)


def _children(key: Key | None) -> Iterator[str]:
    from cbox_init.reference.explain import children

    return _table((one.name, _sentence(one)) for one in children(key))


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Two columns, the second wrapped."""
    table = list(rows)
    width = max((len(name) for name, _ in table), default=0) + 2
    for name, text in table:
        first, *others = _wrapped(text, " " * (width + len(_INDENT))) or [""]
        yield f"{_INDENT}{name:{width}}{first.lstrip()}"
        yield from others


def _wrapped(text: str, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(
        text,
        _columns(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns() -> int:
    from shutil import get_terminal_size

    return max(60, min(get_terminal_size((100, 24)).columns, 120))


def _sentence(key: Key) -> str:
    """The first sentence of a meaning."""
    from cbox_init.reference.meanings import plain

    first, dot, _ = plain(key.text).partition(". ")
    return first + dot.rstrip()


def _as_json(found: list[Found]) -> str:
    import json

    from cbox_init.reference.explain import children

    shown = [_entry(one) for one in found]
    if not found:
        return json.dumps({"keys": [one.path for one in children(None)]}, indent=2)
    return json.dumps({"keys": shown}, indent=2, ensure_ascii=False)


def _entry(found: Found) -> dict[str, object]:
    from cbox_init.reference.explain import children
    from cbox_init.reference.meanings import pages, plain

    key = found.key
    return {
        "path": found.path,
        "meaning": plain(key.text),
        "type": key.type.replace("`", ""),
        "default": key.default.strip("`") if key.default != _NONE else None,
        "range": key.range if key.range not in (_NONE, "any") else None,
        "unit": key.unit or None,
        "example": key.example or None,
        "variable": found.variable or None,
        "older_names": list(key.older_names),
        "built": key.built,
        "places": list(found.places),
        "keys": [one.name for one in children(key)],
        "pages": pages(key.text),
    }
