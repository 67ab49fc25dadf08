"""References to variables in texts: ``${NAME}`` and the forms of a shell with a default or a check.

``${NAME:-word}``, ``${NAME-word}``, ``${NAME:+word}``, ``${NAME+word}``, ``${NAME:?text}`` and
``${NAME?text}`` mean what they mean to a shell; ``$${NAME}`` is a literal ``${NAME}``. ``$NAME`` stays,
since shells in commands need it.

Some names are known only to each instance (`INSTANCE_NAMES`). References to them stay in the text until the
instance starts (`expand_instance`). In such a text a literal ``${`` is written ``$${``, so that a value which
happens to hold ``${PORT}`` stays what it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.raw import NULLS, FlowText, PlainText, RawList, RawMap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path, Raw

    #: Gives what stands in place of a reference, and whether its word is a part of that.
    Resolve = Callable[[str, str, str, "_Found"], tuple[str, bool]]

#: A literal reference, the beginning of a reference up to its operator (or all of it), or a closing brace.
_TOKEN: Final = re.compile(
    r"\$\$\{(?:[^{}$\n]|\$(?!\$?\{))*\}?|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(\}|:?[-?+])?)?|\}",
)
_BRACE: Final = re.compile(r"\$\{(?=[A-Za-z_][A-Za-z0-9_]*(?:\}|:?[-?+]))|[}\n]")

#: What a reference may hold and YAML would take for its own, and the characters that stand for it meanwhile:
#: they are no characters of any text (Unicode: noncharacters).
_YAML_SIGNS: Final = "{}[],:#"
_HIDE: Final = {ord(sign): 0xFDD0 + place for place, sign in enumerate(_YAML_SIGNS)}
_SHOW: Final = {hidden: sign for sign, hidden in _HIDE.items()}
_HIDDEN_BRACE: Final = chr(_HIDE[ord("{")])

_DEEPEST: Final = 64
_DEEPEST_REFERENCE: Final = 32
_LONGEST_SHOWN: Final = 40
#: Characters that one text may have when its references are replaced, and those of a configuration together.
LONGEST_TEXT: Final = 2**18
MOST_TEXT: Final = 2**24
_MOST_ERRORS: Final = 10

#: Names that the supervisor sets for each instance, run or hook.
INSTANCE_NAMES: Final = frozenset(
    (
        "PORT",
        "CBOX_INIT_PROCESS_NAME",
        "CBOX_INIT_INSTANCE_ID",
        "CBOX_INIT_INSTANCE_INDEX",
        "CBOX_INIT_INSTANCE_NUMBER",
        "CBOX_INIT_HOOK_NAME",
        "CBOX_INIT_SCHEDULED",
        "CBOX_INIT_SCHEDULE",
        "CBOX_INIT_START_TIME",
        "CBOX_SERVICE",
        "CBOX_PROCESS",
        "CBOX_INSTANCE",
    )
)


class Expanded(NamedTuple):
    """A text with its references replaced: ``unset`` names what is not set and has no default; ``errors``
    holds what is wrong, each with how to fix it.
    """

    text: str
    unset: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


def expand(text: str, variables: Mapping[str, str], keep: Collection[str] = frozenset()) -> Expanded:
    """Replace every reference but those to a name of ``keep``. Values are not searched again.

    What is literal in the result is escaped for `expand_instance`.
    """

    def resolve(name: str, operator: str, word: str, found: _Found) -> tuple[str, bool]:
        if name in keep:
            if operator.endswith("?"):
                found.add_error(
                    f"${{{name}}} is set for each instance and cannot be checked here",
                    f"write ${{{name}}} or ${{{name}:-default}}",
                )
            return f"${{{name}{operator}{word}}}", True
        value = variables.get(name)
        if value is None and not operator:
            found.unset[name] = None
        if operator.endswith("?") and not _counts(value, operator):
            reason = word or ("is not set" if value is None else "is empty")
            found.add_error(f"{name}: {reason}", f"set the environment variable {name}")
        if _takes_word(value, operator):
            return word, True
        return _value(value, operator).replace("${", "$${"), False

    found = _Found()
    try:
        result = _walk(text, resolve, found, literal=lambda token: token) if "${" in text else text
    except _TooLongError:
        error = (f"becomes longer than {LONGEST_TEXT} characters", "refer to fewer or shorter variables")
        return Expanded("", (), (error,))
    return Expanded(result, tuple(found.unset), tuple(found.errors))


def expand_instance(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with the references to `INSTANCE_NAMES` replaced and ``$${`` as a literal ``${``.

    For texts that went through `expand` when the configuration was loaded.
    """
    if "${" not in text:
        return text

    def resolve(name: str, operator: str, word: str, found: _Found) -> tuple[str, bool]:
        if name not in INSTANCE_NAMES:
            return f"${{{name}{operator}{word}}}", True
        value = variables.get(name)
        return (word, True) if _takes_word(value, operator) else (_value(value, operator), False)

    try:
        return _walk(text, resolve, _Found(), literal=lambda token: token[1:])
    except _TooLongError:
        return text


