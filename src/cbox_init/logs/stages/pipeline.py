"""The way of one stream's lines through the stages."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.logs.levels import Level
from cbox_init.logs.record import Block
from cbox_init.logs.stages.multiline import Joiner
from cbox_init.logs.stages.part import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.logs.framing import Cut, Piece
    from cbox_init.logs.record import Source
    from cbox_init.logs.stages.filters import Filters
    from cbox_init.logs.stages.json_lines import JsonLines
    from cbox_init.logs.stages.level import LevelDetection
    from cbox_init.logs.stages.rate import RateLimit
    from cbox_init.logs.stages.redaction import Redaction

    Stage = Callable[[Part], list[Part]]


class Multiline(NamedTuple):
    """What the joiner of each stream is made of. A record waits ``timeout_s`` for another line."""

    first_lines: Callable[[str], list[int]]
    max_lines: int
    timeout_s: float


class Stages(NamedTuple):
    """The stages of one process, for all its streams; None for each that it does not use."""

    multiline: Multiline | None
    redaction: Redaction | None
    json: JsonLines | None
    level: LevelDetection | None
    filters: Filters | None
    rate: RateLimit | None
    later: Callable[[float, Callable[[], None]], None]


class _LongLine(NamedTuple):
    """A line that comes in parts: what its first part has decided for all of them."""

    level: Level
    dropped: bool


class Pipeline:
    """Takes the pieces of one stream and gives the blocks that come of them.

    ``emit`` is for blocks that come by themselves, when a record has waited long enough.
    """

    def __init__(self, source: Source, stages: Stages, emit: Callable[[Sequence[Block]], None]) -> None:
        self._source = source
        self._emit = emit
        self._redaction = stages.redaction
        self._filters = stages.filters
        self._level = stages.level
        self._rate = stages.rate
        self._stages: tuple[Stage, ...] = tuple(
            stage for stage in (stages.json, stages.level, stages.filters, stages.rate) if stage is not None
        )
        self._later = stages.later
        self._joiner: Joiner | None = None
        self._timeout_s = 0.0
        if stages.multiline is not None:
            self._joiner = Joiner(stages.multiline.first_lines, stages.multiline.max_lines)
            self._timeout_s = stages.multiline.timeout_s
        self._fed_at = 0.0
        self._timed = False
        self._long: _LongLine | None = None

    @property
    def cut(self) -> Cut | None:
        """Where the framer may cut a long line, None for anywhere."""
        if self._redaction is None:
            return None
        return self._redaction.cut, self._redaction.overlap

    def feed(self, pieces: Sequence[Piece], now_ns: int) -> list[Block]:
        """The blocks that ``pieces`` complete."""
        parts: list[Part] = []
        blocks: list[Block] = []
        for data, partial in pieces:
            text: str | None = data.decode("utf-8", "surrogateescape")
            if partial or self._long:
                blocks += self._blocks(self._through(parts + self._close()))
                parts = []
                text = self._part_of_long_line(text or "", partial, now_ns, blocks)
            if text is not None:
                parts += self._joiner.feed(text, now_ns) if self._joiner else [Part(text, now_ns)]
        if self._joiner is not None and self._joiner.open:
            self._fed_at = monotonic()
            self._watch()
        blocks += self._blocks(self._through(parts))
        return blocks

    def flush(self) -> list[Block]:
        """The blocks of what waits for more lines."""
        self._long = None
        return self._blocks(self._through(self._close()))

    def _close(self) -> list[Part]:
        return self._joiner.flush() if self._joiner else []

    def _watch(self) -> None:
        if not self._timed:
            self._timed = True
            self._later(self._timeout_s, self._quiet)

    def _quiet(self) -> None:
        self._timed = False
        if self._joiner is None or not self._joiner.open:
            return
        left_s = self._fed_at + self._timeout_s - monotonic()
        if left_s > 0.001:
            self._timed = True
            self._later(left_s, self._quiet)
            return
        blocks = self._blocks(self._through(self._close()))
        if blocks:
            self._emit(blocks)

    def _through(self, parts: list[Part]) -> list[Part]:
        if self._redaction is not None:
            parts = [self._redaction(part) for part in parts]
        for stage in self._stages:
            parts = [one for part in parts for one in stage(part)]
        return parts

    def _part_of_long_line(self, text: str, partial: bool, now_ns: int, blocks: list[Block]) -> str | None:
        """Hand on a part of a line that is longer than a record; what follows that line comes back.

        Such a line is no JSON and part of no other record. What its first part is holds for all of it.
        """
        following = None
        if not partial:
            text, newline, rest = text.partition("\n")
            following = rest if newline else None
        part = Part(text, now_ns)
        if self._redaction is not None:
            part = self._redaction(part)
        if self._long is None:
            self._long = self._decided(part)
        if not self._long.dropped:
            blocks.append(self._block(part, self._long.level, partial=partial))
        if not partial:
            self._long = None
        return following

    def _decided(self, part: Part) -> _LongLine:
        level = self._level(part)[0].level if self._level is not None else None
        dropped = (self._filters is not None and not self._filters.keeps(part)) or (
            self._rate is not None and not self._rate.take(1)
        )
        return _LongLine(level or Level.INFO, dropped)

    def _blocks(self, parts: list[Part]) -> list[Block]:
        """The parts as blocks: neighbours that differ in nothing are one."""
        blocks: list[Block] = []
        texts: list[str] = []
        like: Part | None = None
        for part in parts:
            whole = bool(part.fields) or (part.single and "\n" in part.text)
            if like is not None and (whole or part.level is not like.level or part.time_ns != like.time_ns):
                blocks.append(self._block(like.with_text("\n".join(texts))))
                texts, like = [], None
            if whole:
                blocks.append(self._block(part, single=True))
            else:
                texts.append(part.text)
                like = part
        if like is not None:
            blocks.append(self._block(like.with_text("\n".join(texts))))
        return blocks

    def _block(
        self, part: Part, level: Level | None = None, *, partial: bool = False, single: bool = False
    ) -> Block:
        return Block(
            part.time_ns,
            self._source,
            level or part.level or Level.INFO,
            part.text.encode("utf-8", "surrogateescape"),
            partial,
            single,
            part.fields,
        )
