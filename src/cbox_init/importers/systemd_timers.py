"""Timers of systemd: their times become the schedule of the service that they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.importers.calendar import calendar_to_cron
from cbox_init.importers.systemd_unit import process_name
from cbox_init.importers.values import boolean, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.importers.ini import IniEntry
    from cbox_init.importers.model import Imported, Tree
    from cbox_init.importers.systemd_unit import Unit


def add_timer(unit: Unit, whole: Imported) -> None:
    """Put the times of a timer into the service that it starts."""
    notes = unit.notes
    name = process_name(unit.text("Unit") or unit.name.removesuffix(".timer") + ".service")
    process = whole.named(name)
    if process is None:
        notes.lost(None, unit.name, f"its service {name} is not among the files", "import it too")
        return
    keys = process.keys
    for section, entry, _ in unit.entries:
        key, value = entry.key, entry.value or ""

        def lost(why: str, hint: str, entry: IniEntry = entry) -> None:
            notes.lost(entry.line, entry.key, why, hint, process=name)

        if key == "OnCalendar":
            _calendar(keys, value, lost)
        elif key in ("OnUnitActiveSec", "OnUnitInactiveSec"):
            _interval(keys, value, lost)
        elif key == "Persistent":
            if boolean(value):
                why = "times that pass while the daemon does not run are not made up for"
                notes.changed(entry.line, key, why, process=name)
            else:
                keys["schedule_misfire"] = "skip"
        elif key in ("OnBootSec", "OnStartupSec", "OnActiveSec"):
            lost("a schedule cannot count from the start", "sleep in a oneshot")
        elif key in ("RandomizedDelaySec", "FixedRandomDelay"):
            lost("schedules have no random delay", "add `sleep` to the command")
        elif section == "Timer" and key not in ("Unit", "AccuracySec", "WakeSystem", "RemainAfterElapse"):
            lost("unknown key", "remove it")
    if "schedule" in keys:
        for key in ("restart", "restart_delay", "max_restart_delay", "max_restarts", "restart_threshold"):
            keys.pop(key, None)
        keys["schedule_max_concurrent"] = 1


def _calendar(keys: Tree, value: str, lost: Callable[[str, str], None]) -> None:
    if "schedule" in keys:
        lost("a process has one schedule", "write a second process for this time")
        return
    found = calendar_to_cron(value)
    if found is None:
        lost(f"{value[:60]!r} has no form in cron", "write a schedule of five fields")
        return
    keys["schedule"], keys["schedule_timezone"] = found


def _interval(keys: Tree, value: str, lost: Callable[[str, str], None]) -> None:
    every = seconds(value)
    minutes = int(every // 60) if every is not None and every % 60 == 0 else 0
    if "schedule" in keys:
        lost("a process has one schedule", "write a second process for this time")
    elif minutes and minutes < 60 and 60 % minutes == 0:
        keys.update({"schedule": f"*/{minutes} * * * *", "schedule_timezone": "Local"})
    elif minutes and minutes % 60 == 0 and 24 % (minutes // 60) == 0:
        hours = minutes // 60
        keys.update(
            {"schedule": f"0 */{hours} * * *" if hours < 24 else "0 0 * * *", "schedule_timezone": "Local"}
        )
    else:
        lost(f"every {value[:40]} has no form in cron", "write a schedule of five fields")
