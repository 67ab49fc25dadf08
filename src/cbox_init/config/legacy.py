"""Keys that older files use for what has another name today.

They are renamed before anything is converted, so that nothing else knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.model import (
    AclConfig,
    HealthCheckConfig,
    LoggingConfig,
    ProcessConfig,
    RedactionConfig,
    TlsConfig,
)
from cbox_init.config.raw import copied, scalar_text
from cbox_init.config.schema import ValueSpec, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path, Raw

#: Old key and the key that means the same, section by section. ``timeout`` is old in a process with a
#: schedule alone: otherwise it is that of a oneshot.
RENAMED: Final[dict[type[Struct], dict[str, str]]] = {
    TlsConfig: {"client_ca_file": "ca_file"},
    AclConfig: {"allow": "allow_list", "deny": "deny_list"},
    ProcessConfig: {"timeout": "schedule_timeout"},
    HealthCheckConfig: {"interval": "period", "retries": "failure_threshold", "port": "address"},
    LoggingConfig: {"filter_patterns": "filters"},
}
#: What older keys take whose value has another form today.
OTHER_FORMS: Final = {
    "port": ValueSpec(ValueType.INT, ge=1),
    "filter_patterns": ValueSpec(ValueType.TEXT_LIST),
}


def with_current_keys(
    section: type[Struct],
    raw: dict[str, Raw],
    path: Path,
    report: ProblemReport,
    unset: Callable[[str, Raw], bool],
) -> dict[str, Raw]:
    """``raw`` with today's keys. Where old and new are both set the new one counts, with a warning.

    ``unset`` says whether the value of a key means that it is not set.
    """
    if section is RedactionConfig:
        return _patterns_by_name(raw)
    renamed = RENAMED.get(section)
    if renamed is None or (section is ProcessConfig and unset("schedule", raw.get("schedule"))):
        return raw
    if section is HealthCheckConfig:
        raw = _address_that_is_a_url(raw, path, report, unset)
    if not any(key in raw for key in renamed):
        return raw
    result = copied(raw)
    for old, new in renamed.items():
        if old not in result:
            continue
        given = result.pop(old)
        if unset(old, given):
            continue
        present = result.get(new)
        value = _in_new_form(old, given, None if unset(new, present) else present)
        if value is None:
            _superseded(report, path, old, new)
        else:
            result[new] = value
            written = (new, "exclude") if old == "filter_patterns" else (new,)
            report.renamed[(*path, *written)] = (*path, old)
    return result


def _in_new_form(old: str, value: Raw, present: Raw) -> Raw:
    """The value of the new key, or None when it is there already."""
    if old == "filter_patterns":
        filters = dict(present) if isinstance(present, dict) else {}
        return None if filters.get("exclude") else {**filters, "exclude": value}
    if present is not None:
        return None
    if old == "port" and value is not None and not isinstance(value, list | dict):
        return f"127.0.0.1:{scalar_text(value)}"
    return value


def _patterns_by_name(raw: dict[str, Raw]) -> dict[str, Raw]:
    """``patterns: [jwt]`` is short for ``patterns: [{name: jwt}]``."""
    patterns = raw.get("patterns")
    if not isinstance(patterns, list) or all(isinstance(one, dict) for one in patterns):
        return raw
    result = copied(raw)
    result["patterns"] = [
        one if isinstance(one, dict | list) or one is None else {"name": one} for one in patterns
    ]
    return result


def _address_that_is_a_url(
    raw: dict[str, Raw], path: Path, report: ProblemReport, unset: Callable[[str, Raw], bool]
) -> dict[str, Raw]:
    address = raw.get("address")
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        return raw
    result = copied(raw)
    del result["address"]
    if unset("url", result.get("url")):
        result["url"] = address
        report.renamed[(*path, "url")] = (*path, "address")
    else:
        _superseded(report, path, "address", "url")
    return result


def _superseded(report: ProblemReport, path: Path, old: str, new: str) -> None:
    report.warning((*path, old), f"{old} and {new} mean the same; {new} counts", f"remove {old}")
