"""A whole configuration for people, and what differs between two: secrets masked, defaults left out."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Final

import yaml
from msgspec import Struct

from cbox_init.config.effective import effective
from cbox_init.config.masking import masked_value, plain_value
from cbox_init.config.model import Config, ProcessConfig
from cbox_init.config.problems import ProblemReport
from cbox_init.config.schema import fields_of
from cbox_init.config.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cbox_init.config.schema import Field
    from cbox_init.sensitive import KnownSecrets

    Show = Callable[[Struct, str, Field], object]

#: Behind the mask of a secret, on the side that is new.
CHANGED: Final = f"{MASK} (changed)"

#: The lines of a difference that are shown. Of more, only how many processes they are about.
MOST_LINES: Final = 5_000

#: Lines of one process, or of one section, that are compared; of longer ones only that they differ is shown.
_MOST_COMPARED: Final = 5_000

#: Lines around each difference.
_AROUND: Final = 3

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Differences(Struct, frozen=True):
    """What differs: as a unified diff of masked YAML, and the keys of each process that is on both sides."""

    text: str
    keys: dict[str, tuple[str, ...]]


def shown_configuration(config: Config, known: KnownSecrets) -> dict[str, object]:
    """``config`` by the keys of the file, without those that have their default.

    May take long for thousands of processes: not for the event loop.
    """
    show, default = _masking(known), _default_process(config)
    processes = {name: _section(process, default, show) for name, process in config.processes.items()}
    return {**_others(config, show), "processes": processes}


def differences(
    before: Config,
    after: Config,
    known: KnownSecrets,
    titles: tuple[str, str],
) -> Differences:
    """What is different in ``after``. Each section and each process is a part with lines of its own.

    The order of the processes does not count. A secret that differs is ``***`` before and ``*** (changed)``
    after. May take long: not for the event loop.
    """
    lines: list[str] = []
    keys: dict[str, tuple[str, ...]] = {}
    more: list[str] = []
    for place, old, new in _parts(before, after, known):
        name = place[-1]
        if place[0] == "processes" and old is not None and new is not None:
            assert isinstance(old, dict) and isinstance(new, dict)
            differing = tuple(key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key))
            if not differing:
                continue
            keys[name] = differing
        elif old == new:
            continue
        if len(lines) < MOST_LINES:
            lines += _compared(place, old, new)
        else:
            more.append(name)
    if not lines:
        return Differences("", keys)
    del lines[MOST_LINES:]
    if more:
        lines.append(f"\\ {len(more)} more differ, such as {more[0]}")
    return Differences("\n".join((f"--- {titles[0]}", f"+++ {titles[1]}", *lines, "")), keys)


def _parts(
    before: Config, after: Config, known: KnownSecrets
) -> Iterator[tuple[tuple[str, ...], object, object]]:
    """Each part that may differ: where it is, and both sides as they are shown, None where it is not."""
    masking = _masking(known)
    masked = _others(before, masking), _others(after, masking)
    plain = _others(before, plain_value), _others(after, plain_value)
    for key in dict.fromkeys((*masked[0], *masked[1])):
        old_section, new_section = (side.get(key) for side in masked)
        yield (key,), old_section, _marked(old_section, new_section, *(side.get(key) for side in plain))
    defaults = _default_process(before), _default_process(after)
    for name in dict.fromkeys((*before.processes, *after.processes)):
        old, new = before.processes.get(name), after.processes.get(name)
        if old == new:
            continue
        old_shown = None if old is None else _section(old, defaults[0], masking)
        new_shown: object = None if new is None else _section(new, defaults[1], masking)
        if old is not None and new is not None:
            sides = _section(old, defaults[0], plain_value), _section(new, defaults[1], plain_value)
            new_shown = _marked(old_shown, new_shown, *sides)
        yield ("processes", name), old_shown, new_shown


def _compared(place: tuple[str, ...], old: object, new: object) -> Iterator[str]:
    """The lines of a unified diff of one part; its lines are counted from 1."""
    before, after = ([] if side is None else _lines(place, side) for side in (old, new))
    title = ".".join(place)
    if max(len(before), len(after)) > _MOST_COMPARED:
        yield f"@@ -0,0 +0,0 @@ {title}"
        yield f"\\ It differs, and is too long to be compared: more than {_MOST_COMPARED} lines"
        return
    for number, line in enumerate(unified_diff(before, after, n=_AROUND, lineterm="")):
        if number >= 2:  # the names of the files
            yield f"{line} {title}" if line.startswith("@@") else line


def _lines(place: tuple[str, ...], value: object) -> list[str]:
    for key in reversed(place):
        value = {key: value}
    text: str = yaml.dump(_writable(value), Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=110)
    # Not splitlines: those of YAML end with \n alone.
    return text.removesuffix("\n").split("\n")


def _writable(value: object) -> object:
    """``value`` as types that YAML has, with text that is UTF-8."""
    if isinstance(value, dict):
        return {_writable(name): _writable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value if isinstance(value, bool | int | float | None) else str(value)


def _marked(before: object, after: object, plain_before: object, plain_after: object) -> object:
    """``after``, in which a masked text that hides a difference from ``before`` says so."""
    if isinstance(after, dict):
        if not (
            isinstance(before, dict) and isinstance(plain_before, dict) and isinstance(plain_after, dict)
        ):
            return after
        return {
            key: _marked(before.get(key), item, plain_before.get(key), plain_after.get(key))
            for key, item in after.items()
        }
    if isinstance(after, list):
        lists = (before, plain_before, plain_after)
        if not all(isinstance(one, list) and len(one) == len(after) for one in lists):
            return after
        return [_marked(*four) for four in zip(before, after, plain_before, plain_after, strict=True)]  # type: ignore[call-overload]
    if isinstance(after, str) and MASK in after and after == before and plain_before != plain_after:
        return f"{after} (changed)"
    return after


def _masking(known: KnownSecrets) -> Show:
    return lambda section, key, field: masked_value(section, key, field, known)


def _others(config: Config, show: Show) -> dict[str, object]:
    """All but the processes."""
    sections = _section(config, effective(Config(), ProblemReport()), show, leave_out="processes")
    return {key: value for key, value in sections.items() if value}


def _default_process(config: Config) -> ProcessConfig:
    """A process of which nothing is set, with the values that follow from ``global``."""
    alone = Config(global_=config.global_, processes={"": ProcessConfig()})
    return effective(alone, ProblemReport()).processes[""]


def _section(section: Struct, default: Struct, show: Show, leave_out: str = "") -> dict[str, object]:
    shown: dict[str, object] = {}
    for key, field in fields_of(type(section)).items():
        value, usual = getattr(section, field.attribute), getattr(default, field.attribute)
        if value == usual or key == leave_out:
            continue
        shown[key] = _value(value, usual, section, key, field, show)
    return shown


def _value(value: object, usual: object, section: Struct, key: str, field: Field, show: Show) -> object:
    """One value; what its own sections have by default is left out too."""
    if isinstance(value, Struct):
        return _section(value, usual if type(usual) is type(value) else type(value)(), show)
    if isinstance(value, dict) and any(isinstance(item, Struct) for item in value.values()):
        return {name: _section(item, type(item)(), show) for name, item in value.items()}
    if isinstance(value, tuple) and any(isinstance(item, Struct) for item in value):
        return [_section(item, type(item)(), show) for item in value]
    return show(section, key, field)
