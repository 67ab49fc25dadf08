"""``run``: the command of a container as the main process. Its ordinary form is parsed without click."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cbox_init.config.main_process import DEFAULT_NAME, MainProcess
from cbox_init.options import ServeOptions, parse_serve

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_run(arguments: Sequence[str]) -> ServeOptions | None:
    """The options of ``run [OPTIONS] -- CMD`` in a form known exactly; None for what click has to parse."""
    words = list(arguments)
    if "--" not in words:
        return None
    end = words.index("--")
    before, command = words[:end], tuple(words[end + 1 :])
    if before.count("run") != 1 or "serve" in before or not command:
        return None
    before.remove("run")
    name = DEFAULT_NAME
    if "--name" in before[:-1]:
        place = before.index("--name")
        name = before[place + 1]
        del before[place : place + 2]
    options = parse_serve(before)
    if options is None or name.startswith("-"):
        return None
    return options._replace(main=main_process(command, name))


def main_process(command: tuple[str, ...], name: str) -> MainProcess:
    """The main process of a daemon that is started here."""
    return MainProcess(name, command, on_terminal=os.isatty(0) and os.isatty(1))
