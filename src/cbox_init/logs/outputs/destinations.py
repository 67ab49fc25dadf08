"""The destinations of outputs, each made once, however many processes send records there."""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.model import OutputType
from cbox_init.config.outputs import (
    DEFAULT_SYSLOG,
    INSTANCE_NAMES,
    PROCESS_NAMES,
    otlp_url,
    output_type,
    syslog_address,
)
from cbox_init.config.substitute import expand_instance, references
from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.encode import output_format
from cbox_init.logs.outputs.file import FileBackend, Identity
from cbox_init.logs.outputs.retry import Retry
from cbox_init.logs.rotation import Rotation
from cbox_init.logs.routes import Destination
from cbox_init.logs.writer import Writer
from cbox_init.safe_paths import identity_at, real_path
from cbox_init.sensitive import without_url_password
from cbox_init.threads import NoThreadError, wait_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cbox_init.config.model import OutputConfig, RotateConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.encode.base import Format
    from cbox_init.logs.patience import Patience
    from cbox_init.logs.record import RecordSource
    from cbox_init.logs.writer import Backend

_MOST_FILES: Final = 64
"""Files of one template that are open at once: each run of a schedule is another instance."""

#: Paths that are asked about at once. When as many have no answer, no more are.
_MOST_ASKED: Final = 8

_DAEMON: Final = "cbox-init"


class OutputStatus(Struct, frozen=True, kw_only=True):
    """What happened to the records that were sent to one destination.

    ``queued_bytes`` are not written yet. ``error`` is the current error, None when there is none.
    """

    type: str
    target: str
    written: int
    dropped: int
    queued_bytes: int
    error: str | None = None


class OutputDestination(Destination, Protocol):
    """A destination that outputs lead to, as `Destinations` keeps it."""

    @property
    def name(self) -> str:
        """Its name in messages and replies."""

    def status(self) -> OutputStatus:
        """What has become of the records."""

    def status_without_files(self) -> OutputStatus:
        """The same; the error does not name the file of a process."""

    def rest(self) -> None:
        """No route leads here any more: write what is queued, and close what is open."""

    def wake(self) -> None:
        """A route leads here again."""


class SingleDestination:
    """A destination that is the same for all records. It rests when no owner uses it any more."""

    def __init__(self, kind: str, name: str, writer: Writer, retry: Retry | None = None) -> None:
        self.name = name
        self._kind = kind
        self._writer = writer
        self._writers = (writer,)
        self._retry = retry
        self._owners: set[object] = set()

    def writer_of(self, source: RecordSource | None) -> Writer:
        return self._writer

    def writers(self) -> Sequence[Writer]:
        return self._writers

    def status(self) -> OutputStatus:
        return OutputStatus(
            type=self._kind,
            target=self.name,
            written=self._writer.written,
            dropped=self._writer.dropped,
            queued_bytes=self._writer.queued,
            error=self._retry.error if self._retry else None,
        )

    def status_without_files(self) -> OutputStatus:
        return self.status()

    @property
    def used(self) -> bool:
        return bool(self._owners)

    def rest(self, owner: object = None) -> None:
        self._owners.discard(owner)
        if self._owners:
            return
        if self._retry:
            self._retry.leave()
        self._writer.end(_nothing)

    def wake(self, owner: object = None) -> None:
        self._owners.add(owner)
        if self._retry:
            self._retry.stay()


