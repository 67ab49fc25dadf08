"""What a peer is: a daemon that can be told, in its own configuration, to keep N children."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol


class Work(NamedTuple):
    """What a daemon is asked to do, and where it may write."""

    directory: Path  # empty, for this run alone
    program: Path  # each child's, without arguments; its environment is the daemon's
    children: int
    port: int  # a free one on 127.0.0.1
    quick_respawn: bool  # the least delay before a restart, also where that costs elsewhere


class ListRequest(NamedTuple):
    """The HTTP request, to 127.0.0.1, for the states of all instances."""

    port: int
    path: str
    method: str = "GET"
    body: str = ""


class Launch(NamedTuple):
    """How to start a daemon in the foreground. It ends on SIGTERM, with its children."""

    argv: list[str]
    environment: Mapping[str, str] = MappingProxyType({})  # beside that of the benchmark
    list_request: ListRequest | None = None
    list_command: list[str] | None = None  # for a daemon that answers, but not over HTTP


class Peer(Protocol):
    """One program of the comparison, with the settings that serve it best."""

    name: str

    def prepare(self) -> str:
        """Install the program, or find it, and return its version; BenchError says why it cannot run."""
        ...

    def launch(self, work: Work) -> Launch:
        """Write the configuration into the work's directory; nothing here counts as start-up time."""
        ...
