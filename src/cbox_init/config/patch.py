"""Changes single keys of a YAML text and leaves every other byte of it as it is.

The parser's marks say where a key and its value stand; what is written there is put between them. So
comments, order, quoting and ``${VAR}`` stay without anybody having to reproduce them. What a mark cannot tell
(an alias, a key in an unusual form) raises PatchError; the caller reads the result again and compares.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from cbox_init.config.substitute import hide_references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.config.raw import Raw

_COLON: Final = re.compile(r"[ \t]*:")
_ALIAS: Final = re.compile(r"\s*\*[^\s,\]}]+")
_WIDEST: Final = 2**30
#: Columns that a key stands further right than the one that it belongs to, in what is added.
_STEP: Final = 2


class PatchError(ValueError):
    """The text cannot be changed at that place; the message has the reason."""


class SourceText(str):
    """A value as the file had it, quotes and all."""

    __slots__ = ()


def put(text: str, path: Sequence[str], value: Raw) -> str:
    """``text`` with ``value`` at ``path``; mappings on the way are made where there are none."""
    node = _root(text)
    if node is None:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        return start + _block({path[0]: _nested(path[1:], value)}, 0, "\n")
    for depth, step in enumerate(path):
        if not isinstance(node, MappingNode):
            raise PatchError(f"{'.'.join(path[:depth])} is not a mapping in the file")
        found = _pair(node, step)
        if found is None:
            return _insert(text, node, step, _nested(path[depth + 1 :], value))
        key, inner = found
        last = depth == len(path) - 1
        if last or _is_null(inner):
            return _replace(text, key, inner, _nested(path[depth + 1 :], value))
        if _is_alias(key, inner):
            raise PatchError(f"{'.'.join(path[: depth + 1])} is an alias in the file")
        node = inner
    raise PatchError("no path")


def drop(text: str, path: Sequence[str]) -> str:
    """``text`` without what is at ``path``. What comes from a merged mapping is overridden with null."""
    node: Node | None = _root(text)
    for depth, step in enumerate(path):
        if not isinstance(node, MappingNode):
            return text
        found = _pair(node, step)
        if found is None:
            if depth == len(path) - 1 and _pair(node, "<<") is not None:
                return _insert(text, node, step, None)
            return text
        key, inner = found
        if depth == len(path) - 1:
            return _delete(text, node, key, inner)
        if _is_alias(key, inner):
            raise PatchError(f"{'.'.join(path[: depth + 1])} is an alias in the file")
        node = inner
    return text


def source_of_items(text: str, path: Sequence[str]) -> list[str]:
    """How the items of the list at ``path`` are written; nothing where that is not on one line each."""
    node: Node | None = _root(text)
    for step in path:
        found = _pair(node, step) if isinstance(node, MappingNode) else None
        if found is None or _is_alias(*found):
            return []
        node = found[1]
    if not isinstance(node, SequenceNode):
        return []
    spans = [(item.start_mark.index, item.end_mark.index) for item in node.value]
    if any(not isinstance(item, ScalarNode) or item.style in ("|", ">") for item in node.value):
        return []
    if spans != sorted(spans):  # an alias stands elsewhere
        return []
    written = [text[start:end] for start, end in spans]
    return [] if any("\n" in one for one in written) else written


# -- where things are ------------------------------------------------------------------------------------


def _root(text: str) -> Node | None:
    """The first document. In a flow mapping ``${X}`` is no YAML, so references are hidden."""
    hidden = hide_references(text)
    try:
        # The marks of the C parser have no positions in some versions of libyaml.
        return next(iter(yaml.compose_all(hidden, Loader=yaml.SafeLoader)), None)
    except yaml.YAMLError as error:
        raise PatchError(f"the file cannot be read as YAML: {str(error).splitlines()[0]}") from None


def _pair(mapping: MappingNode, name: str) -> tuple[Node, Node] | None:
    for key, value in mapping.value:
        if isinstance(key, ScalarNode) and key.value == name:
            return key, value
    return None


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_alias(key: Node, value: Node) -> bool:
    """The node of an alias is that of its anchor, which stands before it."""
    before: bool = value.start_mark.index < key.end_mark.index
    return before


def _end(text: str, node: Node) -> int:
    """Where the last character of ``node`` is; comments behind it are not a part of it."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        if isinstance(node, MappingNode):
            return _pair_end(text, *last)
        if last.start_mark.index >= node.start_mark.index:
            return _end(text, last)
        return _without_comments(text, node.end_mark.index)
    end: int = node.end_mark.index
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return len(text[:end].rstrip())
    return end