class TemplateDestination:
    """Files by a path with the name of a record's process or instance.

    At most 64 are open, the last written ones. For any thread: records come in that of the event loop,
    messages of the daemon in any.
    """

    def __init__(self, path: str, rotation: Rotation | None, files: OutputFiles) -> None:
        self.name = path
        self._rotation = rotation
        self._pool = files
        self._lock = RLock()  # a writer without a thread is logged, and that may come back here
        self._files: dict[str, SingleDestination] = {}
        self._written = 0
        self._dropped = 0

    def writer_of(self, source: RecordSource | None) -> Writer:
        path = expand_instance(self.name, _names(source))
        with self._lock:
            destination = self._files.pop(path, None)
            if destination is None:
                if len(self._files) >= _MOST_FILES:
                    self._close_oldest()
                destination = self._pool.file(path, self._rotation)
                destination.wake(self)
            self._files[path] = destination  # the most recently used
            return destination.writer_of(source)

    def writers(self) -> Sequence[Writer]:
        return [writer for destination in self._open() for writer in destination.writers()]

    def status(self) -> OutputStatus:
        with self._lock:
            found = [destination.status() for destination in self._files.values()]
            return OutputStatus(
                type=OutputType.FILE.value,
                target=self.name,
                written=self._written + sum(one.written for one in found),
                dropped=self._dropped + sum(one.dropped for one in found),
                queued_bytes=sum(one.queued_bytes for one in found),
                error=next((f"{one.target}: {one.error}" for one in found if one.error), None),
            )

    def status_without_files(self) -> OutputStatus:
        found = self.status()
        return found if found.error is None else replace(found, error="a file cannot be written")

    def rest(self) -> None:
        for destination in self._open():
            destination.rest(self)

    def wake(self) -> None:
        for destination in self._open():
            destination.wake(self)

    def _open(self) -> Sequence[SingleDestination]:
        with self._lock:
            return tuple(self._files.values())

    def _close_oldest(self) -> None:
        for path, destination in self._files.items():
            found = destination.status()
            if not found.queued_bytes:
                self._written += found.written
                self._dropped += found.dropped
                del self._files[path]
                destination.rest(self)
                self._pool.forget(destination)
                return


class OutputFiles:
    """The files that outputs write to, each with one writer, whatever names lead to it. For any thread."""

    def __init__(self, log: DaemonLog, prepare: Callable[[Writer, str], None], patience: Patience) -> None:
        self._log = log
        self._prepare = prepare
        self._making = Lock()
        self._lock = Lock()
        self._files: dict[str, tuple[SingleDestination, FileBackend]] = {}
        self._patience = patience
        self._asked = 0
        self._late = RepeatedError(log, "Log output may have a second writer")

    def file(self, path: str, rotation: Rotation | None) -> SingleDestination:
        """The file at ``path``; the one that is there already when another name leads to it."""
        with self._making:
            real, found = self._find(path)
            if found is not None:
                return found
            retry = Retry(self._log, path)
            backend = FileBackend(path, rotation=rotation, retry=retry, log=self._log)
            writer = Writer(backend)
            self._prepare(writer, path)
            destination = SingleDestination("file", path, writer, retry)
            with self._lock:
                self._files[real] = destination, backend
            return destination

    def forget(self, destination: SingleDestination) -> None:
        """Drop a file that no route uses any more."""
        with self._lock:
            if not destination.used:
                self._files = {real: one for real, one in self._files.items() if one[0] is not destination}

    def identities(self) -> set[Identity]:
        """Device and inode of each file that is open."""
        with self._lock:
            return {found for _, backend in self._files.values() if (found := backend.identity)}

    def _find(self, path: str) -> tuple[str, SingleDestination | None]:
        """The real path of a file, and the destination that has it.

        Links are followed in a thread. Where the file system does not answer, the path counts as it is: if it
        is one of two names for a file, each gets a writer.
        """
        with self._lock:
            files = dict(self._files)

        def find() -> tuple[str, SingleDestination | None]:
            try:
                return _find(path, files)
            finally:
                with self._lock:
                    self._asked -= 1

        try:
            with self._lock:
                if self._asked >= _MOST_ASKED:
                    raise TimeoutError("too many paths are late")
                self._asked += 1
            return wait_in_thread(find, name="log-output-path", timeout_s=self._patience.wait_s())
        except (TimeoutError, NoThreadError) as error:
            if isinstance(error, NoThreadError):
                with self._lock:
                    self._asked -= 1
            self._patience.lose()
            self._late.report(f"its file system does not answer: {error}", output=path)
            real = os.path.abspath(path)
            return real, files[real][0] if real in files else None


def _find(
    path: str, files: Mapping[str, tuple[SingleDestination, FileBackend]]
) -> tuple[str, SingleDestination | None]:
    """The real path, and the one of ``files`` that it leads to, also by another name: a hard link, or mounted
    in two places."""
    real = real_path(path)
    if real in files:
        return real, files[real][0]
    wanted = identity_at(real)
    if wanted is not None:
        for other, (destination, backend) in files.items():
            if (backend.identity or identity_at(other)) == wanted:
                return real, destination
    return real, None


