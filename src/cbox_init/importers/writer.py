"""Writes an imported configuration as YAML for people: with comments, and each key on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from cbox_init.config.raw import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cbox_init.importers.model import Tree, Value

_WIDEST: Final = 2**30
#: A list or mapping of this many characters stands in one line.
_SHORT: Final = 100
_STEP: Final = "  "


def write(
    header: Iterable[str],
    global_: Tree,
    hooks: Mapping[str, list[Tree]],
    processes: Mapping[str, tuple[Iterable[str], Tree]],
) -> str:
    """The text of a configuration. ``header`` and what stands before each process are comments."""
    lines = [_comment(line) for line in header]
    if global_:
        lines += ["global:", *_mapping(global_, _STEP)]
    if hooks:
        lines.append("hooks:")
        for moment, entries in hooks.items():
            lines += [f"{_STEP}{moment}:", *_items(list(entries), _STEP * 2)]
    lines.append("processes:" if processes else "processes: {}")
    for index, (name, (comments, keys)) in enumerate(processes.items()):
        lines += [""] if index else []
        lines += [_STEP + _comment(line) for line in comments]
        lines += [f"{_STEP}{_flow(name)}:", *_mapping(keys, _STEP * 2)]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _mapping(tree: Tree, indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in tree.items():
        head = f"{indent}{_flow(key)}:"
        lines += _after(head, value, indent)
    return lines


def _after(head: str, value: Value, indent: str) -> list[str]:
    """The lines of a value behind its key."""
    if isinstance(value, str) and _is_script(value):
        body = value.removesuffix("\n")
        keep = "|" if value.endswith("\n") else "|-"
        return [f"{head} {keep}", *(f"{indent}{_STEP}{line}" if line else "" for line in body.split("\n"))]
    if isinstance(value, dict) and value and (len(flow := _flow(value)) > _SHORT or len(value) > 3):
        return [head, *_mapping(value, indent + _STEP)]
    if isinstance(value, list) and value and (len(flow := _flow(value)) > _SHORT or "\\n" in flow):
        return [head, *_items(value, indent + _STEP)]
    return [f"{head} {_flow(value)}"]


def _items(values: list[Value] | list[Tree], indent: str) -> list[str]:
    lines: list[str] = []
    for value in values:
        if isinstance(value, dict) and value:
            first, *others = _mapping(value, indent + _STEP)
            lines += [f"{indent}- {first.lstrip()}", *others]
        else:
            lines += _after(f"{indent}-", value, indent)
    return lines


def _is_script(text: str) -> bool:
    """Whether a text of several lines can stand as it is: nothing that YAML would change or refuse."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and bool(lines[0].strip())
        and bool(lines[-1].strip())
        and not lines[0].startswith((" ", "\t"))
        and all(line.replace("\t", " ").isprintable() and line == line.rstrip() for line in lines)
    )


def _flow(value: Value) -> str:
    """In one line; a text is quoted where it could be taken for something else."""
    text: str = yaml.dump(
        [value],
        Dumper=_PeopleDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDEST,
    )
    return text.strip()[1:-1]


class _PeopleDumper(yaml.SafeDumper):
    """Without aliases, and with a text of several lines on one."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\n" in data else None)


_PeopleDumper.add_representer(str, _PeopleDumper.text)
