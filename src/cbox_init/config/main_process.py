"""The process of ``cbox-init run -- CMD``, put into what the file holds before that is converted.

It is there at each reading of the file, so that a reload keeps it, and it is never written into the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.raw import copied

if TYPE_CHECKING:
    from cbox_init.config.raw import Raw

DEFAULT_NAME: Final = "main"


class MainProcess(NamedTuple):
    """The command that ``run`` was given, and the name of its process.

    ``on_terminal``: the daemon was started on a terminal, which the command shares.
    """

    name: str
    command: tuple[str, ...]
    on_terminal: bool = False


def with_main(root: dict[str, Raw], main: MainProcess) -> dict[str, Raw]:
    """``root`` with the main process: its command is that of ``run``, other keys are those of the file.

    The words of the command stay as they are: references to variables in them are no references. On a
    terminal the daemon writes less by default, as text.
    """
    processes = root.get("processes")
    if processes is not None and not isinstance(processes, dict):
        return root  # which the conversion reports
    result = copied(root)
    result["processes"] = named = copied(processes or {})
    given = named.get(main.name)
    named[main.name] = entry = copied(given) if isinstance(given, dict) else {}
    entry["command"] = [word.replace("${", "$${") for word in main.command]
    entry["enabled"] = "true"
    _fill(entry, on_exit="shutdown", stdin="inherit")
    settings = root.get("global")
    if main.on_terminal and (settings is None or isinstance(settings, dict)):
        result["global"] = changed = copied(settings or {})
        _fill(changed, log_level="warn", log_format="text")
    return result


def _fill(section: dict[str, Raw], **defaults: str) -> None:
    """Set keys that are absent."""
    for key, value in defaults.items():
        if section.get(key) in (None, ""):
            section[key] = value
