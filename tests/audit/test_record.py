"""What a record holds: any text within limits, and no secret of a configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.acting import Actor
from cbox_init.audit.chain import LONGEST_BODY, START, read_sealed, seal
from cbox_init.audit.diff import MOST_CHANGES, differences
from cbox_init.audit.record import AuditEvent, Target, clean
from cbox_init.config.model import Config, GlobalConfig, ProcessConfig
from cbox_init.config.model.global_ import ApiTokenConfig
from cbox_init.config.secret import Secret

if TYPE_CHECKING:
    from cbox_init.audit.record import ContextValue

TEXT = st.text(st.characters(codec=None, categories=None), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def event(text: str, context: dict[str, ContextValue] | None = None) -> AuditEvent:
    actor, target = Actor("token", text, text), Target("process", text, text)
    return AuditEvent(
        "2026-11-28T11:52:41.822856Z", "api.request", actor, text, target, "attempt", text, context or {}
    )


@given(TEXT, st.dictionaries(TEXT, VALUES, max_size=8))
def test_any_text_makes_one_line_of_ascii(text: str, context: dict[str, ContextValue]) -> None:
    body = event(text, context).body()
    assert body.isascii() and min(body) >= 0x20 and max(body) < 0x7F
    line, link = seal(body, START)
    assert read_sealed(line).link == link
    json.loads(line, parse_constant=lambda name: 1 / 0)


def test_nothing_is_longer_than_a_line() -> None:
    huge = "\U0001f600" * 1_000_000
    nested: ContextValue = [{huge: huge, "b": [huge] * 1000}] * 1000
    context: dict[str, ContextValue] = {"request_id": "kept", "nested": nested}
    body = event(huge, context).body()
    assert len(body) <= LONGEST_BODY
    assert json.loads(body)["context"]["request_id"] == "kept"
    many: dict[str, ContextValue] = {f"{huge[:300]}{number}": "x" for number in range(200)}
    assert len(event(huge, many).body()) <= LONGEST_BODY


def test_a_cut_text_says_how_long_it_was() -> None:
    assert clean("short") == "short"
    assert clean("x" * 5000, 100) == "x" * 79 + "... (5000 characters)"
    assert len(clean("x" * 10**7, 256)) <= 256


def config(**processes: ProcessConfig) -> Config:
    return Config(global_=GlobalConfig(), processes=processes)


def test_a_diff_has_what_differs() -> None:
    web = ProcessConfig(command=("a",), env={"TOKEN": "old-secret", "A": "1"})
    before = config(web=web, same=web)
    after = config(web=replace(web, command=("b",), env={"TOKEN": "new-secret", "B": "2"}), same=web)
    assert differences(before, after) == [
        {"path": "processes.web.command", "before": ["a"], "after": ["b"]},
        {"path": "processes.web.env.TOKEN", "before": "***", "after": "***"},
        {"path": "processes.web.env.A", "before": "1"},
        {"path": "processes.web.env.B", "after": "2"},
    ]
    assert differences(before, before) == []


def test_secrets_of_the_daemon_are_masked_in_a_diff() -> None:
    before = config()
    after = replace(before, global_=replace(before.global_, api_auth=Secret("a-secret")))
    assert differences(before, after) == [{"path": "global.api_auth", "after": "***"}]
    tokens = (ApiTokenConfig(name="ci", token=Secret("a-secret")),)
    after = replace(before, global_=replace(before.global_, api_tokens=tokens, api_port=9181))
    shown = differences(before, after)
    assert "a-secret" not in str(shown)
    assert {"path": "global.api_port", "before": 9180, "after": 9181, "needs_restart": True} in shown


def test_a_large_diff_is_cut() -> None:
    process = ProcessConfig(command=("a",))
    found = differences(config(), config(**{f"p{number}": process for number in range(5000)}))
    assert len(found) <= MOST_CHANGES + 1
    last = found[-1]
    assert isinstance(last, dict) and isinstance(last["more"], int) and last["more"] > 4900
