"""Finds the format of files, and imports several of them as one configuration."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.raw import printable
from cbox_init.errors import ImportFailed
from cbox_init.importers import circus, compose, crontab, pm2, procfile, s6, supervisord, systemd
from cbox_init.importers.combine import combine
from cbox_init.importers.systemd_unit import is_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.importers.combine import Combined
    from cbox_init.importers.model import Imported
    from cbox_init.importers.source import SourceFiles

FORMATS: Final = (
    *("supervisord", "procfile", "pm2", "circus", "s6", "compose", "systemd", "crontab", "system-crontab"),
)
_MOST_SOURCES: Final = 500
_SUPERVISORD: Final = re.compile(
    r"^\[(?:supervisord|program:|fcgi-program:|eventlistener:|unix_http_server|inet_http_server|supervisorctl)",
    re.MULTILINE,
)
_CIRCUS: Final = re.compile(r"^\[(?:watcher:|circus\]|socket:)", re.MULTILINE)
_UNIT: Final = re.compile(r"^\[(?:Unit|Service|Timer|Install)\]", re.MULTILINE)
_COMPOSE: Final = re.compile(r"^services\s*:", re.MULTILINE)
_PM2: Final = re.compile(r"[\"']?\bapps[\"']?\s*[:=]\s*\[?|^apps\s*:", re.MULTILINE)
_OURS: Final = re.compile(r"^processes\s*:", re.MULTILINE)
_PROCFILE: Final = re.compile(r"\A(?:\s*(?:#.*)?\n)*[A-Za-z0-9_-]+:[ \t]+\S")
_TEXTS: Final = ((_SUPERVISORD, "supervisord"), (_CIRCUS, "circus"), (_UNIT, "systemd"))


class ImportOptions(NamedTuple):
    """``format`` of None: it is found. ``env`` is that of pm2, ``formation`` that of foreman."""

    format: str | None = None
    env: str | None = None
    formation: str | None = None


def import_files(paths: Sequence[str], files: SourceFiles, options: ImportOptions) -> Combined:
    """One configuration from all files. Raises ImportFailed."""
    sources: list[Imported | int] = []
    units: list[tuple[str, str]] = []
    for path, kind in _with_formats(paths, files, options.format):
        if len(sources) >= _MOST_SOURCES:
            raise ImportFailed(f"more than {_MOST_SOURCES} files; import fewer at a time")
        if kind == "systemd":
            if not units:
                sources.append(0)  # units name each other: they are read together, at the place of the first
            units.append((path, files.text(path)))
        else:
            with _naming(path):
                sources.append(_read(path, kind, files, options))
    found: list[Imported] = []
    for source in sources:
        if isinstance(source, int):
            with _naming(units[0][0]):
                found += systemd.read(units, files)
        else:
            found.append(source)
    return combine(found, paths)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Make a reason why something cannot be imported begin with the file."""
    try:
        yield
    except ImportFailed as error:
        if path in str(error):
            raise
        raise ImportFailed(f"{printable(path)}: {error}") from None


def _with_formats(paths: Sequence[str], files: SourceFiles, given: str | None) -> list[tuple[str, str]]:
    """Each file with its format; a directory of units stands for these."""
    found: list[tuple[str, str]] = []
    for path in paths:
        if not files.is_directory(path):
            found.append((path, given or format_of(path, files.text(path))))
            continue
        units = [os.path.join(path, name) for name in files.names_in(path) if is_unit(name)]
        units = [unit for unit in units if files.is_file(unit)]
        if given == "systemd" or (given is None and units):
            found += [(unit, "systemd") for unit in units]
        elif given == "s6" or (given is None and s6.is_source(path, files)):
            found.append((path, "s6"))
        else:
            raise ImportFailed(
                f"{printable(path)} is a directory; name a file, or a directory of s6 services or units"
            )
    return found


def format_of(path: str, text: str) -> str:
    """The format of a file by its name and what is in it. Raises ImportFailed."""
    name = os.path.basename(path)
    stem = name.lower()
    if is_unit(name):
        return "systemd"
    if stem.startswith("procfile"):
        return "procfile"
    if re.fullmatch(r"(?:docker-)?compose[\w.-]*\.ya?ml", stem):
        return "compose"
    if stem.endswith((".js", ".cjs", ".mjs")) or re.match(r"ecosystem|pm2\.|processes\.json", stem):
        return "pm2"
    for sign, kind in _TEXTS:
        if sign.search(text):
            return kind
    if _OURS.search(text) and stem.endswith((".yaml", ".yml")):
        raise ImportFailed(
            f"{printable(path)} is a configuration of cbox-init already; run cbox-init check-config -c"
        )
    if _COMPOSE.search(text):
        return "compose"
    if stem.endswith((".json", ".json5", ".yaml", ".yml")) and _PM2.search(text):
        return "pm2"
    if stem.endswith((".ini", ".conf")):
        raise ImportFailed(
            f"{printable(path)}: no sections of supervisord or circus are in it; say what it is with --from"
        )
    if (
        "cron" in path.split(os.sep)[-1].lower()
        or "cron.d" in path.split(os.sep)
        or crontab.looks_like_crontab(text)
    ):
        return "system-crontab" if crontab.is_system(text) else "crontab"
    if _PROCFILE.search(text):
        return "procfile"
    raise ImportFailed(
        f"{printable(path)}: its format is not known; say what it is with --from {'|'.join(FORMATS)}"
    )


def _read(path: str, kind: str, files: SourceFiles, options: ImportOptions) -> Imported:
    if kind == "s6":
        return s6.read(path, files)
    text = files.text(path)
    match kind:
        case "supervisord":
            return supervisord.read(path, text, files)
        case "circus":
            return circus.read(path, text, files)
        case "procfile":
            return procfile.read(path, text, files, options.formation)
        case "pm2":
            return pm2.read(path, text, files, options.env)
        case "compose":
            return compose.read(path, text, files)
        case _:
            return crontab.read(path, text, system=kind == "system-crontab")
