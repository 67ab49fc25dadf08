"""The places that outputs lead to, each once, however many processes send their records there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from cbox_init.config.masking import without_url_password
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
from cbox_init.logs.encode import output_format
from cbox_init.logs.outlet import Outlet
from cbox_init.logs.outputs.file import FileTarget
from cbox_init.logs.outputs.trouble import Trouble
from cbox_init.logs.rotation import Rotation
from cbox_init.logs.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from cbox_init.config.model import OutputConfig, RotateConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.encode.base import Format
    from cbox_init.logs.outlet import Target
    from cbox_init.logs.record import Source

_MOST_FILES: Final = 64
"""Files of one path that are open at once: a schedule has another instance with each run."""

_DAEMON: Final = "cbox-init"


class OutputStatus(Struct, frozen=True, kw_only=True):
    """What has become of the records that were sent to one place.

    ``queued_bytes`` wait to be written. ``error`` is what is wrong at the moment, None when nothing is.
    """

    type: str
    target: str
    written: int
    dropped: int
    queued_bytes: int
    error: str | None = None


class Place(Protocol):
    """Where records go, for all that send them there."""

    @property
    def target(self) -> str:
        """Its name in messages and replies."""

    def outlet_of(self, source: Source | None) -> Outlet:
        """The outlet for the records of ``source``, None for the daemon's own."""

    def outlets(self) -> Sequence[Outlet]:
        """Those that there are by now."""

    def status(self) -> OutputStatus:
        """What has become of the records."""

    def rest(self) -> None:
        """Nobody sends anything any more: write what is queued, and let go of what is open."""

    def wake(self) -> None:
        """Somebody does again."""


class OnePlace:
    """A place that is the same for every record."""

    def __init__(self, kind: str, target: str, outlet: Outlet, trouble: Trouble | None = None) -> None:
        self.target = target
        self._kind = kind
        self._outlet = outlet
        self._outlets = (outlet,)
        self._trouble = trouble

    def outlet_of(self, source: Source | None) -> Outlet:
        return self._outlet

    def outlets(self) -> Sequence[Outlet]:
        return self._outlets

    def status(self) -> OutputStatus:
        return OutputStatus(
            type=self._kind,
            target=self.target,
            written=self._outlet.written,
            dropped=self._outlet.dropped,
            queued_bytes=self._outlet.queued,
            error=self._trouble.error if self._trouble else None,
        )

    def rest(self) -> None:
        if self._trouble:
            self._trouble.leave()
        self._outlet.end(_nothing)

    def wake(self) -> None:
        if self._trouble:
            self._trouble.stay()


class PlaceByName:
    """A file whose path holds a name of the record. At most 64 are open, those that were written last."""

    def __init__(self, path: str, open_file: Callable[[str], OnePlace]) -> None:
        self.target = path
        self._open_file = open_file
        self._files: dict[str, OnePlace] = {}
        self._written = 0
        self._dropped = 0

    def outlet_of(self, source: Source | None) -> Outlet:
        path = expand_instance(self.target, _names(source))
        place = self._files.pop(path, None)
        if place is None:
            if len(self._files) >= _MOST_FILES:
                self._close_oldest()
            place = self._open_file(path)
        self._files[path] = place  # the last of them
        return place.outlet_of(source)

    def outlets(self) -> Sequence[Outlet]:
        return [outlet for place in self._files.values() for outlet in place.outlets()]

    def status(self) -> OutputStatus:
        found = [place.status() for place in self._files.values()]
        return OutputStatus(
            type=OutputType.FILE.value,
            target=self.target,
            written=self._written + sum(one.written for one in found),
            dropped=self._dropped + sum(one.dropped for one in found),
            queued_bytes=sum(one.queued_bytes for one in found),
            error=next((f"{one.target}: {one.error}" for one in found if one.error), None),
        )

    def rest(self) -> None:
        for place in self._files.values():
            place.rest()

    def wake(self) -> None:
        for place in self._files.values():
            place.wake()

    def _close_oldest(self) -> None:
        for path, place in self._files.items():
            found = place.status()
            if not found.queued_bytes:
                self._written += found.written
                self._dropped += found.dropped
                place.rest()
                del self._files[path]
                return


class Places:
    """Makes places, and remembers them. ``sink`` is standard output, ``on_room`` is for each outlet."""

    def __init__(
        self,
        *,
        fmt: str,
        timestamps: bool,
        sink: Sink,
        log: DaemonLog,
        on_room: Callable[[], None],
    ) -> None:
        self._fmt = fmt
        self._timestamps = timestamps
        self._log = log
        self._on_room = on_room
        self._places: dict[Hashable, Place] = {STDOUT: OnePlace("stdout", "stdout", sink)}

    def all(self) -> Sequence[Place]:
        """Every place that there has been, standard output first."""
        return tuple(self._places.values())

    def place(self, config: OutputConfig) -> Place:
        """The place that ``config`` leads to; the same for all that lead there."""
        key = key_of(config)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._make(config)
        return place

    def known(self, key: Hashable) -> Place | None:
        """The place that has this key, where there is one by now."""
        return self._places.get(key)

    def form(self, config: OutputConfig) -> Format:
        """The form of the records that it takes."""
        match output_type(config):
            case OutputType.SYSLOG:
                from cbox_init.logs.outputs.syslog_format import SyslogFormat

                return SyslogFormat(config.facility)
            case OutputType.OTLP:
                from cbox_init.logs.outputs.otlp import OtlpFormat

                return OtlpFormat()
        return output_format(config.format or self._fmt, timestamps=self._timestamps)

    def _make(self, config: OutputConfig) -> Place:
        match output_type(config):
            case OutputType.SYSLOG:
                from cbox_init.logs.outputs.syslog import SyslogTarget

                target = config.address or DEFAULT_SYSLOG
                trouble = Trouble(self._log, target)
                return self._one("syslog", target, SyslogTarget(syslog_address(target), trouble), trouble)
            case OutputType.OTLP:
                from cbox_init.logs.outputs.otlp import OtlpTarget

                url = otlp_url(config.address or "")
                target = without_url_password(url.partition("?")[0])
                trouble = Trouble(self._log, target)
                return self._one("otlp", target, OtlpTarget(url, config.headers, trouble), trouble)
            case OutputType.STDERR:
                outlet = Sink(2)
                outlet.on_room = self._on_room
                return OnePlace("stderr", "stderr", outlet)
        path = os.path.normpath(config.path or "")
        rotation = _rotation(config.rotate)
        if references(path):
            return PlaceByName(path, lambda one: self._file(one, rotation))
        return self._file(path, rotation)

    def _file(self, path: str, rotation: Rotation | None) -> OnePlace:
        trouble = Trouble(self._log, path)
        target = FileTarget(path, rotation=rotation, trouble=trouble, log=self._log)
        return self._one("file", path, target, trouble)

    def _one(self, kind: str, name: str, target: Target, trouble: Trouble) -> OnePlace:
        outlet = Outlet(target)
        outlet.on_room = self._on_room
        return OnePlace(kind, name, outlet, trouble)


def key_of(config: OutputConfig) -> Hashable:
    """What is equal for outputs that lead to one place."""
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


def _names(source: Source | None) -> dict[str, str]:
    """What a path may hold, of one record."""
    process, instance = (source.process, source.instance) if source else (_DAEMON, _DAEMON)
    return {
        **dict.fromkeys(PROCESS_NAMES, process.replace("/", "-")),
        **dict.fromkeys(INSTANCE_NAMES, instance.replace("/", "-")),
    }


def _nothing() -> None:
    """For an end that nobody waits for."""
