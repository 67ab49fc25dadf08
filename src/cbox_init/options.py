"""The options of ``serve``: one table for the quick parser here and for click's help and errors.

The daemon must start fast, so ordinary command lines are parsed here without click. Those that this parser
does not know exactly (help, mistakes, other spellings) are left to click, which uses the same table.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.config.main_process import MainProcess


class ServeOptions(NamedTuple):
    """The options of ``serve`` from the command line; one that was not given is None or False.

    ``main`` is the command of ``run``, which is ``serve`` with one process more.
    """

    config: str | None = None
    dry_run: bool = False
    watch: bool = False
    php_fpm_profile: str | None = None
    autotune_memory_threshold: float | None = None
    skip_permission_setup: bool = False
    skip_runtime_validation: bool = False
    main: MainProcess | None = None


class ServeOption(NamedTuple):
    """One option: the field of ServeOptions that it sets, its spellings, what it takes, its help."""

    field: str
    flags: tuple[str, ...]
    kind: Literal["flag", "text", "number"]
    help: str
    metavar: str | None = None


SERVE_OPTIONS = (
    ServeOption(
        "config",
        ("--config", "-c"),
        "text",
        "Configuration file; without it CBOX_INIT_CONFIG and the usual places are tried.",
        "FILE",
    ),
    ServeOption(
        "dry_run", ("--dry-run",), "flag", "Check the configuration, show what would start, start nothing."
    ),
    ServeOption(
        "watch",
        ("--watch", "--dev"),
        "flag",
        "Reload when the configuration file changes.",
    ),
    ServeOption(
        "php_fpm_profile",
        ("--php-fpm-profile",),
        "text",
        "Size PHP-FPM for this container: dev, light, medium, heavy, bursty or auto.",
        "PROFILE",
    ),
    ServeOption(
        "autotune_memory_threshold",
        ("--autotune-memory-threshold",),
        "number",
        "Share of the memory limit that PHP-FPM may use, such as 0.75.",
        "SHARE",
    ),
    ServeOption(
        "skip_permission_setup",
        ("--skip-permission-setup",),
        "flag",
        "Leave the owner and mode of the application's directories alone.",
    ),
    ServeOption(
        "skip_runtime_validation",
        ("--skip-runtime-validation",),
        "flag",
        "Do not run php-fpm -t and nginx -t before the start.",
    ),
)

_BY_FLAG = {flag: option for option in SERVE_OPTIONS for flag in option.flags}


def parse_serve(arguments: Sequence[str]) -> ServeOptions | None:
    """The options, when ``arguments`` are those of ``serve`` in a form known exactly; else None.

    ``serve`` itself may be left out, or stand behind options. The last of a repeated option counts.
    """
    values: dict[str, str | float | bool] = {}
    named = False
    words = iter(arguments)
    for word in words:
        if word == "serve" and not named:
            named = True
            continue
        flag, equals, value = word.partition("=")
        option = _BY_FLAG.get(flag)
        if option is None or (equals and (option.kind == "flag" or not flag.startswith("--"))):
            return None
        if option.kind == "flag":
            values[option.field] = True
            continue
        if not equals:
            value = next(words, "-")
            if value.startswith("-"):
                return None
        if option.kind == "text":
            values[option.field] = value
            continue
        try:
            values[option.field] = float(value)
        except ValueError:
            return None
    return ServeOptions(**values)  # type: ignore[arg-type]


def serve_arguments(arguments: Sequence[str]) -> list[str] | None:
    """The arguments without the word ``serve``, when an option of ``serve`` stands first; else None.

    Such a line means ``serve`` though it begins with an option, even one that ``parse_serve`` gave up on.
    """
    if not arguments or not _is_serve_option(arguments[0]):
        return None
    kept: list[str] = []
    named = False
    words = iter(arguments)
    for word in words:
        if word == "serve" and not named:
            named = True
            continue
        kept.append(word)
        option = _BY_FLAG.get(word)
        if option is not None and option.kind != "flag":
            kept += islice(words, 1)
    return kept


def _is_serve_option(word: str) -> bool:
    return word.partition("=")[0] in _BY_FLAG or (not word.startswith("--") and word[:2] in _BY_FLAG)
