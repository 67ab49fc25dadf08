"""``include``: processes and hooks from other files. Imported only where a file has the key."""

from __future__ import annotations

import os
from glob import glob, has_magic
from typing import TYPE_CHECKING, Final

from cbox_init.config.problems import ProblemReport
from cbox_init.config.raw import RawList, RawMap, copied, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.raw import Path, Raw

    #: Reads and expands one file; None (with a problem) where that cannot be done.
    Read = Callable[[str], Raw]

_MOST_FILES: Final = 1000
_ALLOWED: Final = ("processes", "hooks", "version")


def include(root: RawMap, main: str, read: Read, report: ProblemReport) -> RawMap:
    """``root`` with the processes and hooks of the files that its ``include`` names.

    Patterns count from the directory of ``main``; files come in the order of their names. ``report`` learns
    which paths came from which file.
    """
    result = copied(root)
    assert isinstance(result, RawMap)
    result["processes"] = _copy_of(root.get("processes"))
    result["hooks"] = _copy_of(root.get("hooks"))
    for file in included_files(root.get("include"), main, report):
        with report.reading(file):
            content = read(file)
            if content is None:
                continue
            if not isinstance(content, RawMap):
                report.error(
                    (), f"expected a mapping of keys, got {kind_of(content)}", "begin with processes:"
                )
                continue
            report.root = content
            _merge(result, content, file, report)
    if not isinstance(result["processes"], RawMap | RawList) and not result["processes"]:
        del result["processes"]
    if not result["hooks"]:
        del result["hooks"]
    return result


def included_files(patterns: Raw, main: str, report: ProblemReport) -> list[str]:
    """The files that the patterns of ``include`` lead to, each once."""
    folder = os.path.dirname(main)
    found: dict[str, None] = {}
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        path: Path = ("include", index)
        if not isinstance(pattern, str) or not pattern:
            continue  # the converter reports it
        place = os.path.join(folder, pattern)
        if not has_magic(place) and not os.path.isfile(place):
            report.error(
                path,
                f"there is no file {place}",
                "correct the path, or write a pattern such as conf.d/*.yaml",
            )
            continue
        found.update(dict.fromkeys(sorted(glob(place)) if has_magic(place) else [place]))
    files = [file for file in found if os.path.isfile(file)]
    if len(files) > _MOST_FILES:
        report.error(("include",), f"names more than {_MOST_FILES} files", "name fewer")
    return files[:_MOST_FILES]


def included_by(main: str, environ: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files that a configuration includes, and the directories in which a pattern may match another one.

    None where the file cannot be read; problems are left to the next reading.
    """
    try:
        with open(main, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError):
        return (), ()
    if "include" not in text:
        return (), ()
    from cbox_init.config.document import parse_document
    from cbox_init.config.substitute import expand_values

    report = ProblemReport()
    root, _ = parse_document(text)
    patterns = expand_values(root.get("include"), environ, report) if isinstance(root, RawMap) else None
    if not isinstance(patterns, list):
        return (), ()
    places = [os.path.join(os.path.dirname(main), one) for one in patterns if isinstance(one, str)]
    named = [place for place in places if not has_magic(place)]
    folders = dict.fromkeys(os.path.dirname(place) or "." for place in places if has_magic(place))
    files = dict.fromkeys((*named, *included_files(patterns, main, report)))
    return tuple(files), tuple(folder for folder in folders if not has_magic(folder))


def _copy_of(section: Raw) -> Raw:
    if section is None:
        return RawMap()
    return copied(section) if isinstance(section, RawMap) else section


def _merge(result: RawMap, content: RawMap, file: str, report: ProblemReport) -> None:
    for key in content:
        if key not in _ALLOWED and not key.startswith("x-"):
            report.error((key,), "cannot be set in an included file", "move it into the main file")
    processes, hooks = content.get("processes"), content.get("hooks")
    if isinstance(processes, RawMap):
        _merge_processes(result["processes"], processes, file, report)
    elif processes:
        report.error(
            ("processes",),
            f"expected a mapping of sections, got {kind_of(processes)}",
            "write NAME: below it",
        )
    if isinstance(hooks, RawMap):
        _merge_hooks(result["hooks"], hooks, file, report)
    elif hooks:
        report.error(
            ("hooks",), f"expected a mapping of keys, got {kind_of(hooks)}", "write pre-start: below it"
        )


def _merge_processes(target: Raw, processes: RawMap, file: str, report: ProblemReport) -> None:
    if not isinstance(target, RawMap):
        return  # what the main file holds there is a problem of its own
    for name, process in processes.items():
        if name in target:
            other = report.files.get(("processes", name), "the main file")
            report.error(
                ("processes", name), f"is defined in {other} as well", "remove or rename one of them"
            )
            continue
        target[name] = process
        target.lines[name] = processes.lines[name]
        report.files[("processes", name)] = file


def _merge_hooks(target: Raw, hooks: RawMap, file: str, report: ProblemReport) -> None:
    if not isinstance(target, RawMap):
        return
    for kind, more in hooks.items():
        present = target.get(kind)
        if not isinstance(more, RawList) or not isinstance(present, RawList | None):
            if kind in target:
                report.error(
                    ("hooks", kind),
                    f"expected a list of mappings, got {kind_of(more)}",
                    "begin each entry with a dash",
                )
                continue
            target[kind] = more
            target.lines[kind] = hooks.lines[kind]
            report.files[("hooks", kind)] = file
            continue
        joined = RawList()
        for part in (present or RawList(), more):
            if part is more:
                start = len(joined)
                report.files.update({("hooks", kind, start + index): file for index in range(len(more))})
            joined.extend(part)
            joined.lines += part.lines
        target[kind] = joined
        target.lines.setdefault(kind, hooks.lines[kind])
