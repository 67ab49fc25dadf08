"""Reads Go's RE2 syntax (https://github.com/google/re2/wiki/Syntax) into a tree.

What that syntax does not have (references to groups, looking ahead and behind, possessive repeats) is
refused rather than understood in Python's way.
"""

from __future__ import annotations

import re
from string import ascii_letters, digits
from typing import Final, NamedTuple

from cbox_init.errors import PatternError
from cbox_init.patterns.sets import ANY, PERL, POSIX, category
from cbox_init.patterns.tree import (
    LAST,
    Alt,
    Anchor,
    Cat,
    Group,
    Node,
    Ranges,
    Repeat,
    Set,
    Where,
    WorkBudget,
    complement,
    folded,
    union,
    without,
    work_of_folding,
)

_MOST_REPEATS: Final = 1000
_DEEPEST: Final = 100
_LONGEST: Final = 16 * 1024

_CONTROLS: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_NEWLINE: Final = 10
_WORDS: Final = ascii_letters + digits + "_"


_QUOTED: Final = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)


def _unquoted(match: re.Match[str]) -> str:
    """What stands between \\Q and \\E, with each mark in it escaped; another escape as it is."""
    return match[0] if match[1] is None else re.sub(r"([^\w\s])", r"\\\1", match[1], flags=re.ASCII)


class Flags(NamedTuple):
    """The letters of ``(?imsU)``: either case; ^ and $ at each line; . also a newline; lazy by default."""

    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


class Parsed(NamedTuple):
    """A pattern's tree, how many groups it has, and the numbers of those that have names."""

    tree: Node
    groups: int
    names: dict[str, int]


def parse(pattern: str, budget: WorkBudget) -> Parsed:
    """The tree of ``pattern``. Raises PatternError with the reason and the place."""
    if len(pattern) > _LONGEST:
        raise PatternError(f"is longer than {_LONGEST} characters")
    parser = _Parser(_QUOTED.sub(_unquoted, pattern), budget)
    tree = parser.alternatives(Flags(), 0)
    if not parser.at_end:
        raise PatternError("has a ) without a (")
    return Parsed(tree, parser.groups, parser.names)


