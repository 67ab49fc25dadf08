"""What a peer is: a daemon that can be told, in its own configuration, to keep N children."""

import enum
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol


class Need(enum.Enum):
    """What a measurement is about, where not every peer has that."""

    STOP = "stops its children when it ends"
    OUTPUT = "takes what its children write"
    REDACTION = "masks secrets in what its children write"
    LIST = "has a list of instances over HTTP"
    CHECKS = "checks the health of its children"
    STREAM = "sends lines to many readers over HTTP"
    SCHEDULES = "runs jobs by cron expressions"
    HISTORY = "keeps a history of what its children use"
    EVENTS = "sends events to many readers over HTTP"
    TRACE = "starts a hundred children in reasonable time while its system calls are counted"


class Output(enum.Enum):
    """What is to become of what the children write. The children of most rows write nothing."""

    IGNORED = enum.auto()  # whatever serves the peer best
    JSON = enum.auto()  # each line in JSON on the daemon's standard output; raw where that does not exist
    TEXT = enum.auto()  # as near to raw on standard output as the peer comes
    REDACTED = enum.auto()  # as JSON, with the passwords masked


class Writing(NamedTuple):
    """What children write, from when they are told to; see child.c."""

    writers: int  # so many of the children; the others are silent
    lines: int  # of each; 0: without end
    rate: int = 0  # lines a second of each; 0: as fast as they can


class Job(NamedTuple):
    """What a row asks a daemon to do."""

    children: int
    quick_respawn: bool = False  # the least delay before a restart, also where that costs elsewhere
    output: Output = Output.IGNORED
    writing: Writing | None = None
    check_port: int = 0  # each child's health is checked here, on 127.0.0.1, once a second
    connections: int = 0  # that are open at once, where that is more than usual
    sample_s: int = 0  # what each child uses is sampled so often, in seconds, and kept
    schedule: str = ""  # the cron expression of as many jobs as there are children, which then end at once
    wrapper: tuple[str, ...] = ()  # a program that runs the daemon, such as strace


class Work(NamedTuple):
    """A job, and where a daemon may do it."""

    job: Job
    directory: Path  # empty, for this run alone
    program: Path  # each child's, without arguments
    environment: Mapping[str, str]  # the daemon has it, and the children need it
    port: int  # a free one on 127.0.0.1


class Request(NamedTuple):
    """An HTTP request to 127.0.0.1."""

    port: int
    path: str
    method: str = "GET"
    body: str = ""


class Launch(NamedTuple):
    """How to start a daemon in the foreground, and to end it with its children."""

    argv: list[str]
    environment: Mapping[str, str] = MappingProxyType({})  # beside that of the benchmark
    list_request: Request | None = None  # for the states of all instances
    list_command: list[str] | None = None  # for a daemon that answers, but not over HTTP
    stream_request: Request | None = None  # for lines as they come
    event_request: Request | None = None  # for events as they come
    logs: tuple[Path, ...] = ()  # where the children's lines go; without any, to standard output
    stop_signal: int = signal.SIGTERM


class Peer(Protocol):
    """One program of the comparison, with the settings that serve it best."""

    name: str
    lacks: Mapping[Need, str]
    """What it does not have, and what it does instead, as "it leaves ...": the reason in the report."""

    def prepare(self) -> str:
        """Install the program, or find it, and return its version; BenchError says why it cannot run."""
        ...

    def launch(self, work: Work) -> Launch:
        """Write the configuration into the work's directory; nothing here counts as start-up time."""
        ...
