"""From lines to records, for pipes and followed files alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.record import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.logs.encode.base import BlockEncoder
    from cbox_init.logs.framing import Cut, Frame
    from cbox_init.logs.record import RecordSource
    from cbox_init.logs.stages.pipeline import Pipeline, Stages

    Emit = Callable[[Sequence[Block], BlockEncoder], None]


class LineHandler:
    """Sends the lines of one source through its stages, if it has any, and then to ``emit``."""

    __slots__ = ("_emit", "_pipeline", "encoder", "failed", "source", "watch")

    def __init__(
        self,
        source: RecordSource,
        encoder: BlockEncoder,
        emit: Emit,
        stages: Stages | None,
        failed: Callable[[Exception], object],
    ) -> None:
        self.source = source
        self.encoder = encoder
        self._emit = emit
        self.failed = failed
        self.watch: Callable[[Sequence[Frame]], object] | None = None
        """Gets the lines as well, as they were read."""
        self._pipeline: Pipeline | None = None
        self.use(stages)

    @property
    def cut(self) -> Cut | None:
        """Where a long line may be cut (see `Framer`)."""
        return self._pipeline.cut if self._pipeline is not None else None

    def use(self, stages: Stages | None) -> None:
        """Send lines through ``stages`` from now on. What the old stages hold is handed on first."""
        self.flush()
        self._pipeline = None
        if stages is not None:
            from cbox_init.logs.stages.pipeline import Pipeline

            self._pipeline = Pipeline(self.source, stages, self._emit_all)

    def hand_on(self, frames: Sequence[Frame]) -> None:
        """Hand on lines that were just read. Raises nothing."""
        if not frames:
            return
        try:
            now = time.time_ns()
            if self._pipeline is not None:
                self._emit_all(self._pipeline.feed(frames, now))
            else:
                source, info = self.source, LogLevel.INFO
                self._emit(
                    [Block(now, source, info, data, partial) for data, partial in frames], self.encoder
                )
        except Exception as error:  # noqa: BLE001  # at most these lines are lost, and reading goes on
            self.failed(error)
        if self.watch is not None:
            self._show(frames)

    def _show(self, frames: Sequence[Frame]) -> None:
        assert self.watch is not None
        try:
            self.watch(frames)
        except Exception as error:  # noqa: BLE001  # what is in these lines is missed
            self.failed(error)

    def flush(self) -> None:
        """Hand on a record that waits for more lines. Raises nothing."""
        if self._pipeline is not None:
            try:
                self._emit_all(self._pipeline.flush())
            except Exception as error:  # noqa: BLE001  # as above
                self.failed(error)

    def _emit_all(self, blocks: Sequence[Block]) -> None:
        if blocks:
            self._emit(blocks, self.encoder)