class _Parser:
    def __init__(self, pattern: str, budget: WorkBudget) -> None:
        self._text = pattern
        self._budget = budget
        self._at = 0
        self.groups = 0
        self.names: dict[str, int] = {}

    @property
    def at_end(self) -> bool:
        return self._at == len(self._text)

    def alternatives(self, flags: Flags, depth: int) -> Node:
        """Down to the ) that ends the group, or to the end."""
        if depth > _DEEPEST:
            raise PatternError(f"nests groups deeper than {_DEEPEST}")
        branches: list[Node] = []
        items: list[Node] = []
        while not self.at_end and self._text[self._at] != ")":
            if self._took("|"):
                branches.append(_cat(items))
                items = []
                continue
            if (changed := self._flags_alone(flags)) is not None:
                flags = changed
                continue
            items.append(self._repeated(flags, depth))
            self._budget.spend(1)
        if not branches:
            return _cat(items)
        return Alt((*branches, _cat(items)))

    def _flags_alone(self, flags: Flags) -> Flags | None:
        """The flags from here on, when ``(?flags)`` stands here."""
        start = self._at
        if not self._took("(?"):
            return None
        changed = self._flags(flags)
        if changed is not None and self._took(")"):
            return changed
        self._at = start
        return None

    def _flags(self, flags: Flags) -> Flags | None:
        """What stands between ``(?`` and ``:`` or ``)``, None when it is no flags."""
        value, seen = True, False
        while not self.at_end and (letter := self._text[self._at]) in "imsU-":
            self._at += 1
            if letter == "-":
                if not value:
                    return None
                value, seen = False, False
            else:
                flags = flags._replace(**{letter: value})
                seen = True
        return flags if seen else None

    def _repeated(self, flags: Flags, depth: int) -> Node:
        start = self._at
        node = self._atom(flags, depth)
        if isinstance(node, Set):
            self._budget.add_set(node.ranges)
        limits = self._limits()
        if limits is None:
            return node
        lazy = self._took("?")
        node = Repeat(node, *limits, greedy=lazy is flags.U, text=self._text[start : self._at])
        again = self._at
        if self._limits() is not None:
            raise PatternError(f"repeats a repeat: {self._text[start : self._at]} (at character {again + 1})")
        return node

    def _limits(self) -> tuple[int, int | None] | None:
        """How often, when a repeat stands here. A { that begins none is a character."""
        for mark, limits in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._took(mark):
                return limits
        start = self._at
        if not self._took("{"):
            return None
        least = self._number()
        most: int | None = least
        if least is not None and self._took(","):
            most = self._number()
        if least is None or not self._took("}"):
            self._at = start
            return None
        if max(least, most or 0) > _MOST_REPEATS or (most is not None and most < least):
            raise PatternError(
                f"repeats {self._text[start : self._at]}: at most {_MOST_REPEATS}, the smaller first"
            )
        return least, most

    def _number(self) -> int | None:
        start = self._at
        while not self.at_end and self._text[self._at] in digits:
            self._at += 1
        return int(self._text[start : self._at][:6]) if self._at > start else None

    def _atom(self, flags: Flags, depth: int) -> Node:
        start = self._at
        letter = self._next()
        match letter:
            case "(":
                return self._group(flags, depth)
            case "[":
                return Set(self._set(start, flags))
            case ".":
                return Set(ANY if flags.s else without(ANY, _NEWLINE))
            case "^":
                return Anchor(Where.LINE_START if flags.m else Where.START)
            case "$":
                return Anchor(Where.LINE_END if flags.m else Where.END)
            case "\\":
                return self._escape(flags)
            case "*" | "+" | "?":
                raise PatternError(f"has a {letter} with nothing to repeat (at character {start + 1})")
        return _character(ord(letter), flags)

    def _group(self, flags: Flags, depth: int) -> Node:
        start = self._at - 1
        if not self._took("?"):
            return self._captured(flags, depth, start)
        if self._took("P<") or (self._text[self._at : self._at + 2] not in ("<=", "<!") and self._took("<")):
            end = self._text.find(">", self._at)
            name = self._text[self._at : end] if end >= 0 else ""
            if not name or name.strip(_WORDS) or name in self.names:
                raise PatternError(f"has a group without a name of its own (at character {start + 1})")
            self._at = end + 1
            self.names[name] = self.groups + 1
            return self._captured(flags, depth, start)
        inner = flags if self._text[self._at : self._at + 1] == ":" else self._flags(flags)
        if inner is None or not self._took(":"):
            construct = self._text[start : start + 4]
            raise PatternError(f"has {construct}, which Go's syntax does not know (at character {start + 1})")
        node = self.alternatives(inner, depth + 1)
        self._close(start)
        return node

    def _captured(self, flags: Flags, depth: int, start: int) -> Node:
        self.groups += 1
        node = self.alternatives(flags, depth + 1)
        self._close(start)
        return Group(node)

    def _close(self, start: int) -> None:
        if not self._took(")"):
            raise PatternError(f"has a ( without a ) (at character {start + 1})")

    def _escape(self, flags: Flags) -> Node:
        start = self._at - 1
        letter = self._next()
        match letter:
            case "A":
                return Anchor(Where.START)
            case "z":
                return Anchor(Where.END)
            case "b":
                return Anchor(Where.WORD)
            case "B":
                return Anchor(Where.INSIDE)
        named = self._named_set(letter, start)
        if named is not None:
            return Set(named)
        return _character(self._code(letter, start), flags)

    def _named_set(self, letter: str, start: int) -> Ranges | None:
        if letter in PERL:
            return PERL[letter]
        if letter not in "pP":
            return None
        name = self._next()
        if name == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at : end] if end >= 0 else ""
            self._at = end + 1
        negated = (letter == "P") is not name.startswith("^")
        ranges = category(name.removeprefix("^"))
        if ranges is None:
            raise PatternError(
                f"has \\p{{{name}}} (at character {start + 1}): categories such as L, Lu or Nd are known here"
            )
        return complement(ranges) if negated else ranges

    def _code(self, letter: str, start: int) -> int:
        """The code point of an escaped character."""
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "x":
            return self._hexadecimal(start)
        if letter in "01234567":
            more = self._text[self._at : self._at + 2]
            if letter != "0" and (not more or more[0] not in "01234567"):
                raise PatternError(f"refers to a group by \\{letter}, which Go's syntax does not know")
            octal = letter
            while len(octal) < 3 and not self.at_end and self._text[self._at] in "01234567":
                octal += self._next()
            return int(octal, 8)
        if letter in _WORDS:
            raise PatternError(f"has \\{letter}, which Go's syntax does not know (at character {start + 1})")
        return ord(letter)

    def _hexadecimal(self, start: int) -> int:
        if self._took("{"):
            end = self._text.find("}", self._at)
            code = self._text[self._at : end] if end >= 0 else ""
            self._at = end + 1
        else:
            code = self._text[self._at : self._at + 2]
            self._at += 2
            code = code if len(code) == 2 else ""
        try:
            value = int(code, 16) if code.isalnum() else -1
        except ValueError:
            value = -1
        if not 0 <= value <= LAST:
            raise PatternError(f"has \\x without a hexadecimal number (at character {start + 1})")
        return value

    def _set(self, start: int, flags: Flags) -> Ranges:
        negated = self._took("^")
        parts: list[Ranges] = []
        while True:
            if self.at_end:
                raise PatternError(f"has a [ without a ] (at character {start + 1})")
            if parts and self._took("]"):
                break
            parts.append(self._set_item(start))
            self._budget.spend(1 + len(parts[-1]))
        ranges = union(*parts)
        if flags.i:
            self._budget.spend(work_of_folding(ranges))
            ranges = folded(ranges)
        return complement(ranges) if negated else ranges

    def _set_item(self, start: int) -> Ranges:
        if self._took("[:"):
            end = self._text.find(":]", self._at)
            name = self._text[self._at : end] if end >= 0 else ""
            ranges = POSIX.get(name.removeprefix("^"))
            if ranges is None:
                raise PatternError(f"has [:{name}:] in a [, which is no class (at character {start + 1})")
            self._at = end + 2
            return complement(ranges) if name.startswith("^") else ranges
        low = self._set_code(start)
        if not isinstance(low, int):
            return low
        if self._text[self._at : self._at + 1] != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return ((low, low),)
        self._at += 1
        high = self._set_code(start)
        if not isinstance(high, int) or high < low:
            raise PatternError(f"has a range in a [ that ends before it begins (at character {start + 1})")
        return ((low, high),)

    def _set_code(self, start: int) -> int | Ranges:
        """One code point of a set, or a whole named set."""
        letter = self._next()
        if letter != "\\":
            return ord(letter)
        letter = self._next()
        named = self._named_set(letter, start)
        return named if named is not None else self._code(letter, start)

    def _next(self) -> str:
        if self.at_end:
            raise PatternError("ends in the middle of something")
        self._at += 1
        return self._text[self._at - 1]

    def _took(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False


def _cat(items: list[Node]) -> Node:
    return items[0] if len(items) == 1 else Cat(tuple(items))


def _character(code: int, flags: Flags) -> Set:
    ranges = ((code, code),)
    return Set(folded(ranges) if flags.i else ranges)