def references(text: str) -> list[tuple[str, bool]]:
    """The names that ``text`` refers to, each with whether the reference says what holds without a value."""
    return [(found[1], found[2] not in ("}", None)) for found in _TOKEN.finditer(text) if found[1]]


def expand_values(root: Raw, variables: Mapping[str, str], report: ProblemReport, path: Path = ()) -> Raw:
    """Replace the references in keys and values of ``root``, which stands at ``path``; report problems.

    A name that is not set is reported once. `INSTANCE_NAMES` stay, and the ``replacement`` of a pattern, in
    which ``${name}`` is a group.
    """
    return _TreeExpansion(variables, report).expanded(root, path)


class _TreeExpansion:
    def __init__(self, variables: Mapping[str, str], report: ProblemReport) -> None:
        self._variables = variables
        self._report = report
        self._unset: set[str] = set()
        self._size = 0
        self._done: dict[int, tuple[Raw, Raw]] = {}  # aliases share a mapping or a list

    def expanded(self, raw: Raw, path: Path) -> Raw:
        if isinstance(raw, str):
            return self._scalar(raw, path)
        if not isinstance(raw, dict | list) or len(path) > _DEEPEST:
            return raw
        if id(raw) not in self._done:
            result = self._list(raw, path) if isinstance(raw, list) else self._map(raw, path)
            self._done[id(raw)] = (raw, result)
        return self._done[id(raw)][1]

    def _list(self, raw: list[Raw], path: Path) -> Raw:
        result: list[Raw] = [self.expanded(item, (*path, index)) for index, item in enumerate(raw)]
        if isinstance(raw, RawList):
            copy = RawList()
            copy.extend(result)
            copy.lines = raw.lines
            return copy
        return result

    def _map(self, raw: dict[str, Raw], path: Path) -> Raw:
        named = self._with_names(raw, path) if any("${" in name for name in raw) else raw
        result: dict[str, Raw] = RawMap() if isinstance(raw, RawMap) else {}
        if isinstance(named, RawMap) and isinstance(result, RawMap):
            result.lines = named.lines
        for name, item in named.items():
            result[name] = self.expanded(item, (*path, name))
        return result

    def _with_names(self, raw: dict[str, Raw], path: Path) -> dict[str, Raw]:
        """``raw`` with the references in its keys replaced; a map of the file is changed itself."""
        lines = raw.lines if isinstance(raw, RawMap) else {}
        content: dict[str, Raw] = {}
        named_lines: dict[str, int] = {}
        for name, item in raw.items():
            key = self._text(name, (*path, name)) if "${" in name else name
            if key in content:
                self._report.error((*path, name), f"is {key}, which is there already", "remove one of them")
                continue
            content[key] = item
            named_lines[key] = lines.get(name, 0)
        if not isinstance(raw, RawMap):
            return content
        raw.clear()
        raw.update(content)
        raw.lines = named_lines
        return raw

    def _scalar(self, text: str, path: Path) -> Raw:
        if "${" not in text or (path[-1:] == ("replacement",) and path[-3:-2] == ("patterns",)):
            return str(text)
        result = self._text(text, path)
        if isinstance(text, PlainText):
            if result in NULLS:
                return None
            if result[:1] in ("[", "{"):
                return FlowText(result)
        return result

    def _text(self, text: str, path: Path) -> str:
        result, unset, errors = expand(text, self._variables, INSTANCE_NAMES)
        within, self._size = self._size <= MOST_TEXT, self._size + len(result)
        if self._size > MOST_TEXT:
            if within:
                message = f"all texts become longer than {MOST_TEXT} characters together"
                self._report.error(path, message, "refer to fewer or shorter variables")
            return ""
        for message, hint in errors:
            self._report.error(path, message, hint)
        for name in unset:
            if name not in self._unset:
                self._unset.add(name)
                self._report.warning(
                    path,
                    f"${{{name}}} is not set, so it is empty",
                    f"set {name}, or write ${{{name}:-default}}",
                )
        return result


