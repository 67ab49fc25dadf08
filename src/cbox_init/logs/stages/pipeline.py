"""Takes the lines of one stream through its stages."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.record import Block
from cbox_init.logs.stages.batch import MASK, LineBatch
from cbox_init.logs.stages.multiline import Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.logs.framing import Cut, Frame
    from cbox_init.logs.record import RecordSource
    from cbox_init.logs.stages.filters import Filters
    from cbox_init.logs.stages.json_lines import JsonLines
    from cbox_init.logs.stages.level import LevelDetection
    from cbox_init.logs.stages.rate import RecordRateLimit
    from cbox_init.logs.stages.redaction import Redaction


class Stage(Protocol):
    """One stage of a process. ``key`` is its section in the configuration."""

    @property
    def key(self) -> str: ...

    def __call__(self, batch: LineBatch) -> list[LineBatch]: ...


class Multiline(NamedTuple):
    """Settings of the joiner of each stream. A record waits ``timeout_s`` for another line."""

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
    rate: RecordRateLimit | None
    later: Callable[[float, Callable[[], None]], None]
    failed: Callable[[str, Exception], object]
    """Called with the key of a stage and the error when it could not process a record."""
    begin: Callable[[], None]
    """Called when a block begins: what all searches in it may take together is limited."""


class _LongLine(NamedTuple):
    """A line that comes in parts: what was decided by its first part, for all of them."""

    level: LogLevel
    dropped: bool


class Pipeline:
    """Takes the frames of one stream and gives the blocks that result.

    ``emit`` takes blocks that are completed by time, when a record has waited long enough.
    """

    def __init__(self, source: RecordSource, stages: Stages, emit: Callable[[Sequence[Block]], None]) -> None:
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
        self._failed = stages.failed
        self._begin = stages.begin
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

    def feed(self, frames: Sequence[Frame], now_ns: int) -> list[Block]:
        """The blocks that ``frames`` complete."""
        self._begin()
        batches: list[LineBatch] = []
        blocks: list[Block] = []
        for data, partial in frames:
            text: str | None = data.decode("utf-8", "surrogateescape")
            if partial or self._long:
                blocks += self._blocks(self._through(batches + self._close()))
                batches = []
                text = self._batch_of_long_line(text or "", partial, now_ns, blocks)
            if text is not None:
                batches += self._joined(text, now_ns)
        if self._joiner is not None and self._joiner.open:
            self._fed_at = monotonic()
            self._watch()
        blocks += self._blocks(self._through(batches))
        return blocks

    def _joined(self, text: str, now_ns: int) -> list[LineBatch]:
        """The records that the lines of ``text`` complete; each line, where they cannot be joined."""
        if self._joiner is None:
            return [LineBatch(text, now_ns)]
        try:
            return self._joiner.feed(text, now_ns)
        except Exception as error:  # noqa: BLE001  # contained at these lines
            self._failed("multiline", error)
            return [*self._joiner.flush(), LineBatch(text, now_ns)]

    def flush(self) -> list[Block]:
        """The blocks of what waits for more lines."""
        self._long = None
        self._begin()
        return self._blocks(self._through(self._close()))

    def _close(self) -> list[LineBatch]:
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
        self._begin()
        blocks = self._blocks(self._through(self._close()))
        if blocks:
            self._emit(blocks)

    def _through(self, batches: list[LineBatch]) -> list[LineBatch]:
        if self._redaction is not None:
            batches = [one for batch in batches for one in self._redacted(batch)]
        for stage in self._stages:
            try:
                batches = [one for batch in batches for one in stage(batch)]
            except Exception:  # noqa: BLE001  # found out below, at the cost of these lines only
                batches = [
                    one for batch in batches for record in batch.split() for one in self._tried(stage, record)
                ]
        return batches

    def _redacted(self, batch: LineBatch) -> list[LineBatch]:
        """The records without their secrets. One that cannot be searched is masked completely."""
        assert self._redaction is not None
        try:
            return [self._redaction(batch)]
        except Exception:  # noqa: BLE001  # as above
            found: list[LineBatch] = []
            for record in batch.split():
                try:
                    found.append(self._redaction(record))
                except Exception as error:  # noqa: BLE001  # contained at the record
                    self._failed("redaction", error)
                    found.append(record.with_text(MASK))
            return found

    def _tried(self, stage: Stage, record: LineBatch) -> list[LineBatch]:
        """What a stage makes of one record; the record as it is when the stage cannot process it."""
        try:
            return stage(record)
        except Exception as error:  # noqa: BLE001  # contained at the record
            self._failed(stage.key, error)
            return [record]

    def _batch_of_long_line(self, text: str, partial: bool, now_ns: int, blocks: list[Block]) -> str | None:
        """Hand on a part of a line that is longer than a record; gives what follows after that line.

        Such a line is no JSON and part of no other record. Level and filters of its first part count for
        all of it.
        """
        following = None
        if not partial:
            text, newline, rest = text.partition("\n")
            following = rest if newline else None
        batch = LineBatch(text, now_ns)
        if self._redaction is not None:
            (batch,) = self._redacted(batch)
        if self._long is None:
            self._long = self._decided(batch)
        if not self._long.dropped:
            blocks.append(self._block(batch, self._long.level, partial=partial))
        if not partial:
            self._long = None
        return following

    def _decided(self, batch: LineBatch) -> _LongLine:
        level = self._tried(self._level, batch)[0].level if self._level is not None else None
        kept = self._filters is None or bool(self._tried(self._filters, batch))
        if kept and self._rate is not None:
            kept = bool(self._rate.take(1))
        return _LongLine(level or LogLevel.INFO, not kept)

    def _blocks(self, batches: list[LineBatch]) -> list[Block]:
        """The batches as blocks; equal neighbours become one."""
        blocks: list[Block] = []
        texts: list[str] = []
        like: LineBatch | None = None
        for batch in batches:
            whole = bool(batch.fields) or (batch.single and "\n" in batch.text)
            if like is not None and (whole or batch.level is not like.level or batch.time_ns != like.time_ns):
                blocks.append(self._block(like.with_text("\n".join(texts))))
                texts, like = [], None
            if whole:
                blocks.append(self._block(batch, single=True))
            else:
                texts.append(batch.text)
                like = batch
        if like is not None:
            blocks.append(self._block(like.with_text("\n".join(texts))))
        return blocks

    def _block(
        self, batch: LineBatch, level: LogLevel | None = None, *, partial: bool = False, single: bool = False
    ) -> Block:
        return Block(
            batch.time_ns,
            self._source,
            level or batch.level or LogLevel.INFO,
            batch.text.encode("utf-8", "surrogateescape"),
            partial,
            single,
            batch.fields,
        )
