"""The followed files of one process, between the follower and the log of the process."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.errors import SpawnError
from cbox_init.logs.follow.globs import FollowedGlob, is_glob
from cbox_init.logs.follow.growing_file import FollowedFile
from cbox_init.logs.framing import Framer
from cbox_init.logs.lines import LineHandler
from cbox_init.logs.record import RecordSource
from cbox_init.logs.rotation import Rotation
from cbox_init.system.identity import resolve

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
    from cbox_init.safe_paths.permissions import Reader
    from cbox_init.system.identity import Identity

_STREAM = "file"


class FileStream:
    """The lines of one path: of several files at a time after renames, each with an unfinished line of its
    own."""

    def __init__(
        self,
        log: ProcessLog,
        source: RecordSource,
        routes: Routes,
        stages: Stages | None,
        ended: Callable[[FileStream], object] | None = None,
    ) -> None:
        self._log = log
        self._ended = ended
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
        if self._ended is not None:
            self._ended(self)

    def _emit(self, blocks: Sequence[Block], encoder: BlockEncoder) -> None:
        self._log.send(self._routes, blocks, encoder)


class GlobStreams:
    """The lines of the files that match one pattern; each file has stages of its own lines."""

    def __init__(
        self, log: ProcessLog, source: RecordSource, routes: Routes, stages: Callable[[], Stages | None]
    ) -> None:
        self._log = log
        self._source = source
        self._routes = routes
        self._stages = stages
        self._streams: set[FileStream] = set()

    def make(self, path: str) -> FileStream:
        """The stream of one file."""
        stream = FileStream(self._log, self._source, self._routes, self._stages(), self._streams.discard)
        self._streams.add(stream)
        return stream

    def use(self, routes: Routes, stages: Callable[[], Stages | None]) -> None:
        """Use these settings from the next line on, for files that come as well."""
        self._routes = routes
        self._stages = stages
        for stream in self._streams:
            stream.use(routes, stages())


class ProcessUser:
    """The user of a process, whose permissions decide which of its files are followed. For any thread."""

    def __init__(self, user: str | None, group: str | None) -> None:
        self._user = user
        self._group = group
        self._found: Identity | None = None

    def reader(self) -> Reader | None:
        """The user, looked up when first needed; None when it is the daemon's. Raises OSError for one that
        does not exist."""
        if self._user is not None and self._found is None:
            try:
                self._found = resolve(self._user, self._group)
            except SpawnError as error:
                raise PermissionError(errno.EPERM, str(error)) from None
        return self._found


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
        self._files: dict[str, tuple[FollowedFile, FileStream]] = {}
        self._globs: dict[str, tuple[FollowedGlob, GlobStreams]] = {}

    def use(self, logging: LoggingConfig, user: str | None = None, group: str | None = None) -> None:
        """Follow these files and no others, as far as this user may read them. A file that stays is followed
        from where it is."""
        read_as = ProcessUser(user, group).reader
        wanted = {name: file for name, file in logging.files.items() if file.path}
        for name, (followed, _) in tuple(self._files.items()):
            if name not in wanted or wanted[name].path != followed.path:
                self._follower.leave(followed)
                del self._files[name]
        for name, (glob, _) in tuple(self._globs.items()):
            if name not in wanted or wanted[name].path != glob.path:
                self._follower.leave_glob(glob)
                del self._globs[name]
        for name, file in wanted.items():
            own = _settings(logging, file)
            routes = self._log.routes_for(own)
            rotate = file.rotate
            rotation = Rotation(rotate.max_size, rotate.max_files, rotate.compress) if rotate else None
            if is_glob(file.path):
                self._use_glob(name, file.path, routes, partial(self._stages, own), rotation, read_as)
            else:
                self._use_file(name, file.path, routes, self._stages(own), rotation, read_as)

    def _use_file(
        self,
        name: str,
        path: str,
        routes: Routes,
        stages: Stages | None,
        rotation: Rotation | None,
        read_as: Callable[[], Reader | None],
    ) -> None:
        if name in self._files:
            followed, stream = self._files[name]
            followed.read_as = read_as
            stream.use(routes, stages)
            self._follower.change(followed, rotation)
        else:
            stream = FileStream(self._log, self._source(name), routes, stages)
            followed = FollowedFile(path, stream, read_as)
            self._files[name] = followed, stream
            self._follower.follow(followed, rotation)

    def _use_glob(
        self,
        name: str,
        path: str,
        routes: Routes,
        stages: Callable[[], Stages | None],
        rotation: Rotation | None,
        read_as: Callable[[], Reader | None],
    ) -> None:
        if name in self._globs:
            glob, streams = self._globs[name]
            glob.read_as = read_as
            streams.use(routes, stages)
            self._follower.change_glob(glob, rotation)
        else:
            streams = GlobStreams(self._log, self._source(name), routes, stages)
            glob = FollowedGlob(path, streams.make, read_as)
            self._globs[name] = glob, streams
            self._follower.follow_glob(glob, rotation)

    def _source(self, name: str) -> RecordSource:
        return RecordSource(self._process, name, _STREAM)

    def leave(self) -> None:
        """Stop following the files once their content is read."""
        for followed, _ in self._files.values():
            self._follower.leave(followed)
        for glob, _ in self._globs.values():
            self._follower.leave_glob(glob)
        self._files.clear()
        self._globs.clear()


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
