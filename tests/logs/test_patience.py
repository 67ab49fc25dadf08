"""How long the event loop waits for the file systems of log files."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

from cbox_init.logs import patience as module
from cbox_init.logs.patience import Patience

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_one_that_answers_is_waited_for_as_long_as_usual(tmp_path: Path) -> None:
    patience = Patience()
    await patience.ask([str(tmp_path / "a.log"), "relative.log"])
    assert patience.wait_s() == module._LOOP_WAITS_S
    assert patience.wait_s(in_loop=False) == module._START_WAITS_S


async def test_one_that_does_not_answer_holds_up_no_turn_and_has_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    asked: list[str] = []

    def exists(path: str) -> bool:
        asked.append(path)
        return answers.wait(20)

    monkeypatch.setattr(os.path, "exists", exists)
    monkeypatch.setattr(module, "_CHANGE_WAITS_S", 0.1)
    patience, turns = Patience(), 0
    asking = asyncio.create_task(patience.ask([str(tmp_path / "a.log")]))
    while not asking.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 2
    await patience.ask([str(tmp_path / "b.log")])
    assert asked == [str(tmp_path)]
    assert patience.wait_s() == module._LATE_WAITS_S
    answers.set()