class Destinations:
    """Makes destinations and keeps them. ``prepare`` is called with each writer and its output's name."""

    def __init__(
        self,
        *,
        fmt: str,
        timestamps: bool,
        stdout: DescriptorWriter,
        log: DaemonLog,
        prepare: Callable[[Writer, str], None],
        patience: Patience,
    ) -> None:
        self._fmt = fmt
        self._timestamps = timestamps
        self._log = log
        self._prepare = prepare
        self._failed: dict[str, RepeatedError] = {}
        self.files = OutputFiles(log, prepare, patience)
        self._destinations: dict[Hashable, OutputDestination] = {
            STDOUT: SingleDestination("stdout", "stdout", stdout)
        }

    def all(self) -> Sequence[OutputDestination]:
        """Every destination that was ever used, standard output first."""
        return tuple(self._destinations.values())

    def destination(self, config: OutputConfig) -> OutputDestination:
        """The destination of an output; the same for all outputs with the same destination."""
        key = self.key_of(config)
        destination = self._destinations.get(key)
        if destination is None:
            destination = self._destinations[key] = self._make(config)
            destination.wake()
        return destination

    def key_of(self, config: OutputConfig) -> Hashable:
        """A key that is equal for outputs with the same destination."""
        if output_type(config) is OutputType.FILE and not references(config.path or ""):
            return "file", self.files.file(os.path.normpath(config.path or ""), _rotation(config.rotate))
        return _key_of(config)

    def encoding_failed(self, config: OutputConfig) -> Callable[[Exception], object]:
        """To be called for each record that cannot be encoded for an output."""
        name = self.destination(config).name
        failed = self._failed.get(name)
        if failed is None:
            failed = self._failed[name] = RepeatedError(
                self._log, "Log output cannot take a record", output=name
            )
        return failed.report

    def known(self, key: Hashable) -> OutputDestination | None:
        """The destination with this key, None when it does not exist yet."""
        return self._destinations.get(key)

    def form(self, config: OutputConfig) -> Format:
        """The form of records for an output."""
        match output_type(config):
            case OutputType.SYSLOG:
                from cbox_init.logs.outputs.syslog_format import SyslogFormat

                return SyslogFormat(config.facility)
            case OutputType.OTLP:
                from cbox_init.logs.outputs.otlp import OtlpFormat

                return OtlpFormat()
        return output_format(config.format or self._fmt, timestamps=self._timestamps)

    def _make(self, config: OutputConfig) -> OutputDestination:
        match output_type(config):
            case OutputType.SYSLOG:
                from cbox_init.logs.outputs.syslog import SyslogBackend

                target = config.address or DEFAULT_SYSLOG
                retry = Retry(self._log, target)
                return self._one("syslog", target, SyslogBackend(syslog_address(target), retry), retry)
            case OutputType.OTLP:
                from cbox_init.logs.outputs.otlp import OtlpBackend

                url = otlp_url(config.address or "")
                target = without_url_password(url.partition("?")[0])
                retry = Retry(self._log, target)
                return self._one("otlp", target, OtlpBackend(url, config.headers, retry), retry)
            case OutputType.STDERR:
                writer = DescriptorWriter(2)
                self._prepare(writer, "stderr")
                return SingleDestination("stderr", "stderr", writer)
        path = os.path.normpath(config.path or "")
        rotation = _rotation(config.rotate)
        if references(path):
            return TemplateDestination(path, rotation, self.files)
        return self.files.file(path, rotation)

    def _one(self, kind: str, name: str, backend: Backend, retry: Retry) -> SingleDestination:
        writer = Writer(backend)
        self._prepare(writer, name)
        return SingleDestination(kind, name, writer, retry)


def _key_of(config: OutputConfig) -> Hashable:
    match output_type(config):
        case OutputType.FILE:
            return "file", os.path.normpath(config.path or "")
        case OutputType.SYSLOG:
            return "syslog", config.address or DEFAULT_SYSLOG
        case OutputType.OTLP:
            headers = tuple((name, value.reveal()) for name, value in config.headers.items())
            return "otlp", config.address, headers
        case kind:
            return (str(kind),)


STDOUT: Final[Hashable] = ("stdout",)


def _rotation(config: RotateConfig | None) -> Rotation | None:
    return None if config is None else Rotation(config.max_size, config.max_files, config.compress)


def _names(source: RecordSource | None) -> dict[str, str]:
    """The values of the names in a path, for one record."""
    process, instance = (source.process, source.instance) if source else (_DAEMON, _DAEMON)
    return {
        **dict.fromkeys(PROCESS_NAMES, process.replace("/", "-")),
        **dict.fromkeys(INSTANCE_NAMES, instance.replace("/", "-")),
    }


def _nothing() -> None:
    """The end of a writer that is not waited for."""
