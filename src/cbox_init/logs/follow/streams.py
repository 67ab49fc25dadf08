"""The followed files of one process, between the follower and the log of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.logs.follow.follower import FollowedFile
from cbox_init.logs.framing import Framer
from cbox_init.logs.lines import LineHandler
from cbox_init.logs.record import RecordSource
from cbox_init.logs.rotation import Rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import LogFileConfig, LoggingConfig
    from cbox_init.logs.encode.base import BlockEncoder
    from cbox_init.logs.follow.follower import FileFollower
    from cbox_init.logs.follow.growing_file import FileRead
    from cbox_init.logs.process import ProcessLog
    from cbox_init.logs.record import Block
    from cbox_init.logs.routes import Routes
    from cbox_init.logs.stages.pipeline import Stages

_STREAM = "file"


class FileStream:
    """The lines of one path: of several files at a time after renames, each with an unfinished line of its
    own."""

    def __init__(self, log: ProcessLog, source: RecordSource, routes: Routes, stages: Stages | None) -> None:
        self._log = log
        self._routes = routes
        self._framers: dict[int, Framer] = {}
        self._lines = LineHandler(source, log.encoder(source), self._emit, stages, log.failed)

    def held(self) -> bool:
        return self._log.held()

    def use(self, routes: Routes, stages: Stages | None) -> None:
        """Use these settings from the next line on."""
        self._routes = routes
        self._lines.use(stages)
        self._lines.encoder = self._log.encoder(self._lines.source)
        for framer in self._framers.values():
            framer.cut_by(self._lines.cut)

    def take(self, reads: Sequence[FileRead]) -> None:
        for read in reads:
            framer = self._framers.get(read.file)
            if framer is None:
                framer = self._framers[read.file] = Framer(cut=self._lines.cut)
            self._lines.hand_on(framer.feed(read.data))
            if read.ends:
                self._lines.hand_on(framer.flush())
                del self._framers[read.file]

    def end(self) -> None:
        self._lines.flush()

    def _emit(self, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        self._log.send(self._routes, blocks, encoder)


class FileStreams:
    """Follows the files that ``use`` is given. ``stages`` makes the stages of a file."""

    def __init__(
        self,
        process: str,
        log: ProcessLog,
        follower: FileFollower,
        stages: Callable[[LoggingConfig], Stages | None],
    ) -> None:
        self._process = process
        self._log = log
        self._follower = follower
        self._stages = stages
        self._streams: dict[str, tuple[FollowedFile, FileStream]] = {}

    def use(self, logging: LoggingConfig) -> None:
        """Follow these files and no others. A file that stays is followed from where it is."""
        wanted = {name: file for name, file in logging.files.items() if file.path}
        for name, (followed, _) in tuple(self._streams.items()):
            if name not in wanted or wanted[name].path != followed.path:
                self._follower.leave(followed)
                del self._streams[name]
        for name, file in wanted.items():
            own = _settings(logging, file)
            routes, stages = self._log.routes_for(own), self._stages(own)
            rotate = file.rotate
            rotation = Rotation(rotate.max_size, rotate.max_files, rotate.compress) if rotate else None
            if name in self._streams:
                followed, stream = self._streams[name]
                stream.use(routes, stages)
                self._follower.change(followed, rotation)
            else:
                stream = FileStream(self._log, RecordSource(self._process, name, _STREAM), routes, stages)
                followed = FollowedFile(file.path, stream)
                self._streams[name] = followed, stream
                self._follower.follow(followed, rotation)

    def leave(self) -> None:
        """Stop following the files once their content is read."""
        for followed, _ in self._streams.values():
            self._follower.leave(followed)
        self._streams.clear()


def _settings(logging: LoggingConfig, file: LogFileConfig) -> LoggingConfig:
    """The settings of a file: its own stages; redaction, labels and outputs of the process."""
    return replace(
        logging,
        min_level=file.min_level,
        multiline=file.multiline,
        json=file.json,
        level_detection=file.level_detection,
        filters=file.filters,
        rate_limit=None,
    )
