"""The screen with a real daemon: commands, the form, a crash, a restart of the daemon, many lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, TextArea

from cbox_init.client import AsyncClient
from cbox_init.tui.app import TerminalApp
from cbox_init.tui.grid import Grid
from cbox_init.tui.log_view import KEPT, SLACK, LogView
from tests.e2e.daemon import DaemonProcess
from tests.tui.conftest import screen_text, until, until_shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
global: {api_socket: SOCKET, log_format: json}
processes:
  web:
    command: [sh, -c, 'echo "serving, \\033[2J"; exec sleep 1000']
    scale: 2
    env: {TOKEN: secret-of-web}
  talker: {command: [sh, -c, 'seq 20000; exec sleep 1000'], initial_state: stopped}
  crasher: {command: [sh, -c, 'echo last words; exit 3'], initial_state: stopped, restart: never}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    process = DaemonProcess(tmp_path, CONFIG)
    process.until_said("All processes started successfully")
    yield process
    process.end()


async def test_a_session(daemon: DaemonProcess) -> None:
    """As one would work: restart, see a crash, add, edit, save, go on after a restart of the daemon."""
    app = TerminalApp(lambda: AsyncClient.connect(socket=str(daemon.socket)))
    async with app.run_test(size=(140, 45), notifications=True) as pilot:
        await until_shown(pilot, "crasher")
        grid = app.screen.query_one(Grid)

        await pilot.press("r", "y")
        await until_shown(pilot, "2/2  done")

        grid.go_to("crasher")
        await pilot.press("x")
        await until_shown(pilot, "✖ failed")
        await pilot.press("d")
        await until_shown(pilot, "last words")
        await pilot.press("escape", "escape")

        grid.go_to("web")
        await pilot.press("d")
        await until_shown(pilot, "TOKEN")
        assert "secret-of-web" not in screen_text(app)
        await pilot.press("escape")

        await pilot.press("a")
        await until_shown(pilot, "Give it a name.")
        app.screen.query_one("#name", Input).value = "extra"
        app.screen.query_one("#command", Input).value = "sleep 1000"
        app.screen.query_one("#scale", Input).value = "many"
        await until_shown(pilot, "expected a whole number")
        app.screen.query_one("#scale", Input).value = "1"
        await until_shown(pilot, "✔ Valid.")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "extra" in app.state.processes, "it was added")

        await until(pilot, lambda: len(app.screen_stack) == 1, "the form is closed")
        grid.go_to("extra")
        await pilot.press("e")
        await until_shown(pilot, "[sleep, '1000']")
        app.screen.query_one("#more", TextArea).text = "max_scale: 3"
        await until_shown(pilot, "✔ Valid.")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.state.processes["extra"].max_scale == 3, "it was changed")

        await until(pilot, lambda: len(app.screen_stack) == 1, "the form is closed")
        await pilot.press("W")
        await until_shown(pilot, "Save to the configuration file")
        await pilot.press("y")
        await until(pilot, lambda: "max_scale: 3" in daemon.config.read_text(), "it was saved")

        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("scale: 2", "scale: 3"))
        await pilot.press("R")
        await until_shown(pilot, "+    scale: 3")
        await pilot.press("y")
        await until(pilot, lambda: app.state.processes["web"].desired_scale == 3, "it was reloaded")

        daemon.stop()
        await until_shown(pilot, "not connected")
        assert "extra" in screen_text(app)
        again = DaemonProcess(daemon.folder, daemon.config.read_text())
        try:
            await until(pilot, lambda: app.state.connection == "live", "connected again")
            assert grid.key == "extra"
        finally:
            again.end()


async def test_logs_of_a_flood(daemon: DaemonProcess) -> None:
    """Keys are answered while more lines come than can be kept."""
    app = TerminalApp(lambda: AsyncClient.connect(socket=str(daemon.socket)))
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, "talker")
        app.screen.query_one(Grid).go_to("talker")
        await pilot.press("x", "enter")
        await until_shown(pilot, "20000")
        view = app.screen.query_one(LogView)
        assert view.counted[1] <= KEPT + SLACK
        await pilot.press("slash", *"1999", "enter", "n")
        await until_shown(pilot, "/1999: ")
        await pilot.press("escape", "f")
        await until_shown(pilot, "following")
