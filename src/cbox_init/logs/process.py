"""The output of one process: the captures of its instances and its ring."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.capture import Capture, PipeStream
from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.lines import LineHandler
from cbox_init.logs.pace import FLOOD_READ_BYTES
from cbox_init.logs.record import RecordSource, joined
from cbox_init.logs.ring import LogRing
from cbox_init.logs.routes import encode_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import LoggingConfig
    from cbox_init.logs.all_outputs import AllOutputs
    from cbox_init.logs.descriptor_writer import DescriptorWriter
    from cbox_init.logs.encode.base import BlockEncoder, Format
    from cbox_init.logs.reader import PipeReader
    from cbox_init.logs.record import Block
    from cbox_init.logs.ring import NumberedBlock
    from cbox_init.logs.routes import Destination, Routes
    from cbox_init.logs.stages.finder import Finder
    from cbox_init.logs.stages.guard import BlockBudget
    from cbox_init.logs.stages.pipeline import Stages

_FEW_CAPTURES = 16
"""Closed captures are removed from the list when their number may have doubled, not one by one: a process
can have thousands of instances."""

_FEW_BLOCKS = 4


class ProcessLog:
    """Takes the lines of all instances of one process.

    Every line goes to the ring and to subscriptions, whatever its level; to standard output when it has
    the level that the process (``min_level``) and the daemon ask for; and to other outputs as configured.
    """

    def __init__(
        self,
        name: str,
        *,
        form: Format,
        level: LogLevel,
        stdout: DescriptorWriter,
        reader: PipeReader,
        publish: Callable[[Block], NumberedBlock],
        all_outputs: AllOutputs,
        logging: LoggingConfig,
        stages: Stages | None,
        ring_size: int,
        finder: Callable[[str], tuple[Finder, BlockBudget]],
    ) -> None:
        self._finder = finder
        self.ring = LogRing(ring_size)
        self._name = name
        self._form = form
        self._level = level
        self._stdout = stdout
        self._drops = all_outputs.drops
        self._reader = reader
        self._publish = publish
        self._all_outputs = all_outputs
        self._labels = logging.labels
        self._routes = self.routes_for(logging)
        self._stages = stages
        self._held_back_before = 0
        self._captures: list[Capture] = []
        self._failed = RepeatedError(all_outputs.daemon, "Records could not be logged", process=name)
        self._forget_closed_at = _FEW_CAPTURES

    @property
    def backed_up(self) -> bool:
        """Whether so much is queued that no new instance should start (see `Writer`)."""
        if self._waits_for_stdout and self._stdout.backed_up:
            return True
        return any(route.backed_up for route in self._routes.others)

    @property
    def usual(self) -> bool:
        """Whether it depends on standard output alone, as processes do by default."""
        return self._waits_for_stdout and not self._routes.others

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """The outputs that its records go to, besides standard output."""
        return tuple(route.destination for route in self._routes.others)

    @property
    def rate_limited(self) -> int | None:
        """How many records ``logging.rate_limit`` has dropped; None when it has and had no such limit."""
        rate = self._stages.rate if self._stages is not None else None
        if rate is None:
            return self._held_back_before or None
        return self._held_back_before + rate.held_back

    def held(self) -> bool:
        """Whether reading its instances should stop because an output is full."""
        if self._waits_for_stdout and self._stdout.full:
            return True
        return any(route.full for route in self._routes.others)

    def update(self, logging: LoggingConfig, stages: Stages | None, ring_size: int) -> None:
        """Use these settings from the next line on, in open captures as well."""
        self.ring.resize(ring_size)
        self._labels = logging.labels
        self._routes = self.routes_for(logging)
        self._tell_dropped()
        self._held_back_before = self.rate_limited or 0
        self._stages = stages
        for capture in self._captures:
            for stream in capture.streams:
                stream.use(stages)
                stream.read_at_once(may_grow=self._has_room)
                stream.lines.encoder = self.encoder(stream.lines.source)

    def routes_for(self, logging: LoggingConfig) -> Routes:
        """Where records go with these settings."""
        threshold = max(self._level, logging.min_level or LogLevel.INFO, key=lambda level: level.rank)
        return self._all_outputs.routes(self._name, logging, threshold)

    def encoder(self, source: RecordSource) -> BlockEncoder:
        """The encoder of records of ``source`` for standard output."""
        return self._form.encoder(source, self._labels)

    def capture(self, instance_id: str, *, stdout: int | None, stderr: int | None) -> Capture:
        """Take over the reading ends of an instance's pipes; None for an output that is not captured.

        The descriptors are closed when their last writer is gone, or by ``close``, or before an OSError is
        raised (the kernel watches no more of them).
        """
        if len(self._captures) >= self._forget_closed_at:
            self._captures = [capture for capture in self._captures if not capture.closed]
            self._forget_closed_at = 2 * len(self._captures) + _FEW_CAPTURES
        given = [(name, fd) for name, fd in (("stdout", stdout), ("stderr", stderr)) if fd is not None]
        streams: list[PipeStream] = []
        try:
            for name, fd in given:
                streams.append(self._stream(instance_id, name, fd))
        except OSError:
            for stream in streams:
                stream.close()
            for _, fd in given[len(streams) :]:
                os.close(fd)
            raise
        capture = Capture(tuple(streams))
        self._captures.append(capture)
        return capture

    def watch(self, capture: Capture, pattern: str, on_match: Callable[[], object]) -> None:
        """Call ``on_match`` once, for the first line of ``capture`` that matches ``pattern``."""
        from cbox_init.logs.line_watch import LineWatch

        LineWatch(*self._finder(pattern), capture.streams, on_match)

    def close(self) -> None:
        """Hand on what the pipes hold, and close all captures."""
        for capture in self._captures:
            capture.drain(inf)
            capture.close()
        self._captures.clear()
        self._tell_dropped()

    def drain(self) -> bool:
        """Hand on some of what the pipes hold; False when more may be left."""
        drained = [capture.drain() for capture in self._captures]
        return all(drained)

    def _tell_dropped(self) -> None:
        if self._stages is not None and self._stages.rate is not None:
            self._stages.rate.tell()

    @property
    def _has_room(self) -> bool:
        """Whether the ring can hold several of the largest blocks."""
        return self.ring.limit >= _FEW_BLOCKS * FLOOD_READ_BYTES

    @property
    def _waits_for_stdout(self) -> bool:
        return self._routes.plain and not self._drops

    def _stream(self, instance_id: str, name: str, fd: int) -> PipeStream:
        source = RecordSource(self._name, instance_id, name)
        lines = LineHandler(source, self.encoder(source), self._emit, self._stages, self.failed)
        return PipeStream(fd, lines, self._reader, self.held, may_grow=self._has_room)

    def _emit(self, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        self.send(self._routes, blocks, encoder)

    def send(self, routes: Routes, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        """Keep records of this process for the API, and send them along ``routes``."""
        for block in blocks:
            try:
                self.ring.append(self._publish(block))
            except Exception as error:  # noqa: BLE001  # contained at the block
                self._failed.report(error)
        if routes.plain:
            least = routes.threshold.rank
            shown = [block for block in blocks if block.level.rank >= least]
            if self._drops and self._stdout.full:
                self._stdout.refuse(sum([len(block) for block in shown]))
            elif shown:
                try:
                    encoded = joined([encoder(block) for block in shown])
                except Exception:  # noqa: BLE001  # found out there, at the cost of these blocks only
                    encoded, lost = encode_each(encoder, shown, self.failed)
                    self._stdout.refuse(lost)
                self._stdout.write(*encoded)
        for route in routes.others:
            try:
                route.put(blocks)
            except Exception as error:  # noqa: BLE001  # contained at the output
                self._failed.report(error)

    def redacted(self, text: str) -> str:
        """``text`` as the redaction of the process has it."""
        redaction = self._stages.redaction if self._stages is not None else None
        return text if redaction is None else redaction.record(text)

    def failed(self, error: Exception) -> None:
        """Log an error in what is done to the lines of this process."""
        self._failed.report(error)
