"""Makes the stages of a process from its configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.stages.pipeline import Multiline, Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.config.model import LoggingConfig, RedactionConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.stages.deadlines import Deadlines
    from cbox_init.logs.stages.filters import Filters
    from cbox_init.logs.stages.finder import Finder
    from cbox_init.logs.stages.guard import BlockBudget, SearchGuard, SearchTimer
    from cbox_init.logs.stages.json_lines import JsonLines
    from cbox_init.logs.stages.level import LevelDetection
    from cbox_init.logs.stages.rate import RecordRateLimit
    from cbox_init.logs.stages.redaction import Redaction


class StageContext(Struct, frozen=True):
    """What the stages of all processes share."""

    alarm: SearchTimer
    deadlines: Deadlines
    log: DaemonLog
    dropped: Callable[[str, str, int], object] = lambda process, output, count: None
    """Called when lines of a process were dropped: with its name, no output, and their number."""


def build(process: str, config: LoggingConfig, shared: StageContext) -> Stages:
    """The stages that ``config`` asks for. Its patterns are valid."""
    from cbox_init.logs.stages.guard import BlockBudget

    budget = BlockBudget()
    guards = partial(_guard, process, shared, budget)
    redaction = _redaction(config.redaction, guards)
    return Stages(
        multiline=_multiline(config, guards),
        redaction=redaction,
        json=_json(config, redaction),
        level=_level(config, guards),
        filters=_filters(config, guards),
        rate=_rate(process, config, shared),
        later=shared.deadlines.later,
        failed=_failed(process, shared),
        begin=budget.begin,
    )


def ready_finder(process: str, pattern: str, shared: StageContext) -> tuple[Finder, BlockBudget]:
    """What finds the lines that make an instance ready (``ready_when``), and what limits its time."""
    from cbox_init.logs.stages.guard import BlockBudget

    budget = BlockBudget()
    guard = _guard(process, shared, budget, "ready_when", "do not make an instance ready")
    (finder,) = _finders((pattern,), guard)
    return finder, budget


def _failed(process: str, shared: StageContext) -> Callable[[str, Exception], None]:
    """Logs that records were too much for a stage, for each stage at intervals."""
    reports: dict[str, RepeatedError] = {}

    def failed(stage: str, error: Exception) -> None:
        if stage not in reports:
            reports[stage] = RepeatedError(
                shared.log,
                "Records cannot be processed by a stage, and stay as they are",
                stage=stage,
                process=process,
            )
        reports[stage].report(error)

    return failed


def _guard(
    process: str, shared: StageContext, budget: BlockBudget, stage: str, consequence: str
) -> SearchGuard:
    """The guard of one stage. It logs how many records were too slow, at most once a second."""
    from cbox_init.logs.stages.guard import SearchGuard

    slow = 0

    def tell() -> None:
        nonlocal slow
        count, slow = slow, 0
        shared.log.warn(
            f"Patterns of {stage} took too long, so these lines {consequence}", process=process, lines=count
        )

    def note() -> None:
        nonlocal slow
        slow += 1
        if slow == 1:
            shared.deadlines.later(1.0, tell)

    return SearchGuard(shared.alarm, note, budget)


def _multiline(config: LoggingConfig, guards: Callable[[str, str], SearchGuard]) -> Multiline | None:
    multiline = config.multiline
    if multiline is None or not multiline.enabled or not multiline.pattern:
        return None
    (finder,) = _finders((multiline.pattern,), guards("multiline", "began no record"))
    return Multiline(finder.lines, multiline.max_lines or 100, multiline.timeout or 1.0)


def _redaction(config: RedactionConfig | None, guards: Callable[[str, str], SearchGuard]) -> Redaction | None:
    if config is None or not config.enabled:
        return None
    from cbox_init.logs.stages.batch import MASK
    from cbox_init.logs.stages.redaction import Redaction, RedactionRule
    from cbox_init.patterns.builtin import builtin_patterns
    from cbox_init.patterns.compile import compiled

    rules: list[RedactionRule] = []
    for given in config.patterns:
        mask = given.replacement or MASK
        if given.pattern:
            pattern = compiled(given.pattern)
            rules.append(RedactionRule(pattern, pattern.template(mask)[0]))
            continue
        for one in builtin_patterns(given.name) or ():
            pattern = compiled(one.pattern)
            rules.append(RedactionRule(pattern, pattern.template(one.with_mask(mask))[0], one.holds))
    return Redaction(rules, guards("redaction", "were masked as a whole")) if rules else None


def _json(config: LoggingConfig, redaction: Redaction | None) -> JsonLines | None:
    json = config.json
    if json is None or not json.enabled:
        return None
    if not (json.extract_level or json.extract_message or json.merge_fields):
        return None
    from cbox_init.logs.stages.json_lines import JsonLines

    return JsonLines(json, redaction.record if redaction is not None else None)


def _level(config: LoggingConfig, guards: Callable[[str, str], SearchGuard]) -> LevelDetection | None:
    detection = config.level_detection
    if detection is None or not detection.enabled:
        return None
    from cbox_init.config.levels import level_of_word
    from cbox_init.logs.stages.level import BuiltinLevels, LevelDetection, PatternLevels

    default = detection.default_level
    if not detection.patterns:
        return LevelDetection(BuiltinLevels(), default)
    guard = guards("level_detection", "have the default level")
    finders = [
        (level, finder)
        for name, pattern in detection.patterns.items()
        if (level := level_of_word(name)) is not None
        for finder in _finders((pattern,), guard)
    ]
    return LevelDetection(PatternLevels(finders), default)


def _filters(config: LoggingConfig, guards: Callable[[str, str], SearchGuard]) -> Filters | None:
    filters = config.filters
    if filters is None or not (filters.exclude or filters.include):
        return None
    from cbox_init.logs.stages.filters import Filters

    guard = guards("filters", "were kept")
    return Filters(_finders(filters.exclude, guard), _finders(filters.include, guard, if_slow=True))


def _rate(process: str, config: LoggingConfig, shared: StageContext) -> RecordRateLimit | None:
    limit = config.rate_limit
    if limit is None or not limit.lines:
        return None
    from cbox_init.logs.stages.rate import RecordRateLimit

    def report(dropped: int) -> None:
        shared.log.warn(
            "Lines were dropped: more than logging.rate_limit allows", process=process, lines=dropped
        )
        shared.dropped(process, "", dropped)

    return RecordRateLimit(
        limit.lines, limit.burst or limit.lines, report=report, later=shared.deadlines.later
    )


def _finders(patterns: Iterable[str], guard: SearchGuard, *, if_slow: bool = False) -> Sequence[Finder]:
    from cbox_init.logs.stages.finder import Finder
    from cbox_init.patterns.compile import compiled

    return [Finder(compiled(pattern), guard, if_slow=if_slow) for pattern in patterns]
