"""Daemons that end with their test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.e2e.daemon import COMMAND, DaemonProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Serve(Protocol):
    def __call__(
        self,
        text: str,
        *,
        pid_1: bool = False,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        options: tuple[str, ...] = (),
        command: tuple[str, ...] = tuple(COMMAND),
    ) -> DaemonProcess: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``cbox-init serve``; DIR and SOCKET in the text are a folder of its own and its socket."""
    daemons: list[DaemonProcess] = []

    def start(
        text: str,
        *,
        pid_1: bool = False,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        options: tuple[str, ...] = (),
        command: tuple[str, ...] = tuple(COMMAND),
    ) -> DaemonProcess:
        folder = tmp_path / f"daemon-{len(daemons)}"
        folder.mkdir()
        daemon = DaemonProcess(
            folder, text, pid_1=pid_1, env=env, pass_fds=pass_fds, options=options, command=command
        )
        daemons.append(daemon)
        return daemon

    yield start
    for daemon in daemons:
        daemon.end()
