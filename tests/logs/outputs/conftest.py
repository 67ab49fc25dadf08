"""What the daemon says of its outputs, and waiting for threads."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.logs.daemon import DaemonLog
from cbox_init.logs.encode_json import JsonFormat
from cbox_init.logs.levels import Level
from cbox_init.logs.sink import Sink
from tests.logs.conftest import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cbox_init.logs.outlet import Outlet


class Said:
    """The messages of the daemon, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._sink = Sink(self._fd)
        self.log = DaemonLog(JsonFormat(timestamps=False), Level.DEBUG, self._sink)

    def records(self) -> list[dict[str, object]]:
        assert self._sink.flush(DEADLINE_S)
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def messages(self) -> list[object]:
        return [record["msg"] for record in self.records()]

    def close(self) -> None:
        end(self._sink)
        os.close(self._fd)


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Said]:
    said = Said(tmp_path / "said")
    yield said
    said.close()


def end(outlet: Outlet) -> None:
    """Until all is written."""
    done = threading.Event()
    outlet.end(done.set)
    assert done.wait(DEADLINE_S)


def wait_for(condition: Callable[[], object], what: str = "") -> None:
    """Until ``condition`` holds, for tests without an event loop."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)
