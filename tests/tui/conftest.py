"""The screen without a terminal, and pictures of it as plain text.

``SNAPSHOTS=write python -m pytest tests/tui`` writes the pictures again; look at their diff before a commit.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.tui.app import TerminalApp
from tests.tui.fake import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from textual.pilot import Pilot

    from tests.tui.fake import FakeClient

SNAPSHOTS = Path(__file__).parent / "snapshots"
DEADLINE_S = 20.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in the zone of the person who looks."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@asynccontextmanager
async def screen_of(
    client: FakeClient, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[TerminalApp, Pilot[Any]]]:
    """The screen with this client, when it has shown the first message."""
    app = TerminalApp(lambda: client, clock=lambda: NOW, tick_s=0)
    async with app.run_test(size=size, notifications=True) as pilot:
        if client.problem is None:
            await until(pilot, lambda: app.state.connection == "live", "connected")
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    """Wait until ``condition`` holds and the screen is drawn."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not so in time: {what}\n{screen_text(pilot.app)}"
        await asyncio.sleep(0.1)
    await pilot.pause()


async def until_shown(pilot: Pilot[Any], text: str) -> None:
    """Wait until ``text`` is on the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app), f"{text!r} is shown")


def screen_text(app: Any) -> str:
    """The screen as plain text."""
    lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
    return "\n".join(lines) + "\n"


def check_picture(app: Any, name: str) -> None:
    """Compare the screen with the picture of this name."""
    path, text = SNAPSHOTS / f"{name}.txt", screen_text(app)
    if os.environ.get("SNAPSHOTS") == "write":
        path.write_text(text)
    assert text == path.read_text(), "run it with SNAPSHOTS=write to accept this picture"
