"""Finds the keys of the configuration that a person means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cbox_init.config.foreign import hint_for_key
from cbox_init.config.schema import ValueType
from cbox_init.errors import ConfigError
from cbox_init.reference.keys import Key, keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    Steps: TypeAlias = tuple[str, ...]

_NAME: Final = "NAME"
_MAPS: Final = (ValueType.SECTION_MAP, ValueType.TEXT_MAP, ValueType.SECRET_MAP)
_VARIABLE: Final = "CBOX_INIT_"
_LONGEST: Final = 200


class Found(NamedTuple):
    """A key that was asked for. ``older`` is its older name, where that was asked for, else empty.

    ``names`` are those that were asked for in place of NAME. ``places`` are the paths at which the same key
    stands, this one first.
    """

    key: Key
    older: str
    names: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path, with the names that were asked for."""
        return _filled(self.key.path, self.names)

    @property
    def variable(self) -> str:
        """The environment variable that sets it; empty where none does."""
        names = tuple(re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in self.names)
        return _filled(self.key.variable, names)


def find(asked: str) -> list[Found]:
    """What ``asked`` means: one key, or several of one name in different sections.

    It is a path, whole or its end, with any name for NAME and any number in []; or the name of an environment
    variable. Raises ConfigError where there is no such key, which names the nearest.
    """
    every = keys()
    asked = asked.strip()
    if asked.startswith(_VARIABLE):
        return _grouped([_by_variable(asked, every)], every)
    steps = _steps(asked)
    exact, ends, behind_names = _matches(steps, every)
    if found := exact[:1] or ends or behind_names:
        return _grouped(found, every)
    raise ConfigError(_unknown(asked, steps, every))


def children(key: Key | None) -> list[Key]:
    """The keys of a section; without one, those at the top level."""
    inner = key.inner if key is not None else ""
    return [one for one in keys() if one.section == inner]


_Match: TypeAlias = "tuple[Key, str, tuple[str, ...]]"


def _matches(steps: Steps, every: Sequence[Key]) -> tuple[list[_Match], list[_Match], list[_Match]]:
    """The keys whose whole path it is; whose end it is; and whose end it is with a name in front."""
    exact: list[_Match] = []
    ends: list[_Match] = []
    behind_names: list[_Match] = []
    for key in every:
        for name in (key.name, *key.older_names):
            own = (*_steps(key.section), name)
            older = "" if name == key.name else name
            whole = [own, (*own, _NAME)] if key.spec.value_type in _MAPS else [own]
            for pattern in whole:
                if len(pattern) == len(steps) and (names := _matched(pattern, steps)) is not None:
                    exact.append((key, older, names))
            end = own[-len(steps) :]
            if len(own) > len(steps) and (names := _matched(end, steps)) is not None:
                before = (_NAME,) * own[: -len(steps)].count(_NAME)
                (behind_names if end[0] == _NAME else ends).append((key, older, (*before, *names)))
    return exact, ends, [one for one in behind_names if len(steps) > 1]


def _matched(pattern: Sequence[str], steps: Sequence[str]) -> tuple[str, ...] | None:
    """The names in place of NAME when ``steps`` are those of the pattern."""
    names: list[str] = []
    for wanted, step in zip(pattern, steps, strict=True):
        if wanted == _NAME:
            names.append(step)
        elif wanted != step:
            return None
    return tuple(names)


def _grouped(found: list[_Match], every: Sequence[Key]) -> list[Found]:
    """The same key of one kind of section is there once, with all its places."""
    first: dict[tuple[type, str], Found] = {}
    for key, older, names in found:
        same = (key.owner, key.name)
        if same not in first:
            others = [one.path for one in every if (one.owner, one.name) == same and one is not key]
            first[same] = Found(key, older, names, (key.path, *others))
    return list(first.values())


def _by_variable(variable: str, every: Sequence[Key]) -> _Match:
    best: tuple[int, _Match] | None = None
    for key in every:
        if not key.variable:
            continue
        end = r"(?:_\w+)?" if key.path == "processes.NAME.env" else ""
        for name in (key.name, *key.older_names):
            own = f"{key.variable.removesuffix(_upper(key.name))}{_upper(name)}"
            pattern = own.replace(f"_{_NAME}_", r"_(\w+?)_", 1) + end
            matched = re.fullmatch(pattern, variable)
            if matched and (best is None or len(own) > best[0]):
                names = tuple(part.lower().replace("_", "-") for part in matched.groups())
                best = (len(own), (key, "" if name == key.name else name, names))
    if best is None:
        near = _nearest(variable, [key.variable for key in every if key.variable])
        hint = f"did you mean {near}?" if near else "`cbox-init explain global` lists the keys"
        raise ConfigError(f"no key is set by {_shortened(variable)}: {hint}")
    return best[1]


def _unknown(asked: str, steps: Steps, every: Sequence[Key]) -> str:
    """Says which key was most likely meant: of the section that was named, else of all."""
    shown, last = _shortened(asked), steps[-1]
    section = _matches(steps[:-1], every)[0][:1] if len(steps) > 1 else []
    if section:
        key, _, names = section[0]
        own = [one for one in every if one.section == key.inner]
        before = _filled(key.inner, names)
        if own and (hint := hint_for_key(own[0].owner, last)):
            return f"no key is called {shown}: {hint}"
        if near := _nearest(last, [one.name for one in own]):
            return f"no key is called {shown}: did you mean {before}.{near}?"
    names_of_all = {name: key for key in reversed(every) for name in (*key.older_names, key.name)}
    if near := _nearest(last, list(names_of_all)):
        return f"no key is called {shown}: did you mean {names_of_all[near].path}?"
    for owner in dict.fromkeys(key.owner for key in every):
        if hint := hint_for_key(owner, last):
            return f"no key is called {shown}: {hint}"
    return f"no key is called {shown}: `cbox-init explain` lists the sections"


def _nearest(name: str, known: list[str]) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name[:_LONGEST], known, n=1)
    return found[0] if found else None


def _steps(path: str) -> Steps:
    """The parts of a path, without the numbers of entries; ``*`` stands for any name."""
    parts = re.sub(r"\[[^\]]*\]", "", path).split(".") if path else []
    return tuple(_NAME if part == "*" else part for part in parts)


def _filled(path: str, names: tuple[str, ...]) -> str:
    """The path with names in place of the first NAMEs."""
    parts = re.split(rf"(?<![A-Z]){_NAME}(?![A-Z])", path)
    filled = (*names, *[_NAME] * len(parts))[: len(parts) - 1]
    return parts[0] + "".join(name + part for name, part in zip(filled, parts[1:], strict=True))


def _shortened(text: str) -> str:
    from cbox_init.config.raw import printable

    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
