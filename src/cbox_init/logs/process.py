"""The output of one process: its instances' captures and its ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.capture import Capture, Stream
from cbox_init.logs.levels import Level
from cbox_init.logs.record import Source
from cbox_init.logs.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import LoggingConfig
    from cbox_init.logs.encode import BlockEncoder, Format
    from cbox_init.logs.outputs.output import Output
    from cbox_init.logs.outputs.routes import Routes
    from cbox_init.logs.reader import Reader
    from cbox_init.logs.record import Block
    from cbox_init.logs.sink import Sink

_FEW_CAPTURES = 16
"""Closed captures are forgotten when their number may have doubled, not at each new one: a process can have
thousands of instances."""


class ProcessLog:
    """Takes the lines of all instances of one process.

    A line goes to the ring and to those who follow, whatever its level; to the sink when it has the level
    that the process (``min_level``) and the daemon ask for.
    """

    def __init__(
        self,
        name: str,
        *,
        form: Format,
        level: Level,
        sink: Sink,
        reader: Reader,
        publish: Callable[[Block], None],
        route: Callable[[str, LoggingConfig, Level], Routes | None],
        drops: bool,
        logging: LoggingConfig,
    ) -> None:
        self.ring = Ring()
        self._name = name
        self._form = form
        self._level = level
        self._sink = sink
        self._reader = reader
        self._publish = publish
        self._route = route
        self._drops = drops
        self._apply(logging)
        self._captures: list[Capture] = []
        self._forget_closed_at = _FEW_CAPTURES

    @property
    def backed_up(self) -> bool:
        """Whether so much waits to be written that a new instance should wait as well (see `Outlet`)."""
        if self._waits_for_sink and self._sink.backed_up:
            return True
        return any(output.backed_up for output in self._outputs)

    @property
    def usual(self) -> bool:
        """Whether it depends on standard output alone, as a process does unless told otherwise."""
        return self._waits_for_sink and not self._outputs

    def held(self) -> bool:
        """Whether its instances should wait before more is read of what they write."""
        if self._waits_for_sink and self._sink.full:
            return True
        return any(output.full for output in self._outputs)

    def update(self, logging: LoggingConfig) -> None:
        """Use these settings from the next line on, for the captures that are open as well."""
        self._apply(logging)
        for capture in self._captures:
            for stream in capture.streams:
                stream.encoder = self._form.encoder(stream.source, self._labels)

    def capture(self, instance_id: str, *, stdout: int | None, stderr: int | None) -> Capture:
        """Take over the read ends of an instance's pipes; None for an output that is not captured.

        The descriptors are closed here: when their last writer has gone, or by ``close``.
        """
        if len(self._captures) >= self._forget_closed_at:
            self._captures = [capture for capture in self._captures if not capture.closed]
            self._forget_closed_at = 2 * len(self._captures) + _FEW_CAPTURES
        capture = Capture(
            tuple(
                self._stream(instance_id, name, fd)
                for name, fd in (("stdout", stdout), ("stderr", stderr))
                if fd is not None
            )
        )
        self._captures.append(capture)
        return capture

    def close(self) -> None:
        """Hand on what the pipes hold, and close all captures."""
        for capture in self._captures:
            capture.drain()
            capture.close()
        self._captures.clear()

    def _stream(self, instance_id: str, name: str, fd: int) -> Stream:
        source = Source(self._name, instance_id, name)
        return Stream(
            fd, source, self._form.encoder(source, self._labels), self._reader, self._emit, self.held
        )

    def _apply(self, logging: LoggingConfig) -> None:
        self._labels = logging.labels
        self._threshold = max(self._level, Level.of(logging.min_level))
        routes = self._route(self._name, logging, self._threshold)
        self._plain = routes is None or routes.plain
        self._outputs: tuple[Output, ...] = routes.outputs if routes else ()
        self._waits_for_sink = self._plain and not self._drops

    def _emit(self, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        for block in blocks:
            self.ring.append(block)
            self._publish(block)
        if self._plain:
            self._write([block for block in blocks if block.level >= self._threshold], encoder)
        for output in self._outputs:
            output.put(blocks)

    def _write(self, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        records = sum([len(block) for block in blocks])
        if self._drops and self._sink.full:
            self._sink.refuse(records)
        elif len(blocks) == 1:
            self._sink.write(encoder(blocks[0]), records)
        elif blocks:
            self._sink.write(b"".join([encoder(block) for block in blocks]), records)
