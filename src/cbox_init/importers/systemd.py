"""Units of systemd: services, and timers with calendar times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.importers.model import Imported
from cbox_init.importers.systemd_service import ServiceUnit
from cbox_init.importers.systemd_timers import add_timer
from cbox_init.importers.systemd_unit import load_unit, process_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.importers.ini import IniEntry
    from cbox_init.importers.source import SourceFiles
    from cbox_init.importers.systemd_unit import Unit


def read(sources: Sequence[tuple[str, str]], files: SourceFiles) -> list[Imported]:
    """The services of all units, which may name each other."""
    units = [load_unit(path, text, files) for path, text in sources]
    services = {unit.name: unit for unit, _ in units if unit.name.endswith(".service")}
    found: list[Imported] = []
    whole = Imported(sources[0][0] if sources else "")
    for unit, imported in units:
        if unit.name.endswith(".service"):
            ServiceUnit(unit, imported, services, files).read()
        elif not unit.name.endswith(".timer"):
            kind = unit.name.rpartition(".")[2]
            hints = {
                "socket": "let the program listen itself",
                "target": "a container has one state: all that is in the file",
                "path": "watch the files in a program",
            }
            imported.notes.lost(
                None,
                unit.name,
                f"a unit of type {kind} is not carried over",
                hints.get(kind, "use the container"),
            )
        whole.processes += imported.processes
    for unit, _ in units:
        if unit.name.endswith(".timer"):
            add_timer(unit, whole)
    _depend(units, whole)
    for _, imported in units:
        whole.notes.add(imported.notes.found)
        whole.notes.more += imported.notes.more
    found.append(whole)
    return found


def _depend(units: Sequence[tuple[Unit, Imported]], whole: Imported) -> None:
    """After, Requires and the like among the files become depends_on."""
    needs: dict[str, dict[str, None]] = {}
    for unit, _ in units:
        if not unit.name.endswith(".service") or whole.named(process_name(unit.name)) is None:
            continue
        name = process_name(unit.name)
        for key in ("After", "Requires", "BindsTo", "Requisite", "Wants", "PartOf", "Before"):
            for entry, _ in unit.values(key):
                for other in (entry.value or "").split():
                    _one_need(unit, entry, name, other, needs, whole)
    for name, found in needs.items():
        process = whole.named(name)
        if process is not None and found:
            process.keys["depends_on"] = [*found]


def _one_need(
    unit: Unit, entry: IniEntry, name: str, other: str, needs: dict[str, dict[str, None]], whole: Imported
) -> None:
    if not other.endswith(".service"):
        if other.endswith((".socket", ".path", ".mount")):
            why = f"{other} is not there"
            unit.notes.lost(entry.line, entry.key, why, "leave it out", process=name)
        return  # targets and slices are states of the system
    its = process_name(other)
    if whole.named(its) is None:
        hint = "import its unit too, or leave it out"
        unit.notes.lost(entry.line, entry.key, f"{other} is not among the files", hint, process=name)
    elif entry.key == "Before":
        needs.setdefault(its, {})[name] = None
    else:
        needs.setdefault(name, {})[its] = None
