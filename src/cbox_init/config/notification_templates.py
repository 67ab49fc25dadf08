"""The templates of notifications: the words for the built-in ones, and texts with placeholders.

A placeholder is a name in braces, ``{process}``. In a template that is JSON (it begins with ``{`` or ``[``)
values are escaped for a string of JSON, so that no output of a child can leave the string that it stands in.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The built-in templates.
BUILT_IN: Final = ("json", "slack", "discord", "ntfy", "pagerduty")
PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"

#: What may stand in braces, with a value to try a template with. Beside these: ``data.NAME``.
PLACEHOLDERS: Final[dict[str, str | int]] = {
    "notification": "ops",
    "host": "web-7f9c",
    "number": 1,
    "time": "2026-01-01T00:00:00Z",
    "unix": 1767225600,
    "kind": "instance.given_up",
    "severity": "error",
    "status": "problem",
    "process": "web",
    "instance": "web-0",
    "change": "",
    "reason": 'exit code 1, "as said"\nby the process',
    "title": "web-0 was given up",
    "text": "web-0 was given up: exit code 1",
    "count": 1,
    "key": "web-7f9c/web-0/run",
}
LONGEST_TEMPLATE: Final = 16 * 1024
#: The largest body of a message, in bytes.
LONGEST_BODY: Final = 256 * 1024

_DATA: Final = "data."
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]{0,60})\}")


def is_json(template: str) -> bool:
    """Whether a text with placeholders makes JSON."""
    return template.lstrip()[:1] in ("{", "[") and not _PLACEHOLDER.match(template.lstrip())


def placeholders_in(template: str) -> list[str]:
    """The names in braces, in their order."""
    return _PLACEHOLDER.findall(template)


def is_placeholder(name: str) -> bool:
    """Whether a name in braces stands for a value."""
    return name in PLACEHOLDERS or (name.startswith(_DATA) and len(name) > len(_DATA))


def filled(template: str, values: Mapping[str, str | int | float | bool | None]) -> str:
    """``template`` with its placeholders replaced, by nothing where an event has no such value."""
    escapes = is_json(template)

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        if found is None:
            return ""
        if not isinstance(found, str):
            return json.dumps(found)
        return json.dumps(found)[1:-1] if escapes else found

    return _PLACEHOLDER.sub(value, template)
