"""Checks of the log pipeline: patterns that cannot be used, and settings without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.model.enums import LogLevel
from cbox_init.errors import PatternError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cbox_init.config.model import (
        FilterConfig,
        GlobalConfig,
        JsonConfig,
        LevelDetectionConfig,
        LogFileConfig,
        LoggingConfig,
        MultilineConfig,
        ProcessConfig,
        RedactionConfig,
        RedactionPattern,
    )
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_HINT: Final = "write it in Go's RE2 syntax (https://github.com/google/re2/wiki/Syntax)"
_HINT_SLOW: Final = (
    "let every turn of the repeat begin with something that its inside cannot hold, as in (?:,[^,]*)*"
)
_HINT_COMPLEX: Final = "shorten it, or divide it into several patterns"
#: The work of checking all patterns of one configuration: some 5 s. A pattern is seldom more than 1,000.
MOST_PATTERN_STEPS: Final = 6_000_000
_HIGH: Final = (LogLevel.WARN, LogLevel.ERROR)


def check_global_logging(
    global_: GlobalConfig, processes: Mapping[str, ProcessConfig], report: ProblemReport
) -> None:
    """Reports what is wrong with the defaults of all processes."""
    path = ("global",)
    check_pattern(global_.log_multiline_pattern, (*path, "log_multiline_pattern"), report)
    if global_.log_multiline_enabled and not global_.log_multiline_pattern:
        report.warning(
            (*path, "log_multiline_enabled"),
            "has no effect on a process without a pattern of its own",
            r"set log_multiline_pattern to what a first line begins with, such as '^\d{4}-'",
        )
    for key, patterns in (
        ("log_redaction_patterns", global_.log_redaction_patterns),
        ("log_filter_patterns", global_.log_filter_patterns),
    ):
        for index, pattern in enumerate(patterns):
            check_pattern(pattern, (*path, key, index), report)
    if global_.log_level in _HIGH:
        silent = [name for name, process in processes.items() if not _finds_levels(process.logging)]
        if silent:
            report.suggestion(
                (*path, "log_level"),
                f"hides every line of {', '.join(silent)}: lines have the level info without level detection",
                "set log_level_detection: true, or leave log_level at info",
            )


def check_logging(logging: LoggingConfig, global_: GlobalConfig, path: Path, report: ProblemReport) -> None:
    """Reports what is wrong with the section of one process, which holds the defaults of all as well."""
    if logging.redaction is not None:
        _check_redaction(logging.redaction, global_, (*path, "redaction"), report)
    _check_stages(logging, global_, path, report)
    for name, file in logging.files.items():
        _check_stages(file, global_, (*path, "files", name), report)
    if logging.min_level in _HIGH and global_.log_level not in _HIGH and not _finds_levels(logging):
        report.suggestion(
            (*path, "min_level"),
            "hides every line: lines have the level info without level detection",
            "set level_detection: {enabled: true}, or leave min_level at info",
        )


def _check_stages(
    section: LoggingConfig | LogFileConfig, global_: GlobalConfig, path: Path, report: ProblemReport
) -> None:
    """The stages that the output of a process and its files have alike."""
    if section.multiline is not None:
        _check_multiline(section.multiline, global_, (*path, "multiline"), report)
    if section.json is not None:
        _check_json(section.json, (*path, "json"), report)
    if section.level_detection is not None:
        _check_levels(section.level_detection, (*path, "level_detection"), report)
    if section.filters is not None:
        check_filters(section.filters, global_, (*path, "filters"), report)


def _finds_levels(logging: LoggingConfig) -> bool:
    detection, json = logging.level_detection, logging.json
    return (detection is not None and bool(detection.enabled)) or (
        json is not None and bool(json.enabled) and json.extract_level
    )


def _check_redaction(
    section: RedactionConfig, global_: GlobalConfig, path: Path, report: ProblemReport
) -> None:
    from cbox_init.config.log_defaults import global_patterns

    for_all = global_patterns(global_) if section.enabled and global_.log_redaction_enabled else ()
    own = [(index, one) for index, one in enumerate(section.patterns) if one not in for_all]
    for index, pattern in own:
        _check_redaction_pattern(pattern, (*path, "patterns", index), report)
    if section.enabled and not section.patterns:
        report.warning(
            (*path, "enabled"),
            "has no effect without patterns",
            "name some, such as patterns: [bearer_token]",
        )
    if own and not section.enabled:
        report.warning(
            (*path, "patterns"), "have no effect, since redaction is not enabled", "set enabled: true"
        )


def _check_redaction_pattern(given: RedactionPattern, path: Path, report: ProblemReport) -> None:
    if not given.pattern:
        from cbox_init.patterns.builtin import BUILTIN_PATTERNS, builtin_patterns

        if builtin_patterns(given.name) is None:
            where, fault = (
                ((*path, "name"), f"{given.name!r} is not a built-in pattern, and pattern is not set")
                if given.name
                else (path, "has neither a pattern nor the name of a built-in one")
            )
            otherwise = f"use one of {', '.join(BUILTIN_PATTERNS)}, or give a pattern"
            report.error(where, fault, report.did_you_mean(given.name, BUILTIN_PATTERNS, otherwise))
        return
    from cbox_init.patterns.compile import compiled

    if not check_pattern(given.pattern, (*path, "pattern"), report):
        return
    _, unknown = compiled(given.pattern).template(given.replacement)
    if unknown:
        report.warning(
            (*path, "replacement"),
            f"${unknown[0]} is always empty: the pattern has no such group",
            "write ${1} for a group that a letter, a digit or _ follows, and $$ for a dollar",
        )


def _check_multiline(
    section: MultilineConfig, global_: GlobalConfig, path: Path, report: ProblemReport
) -> None:
    if section.pattern != global_.log_multiline_pattern:
        check_pattern(section.pattern, (*path, "pattern"), report)
    elif section.enabled and not section.pattern and not global_.log_multiline_enabled:
        report.warning(
            (*path, "enabled"),
            "has no effect without a pattern",
            r"set pattern to what a first line begins with, such as '^\d{4}-'",
        )


def _check_json(section: JsonConfig, path: Path, report: ProblemReport) -> None:
    if section.enabled and not (section.extract_level or section.extract_message or section.merge_fields):
        report.suggestion(
            (*path, "enabled"),
            "has no effect by itself",
            "set extract_level, extract_message or merge_fields",
        )


def _check_levels(section: LevelDetectionConfig, path: Path, report: ProblemReport) -> None:
    from cbox_init.config.levels import level_of_word

    for name, pattern in section.patterns.items():
        if level_of_word(name) is None:
            levels = [level.value for level in LogLevel]
            hint = report.did_you_mean(name, levels, f"use {', '.join(levels)}")
            report.error((*path, "patterns", name), f"{name!r} is not a level", hint)
        check_pattern(pattern, (*path, "patterns", name), report)


def check_filters(section: FilterConfig, global_: GlobalConfig, path: Path, report: ProblemReport) -> None:
    """Reports patterns that cannot be used, but those that ``global`` has brought here."""
    for_all: Collection[str] = global_.log_filter_patterns if global_.log_filter_enabled else ()
    for key, patterns in (("exclude", section.exclude), ("include", section.include)):
        for index, pattern in enumerate(patterns):
            if key == "include" or pattern not in for_all:
                check_pattern(pattern, (*path, key, index), report)


def check_pattern(pattern: str, path: Path, report: ProblemReport) -> bool:
    """Whether it can be used."""
    if not pattern:
        return True
    from cbox_init.patterns.compile import compiled
    from cbox_init.patterns.tree import MOST_STEPS

    if report.pattern_steps > MOST_PATTERN_STEPS:
        return False
    try:
        report.pattern_steps += compiled(pattern).steps
    except PatternError as error:
        report.pattern_steps += MOST_STEPS
        if report.pattern_steps > MOST_PATTERN_STEPS:
            hint = "the patterns behind it are not checked: all together are too complex"
            report.error(path, f"the pattern {error}", hint)
            return False
        why = str(error)
        hint = _HINT_SLOW if "exponential" in why else _HINT_COMPLEX if "complex" in why else _HINT
        report.error(path, f"the pattern {error}", hint)
        return False
    if report.pattern_steps > MOST_PATTERN_STEPS:
        report.error(path, "all patterns up to here are too complex together", "use fewer or shorter ones")
        return False
    return True