def _pair_end(text: str, key: Node, value: Node) -> int:
    if _is_alias(key, value):
        alias = _ALIAS.match(text, _colon(text, key))
        if alias is None:
            raise PatchError(f"the value of {key.value} is not found")
        return alias.end()
    return max(_end(text, value), _colon(text, key))


def _without_comments(text: str, end: int) -> int:
    lines = text[:end].rstrip().split("\n")
    while lines and lines[-1].lstrip().startswith("#"):
        lines.pop()
    return len("\n".join(lines).rstrip())


def _colon(text: str, key: Node) -> int:
    """Behind the colon of a key."""
    found = _COLON.match(text, key.end_mark.index)
    if found is None:
        raise PatchError(f"the key {key.value} is in a form that cannot be edited")
    return found.end()


# -- what is put there -----------------------------------------------------------------------------------


def _replace(text: str, key: Node, value: Node, new: Raw) -> str:
    colon = _colon(text, key)
    return f"{text[:colon]} {_inline(new)}{text[_pair_end(text, key, value) :]}"


def _insert(text: str, mapping: MappingNode, name: str, value: Raw) -> str:
    """Behind the last key of ``mapping``."""
    if mapping.flow_style or not mapping.value:
        pair = _inline({name: value})[1:-1]
        if mapping.value:
            end = _pair_end(text, *mapping.value[-1])
            return f"{text[:end]}, {pair}{text[end:]}"
        end = mapping.end_mark.index - 1
        return f"{text[:end].rstrip()}{pair}{text[end:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    end = _line_end(text, _pair_end(text, *mapping.value[-1]))
    column: int = mapping.value[0][0].start_mark.column
    lines = _block({name: value}, column, newline)
    return text[:end] + newline + lines.removesuffix(newline) + text[end:]


def _delete(text: str, mapping: MappingNode, key: Node, value: Node) -> str:
    start, end = key.start_mark.index, _pair_end(text, key, value)
    if mapping.flow_style:
        if behind := re.compile(r"\s*,[ \t]*").match(text, end):
            return text[:start] + text[behind.end() :]
        return re.sub(r",?\s*$", "", text[:start]) + text[end:]
    line = text.rfind("\n", 0, start) + 1
    if text[line:start].strip():
        raise PatchError(f"the key {key.value} does not stand on a line of its own")
    end = _line_end(text, end)
    return text[:line] + text[end:].removeprefix("\r").removeprefix("\n")


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1 : end] == "\r" else end


def _nested(path: Sequence[str], value: Raw) -> Raw:
    for step in reversed(path):
        value = {step: value}
    return value


def _block(members: Mapping[str, Raw], column: int, newline: str) -> str:
    """A line for each key; mappings are indented below theirs, lists stand beside it."""
    lines = ""
    for name, value in members.items():
        key = f"{' ' * column}{_inline(name)}:"
        if isinstance(value, dict) and value:
            lines += f"{key}{newline}{_block(value, column + _STEP, newline)}"
        else:
            lines += f"{key} {_inline(value)}{newline}"
    return lines


def _inline(value: Raw) -> str:
    """In one line; a text is quoted where it could be taken for something else."""
    kept: dict[str, str] = {}
    text: str = yaml.dump(
        [_with_marks(value, kept)],
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDEST,
    )
    for mark, written in kept.items():
        text = text.replace(mark, written, 1)
    return text.strip()[1:-1]


def _with_marks(value: Raw, kept: dict[str, str]) -> object:
    if isinstance(value, SourceText):
        mark = f"verbatim{len(kept)}x{id(kept)}"
        kept[mark] = str(value)
        return mark
    if isinstance(value, dict):
        return {key: _with_marks(item, kept) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_marks(item, kept) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Without aliases, and with a text of several lines on one."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, data: str) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.text)