# -- references in a text that is still to be read as YAML -----------------------------------------------


def hide_references(text: str) -> str:
    """``text`` with the signs in its references hidden from YAML, each character in its place."""
    if "${" not in text:
        return text
    parts: list[str] = []
    position, opened, depth = 0, 0, 0
    for found in _BRACE.finditer(text):
        sign = found[0]
        if sign == "${":
            if depth == 0:
                opened = found.start()
            depth += 1
        elif sign == "\n":
            depth = 0
        elif depth:
            depth -= 1
            if depth == 0:
                parts += (text[position:opened], text[opened : found.end()].translate(_HIDE))
                position = found.end()
    return "".join((*parts, text[position:]))


def show_references(text: str) -> str:
    """The text of which `hide_references` has hidden signs."""
    return text.translate(_SHOW) if _HIDDEN_BRACE in text else text


def hidden_sign(text: str) -> int:
    """Where ``text`` holds a character that `hide_references` needs for itself; -1 when it does not."""
    return min((at for hidden in _SHOW if (at := text.find(chr(hidden))) >= 0), default=-1)


# -- reading references ----------------------------------------------------------------------------------


class _TooLongError(Exception):
    """The text becomes longer than `LONGEST_TEXT`."""


class _Found:
    """What was found in a text, or in the word of a reference that may not be used."""

    __slots__ = ("errors", "unset")

    def __init__(self) -> None:
        self.unset: dict[str, None] = {}
        self.errors: list[tuple[str, str]] = []

    def add_error(self, message: str, hint: str) -> None:
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append((message, hint))

    def add(self, other: _Found) -> None:
        self.unset.update(other.unset)
        for error in other.errors:
            self.add_error(*error)


class _Open(NamedTuple):
    """A reference whose word is being read: what comes before it, and what was found there."""

    name: str
    operator: str
    before: list[str]
    found: _Found


def _walk(text: str, resolve: Resolve, found: _Found, *, literal: Callable[[str], str]) -> str:
    """One pass over ``text``; ``resolve`` gives what stands in place of each reference."""
    parts: list[str] = []
    stack: list[_Open] = []
    position, size = 0, len(text)
    outermost = found
    for token in _TOKEN.finditer(text):
        parts.append(text[position : token.start()])
        position = token.end()
        sign, name, operator = token[0], token[1], token[2]
        if sign.startswith("$$"):
            parts.append(literal(sign))
        elif sign == "}" and stack:
            top = stack.pop()
            word = "".join(parts)
            result, with_word = resolve(top.name, top.operator, word, top.found)
            if with_word:
                top.found.add(found)
            parts, found = top.before, top.found
            parts.append(result)
            size += len(result) - len(word) * with_word
        elif sign == "}":
            parts.append(sign)
        elif operator == "}":
            value = resolve(name, "", "", found)[0]
            parts.append(value)
            size += len(value)
        elif operator and len(stack) < _DEEPEST_REFERENCE:
            stack.append(_Open(name, operator, parts, found))
            parts, found = [], _Found()
        else:
            outermost.add_error(*_malformed(text, token.start(), name))
            parts.append(sign)
        if size > LONGEST_TEXT:
            raise _TooLongError
    parts.append(text[position:])
    if not stack:
        return "".join(parts)
    first = stack[0]
    outermost.add_error(
        f"${{{first.name}{first.operator} is not closed", "add the closing }, or write $${ for a literal ${"
    )
    before = [part for opened in stack for part in (*opened.before, f"${{{opened.name}{opened.operator}")]
    return "".join(before + parts)


def _malformed(text: str, start: int, name: str | None) -> tuple[str, str]:
    end = text.find("}", start, start + _LONGEST_SHOWN)
    shown = text[start : end + 1] if end >= 0 else text[start : start + _LONGEST_SHOWN].split("\n")[0]
    example = name or "NAME"
    return (
        f"{shown} is no reference to a variable",
        f"write ${{{example}}} or ${{{example}:-default}}, or $${{ for a literal ${{",
    )


def _counts(value: str | None, operator: str) -> bool:
    """Whether the variable is set; with a colon also: and not empty."""
    return bool(value) if operator.startswith(":") else value is not None


def _takes_word(value: str | None, operator: str) -> bool:
    """Whether the word of a reference stands in its place."""
    if operator.endswith("-"):
        return not _counts(value, operator)
    return operator.endswith("+") and _counts(value, operator)


def _value(value: str | None, operator: str) -> str:
    """What stands in place of a reference otherwise."""
    return "" if value is None or operator.endswith("+") else value
