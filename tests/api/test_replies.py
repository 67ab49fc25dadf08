"""Replies are JSON whatever they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from cbox_init.api import views
from cbox_init.api.replies import encode
from cbox_init.api.schemas import ErrorReply

if TYPE_CHECKING:
    import pytest

    from cbox_init.api.schemas import ProcessEntry
    from cbox_init.supervisor.status import ProcessStatus
    from cbox_init.telemetry.figures import Figures
    from tests.api.service import Serve


def test_text_that_is_not_utf_8_is_escaped() -> None:
    assert json.loads(encode(ErrorReply("a\udcffb"))) == {"error": "a\\udcffb"}
    assert json.loads(encode(ErrorReply("a", ("\udc80",)))) == {"error": "a", "details": ["\\udc80"]}
    shown = json.loads(encode({"n\ud800": ["\udc80", 1, 2.5, None, True, Raw(b"[3]")]}))
    assert shown == {"n\\ud800": ["\\udc80", 1, 2.5, None, True, [3]]}


def test_what_is_nested_too_deep_is_cut() -> None:
    deep: object = "end"
    for _ in range(100_000):
        deep = [deep]
    assert json.loads(encode({"deep": deep, "flat": 1}))["flat"] == 1
    while deep:
        deep = deep[0] if isinstance(deep, list) else None  # freed from inside, its end would recurse


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    )
)
def test_every_value_is_json(value: object) -> None:
    json.loads(encode({"value": value}))


async def test_a_process_that_cannot_be_shown_does_not_hide_the_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = views.process_entry

    def broken(status: ProcessStatus, figures: Figures) -> ProcessEntry:
        if status.name == "bad":
            raise ZeroDivisionError
        return whole(status, figures)

    service = await serve("\n  bad: {command: [sleep, '99']}\n  good: {command: [sleep, '99']}")
    monkeypatch.setattr("cbox_init.api.process_list.process_entry", broken)
    for _ in range(2):
        reply = await service.unix.get("/api/v1/processes")
        assert [process["name"] for process in reply.json()["processes"]] == ["good"]
    told = [message for message in service.house.messages() if "left out of the list" in message]
    assert len(told) == 1
    monkeypatch.undo()
    service.house.supervisor.restart("bad")
    reply = await service.unix.get("/api/v1/processes")
    assert [process["name"] for process in reply.json()["processes"]] == ["bad", "good"]
