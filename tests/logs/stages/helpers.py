"""Stages made from a configuration as it stands in a file, without pipes and without a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cbox_init.config.convert import Converter
from cbox_init.config.log_defaults import LogDefaults
from cbox_init.config.model import GlobalConfig, LoggingConfig
from cbox_init.config.problems import ProblemReport
from cbox_init.logs.framing import LINE_LIMIT, Framer
from cbox_init.logs.record import RecordSource
from cbox_init.logs.stages.build import StageContext, build
from cbox_init.logs.stages.deadlines import Deadlines
from cbox_init.logs.stages.guard import SearchTimer
from cbox_init.logs.stages.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.record import Block
    from cbox_init.logs.stages.pipeline import Stages

WEB = RecordSource("web", "web-0", "stdout")


class Told(list[str]):
    """What the daemon has said: stands in for its log."""

    def error(self, message: str, **fields: object) -> None:
        self.append(message)

    def warn(self, message: str, **fields: object) -> None:
        self.append(message)


class Line(NamedTuple):
    """A record without its time and source."""

    message: str
    level: str = "INFO"
    partial: bool = False
    fields: str = ""


def logging_of(section: dict[str, Any], **global_: Any) -> LoggingConfig:
    """The section ``logging`` of a process, with the defaults of ``global`` in it."""
    report = ProblemReport()
    settings = Converter(report, {}).section(GlobalConfig, global_, ("global",))
    own = Converter(report, {}).section(LoggingConfig, section, ("logging",))
    assert not report.problems()
    return LogDefaults(settings).applied(own)


def stages_of(section: dict[str, Any], told: Told | None = None, **global_: Any) -> Stages:
    """The stages that it asks for. Nobody is called back."""
    log = cast("DaemonLog", told if told is not None else Told())
    context = StageContext(SearchTimer(), Deadlines(unexpected), log)
    return build("web", logging_of(section, **global_), context)


def unexpected(error: Exception) -> None:
    raise AssertionError from error


def lines_of(blocks: Iterable[Block]) -> list[Line]:
    return [
        Line(
            record.message,
            record.level.name,
            record.partial,
            bytes(record.fields).decode() if record.fields is not None else "",
        )
        for block in blocks
        for record in block.records()
    ]


def blocks_of(stages: Stages, reads: Sequence[bytes], limit: int = LINE_LIMIT) -> list[Block]:
    """What comes of ``reads`` and the end of the stream, each at a time of its own."""
    pipeline = Pipeline(WEB, stages, lambda blocks: None)
    framer = Framer(limit, pipeline.cut)
    blocks: list[Block] = []
    for time_ns, read in enumerate(reads, 1):
        blocks += pipeline.feed(framer.feed(read), time_ns)
    blocks += pipeline.feed(framer.flush(), len(reads) + 1)
    return blocks + pipeline.flush()


def run(section: dict[str, Any], data: str | bytes, told: Told | None = None, **global_: Any) -> list[Line]:
    """The records of one read."""
    data = data if isinstance(data, bytes) else data.encode()
    return lines_of(blocks_of(stages_of(section, told, **global_), [data]))
