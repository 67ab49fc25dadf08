"""The bodies of messages: the members that services document, and texts that try to be more."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cbox_init.config.notification_templates import BUILT_IN, LONGEST_BODY
from cbox_init.supervisor.events import Event
from cbox_init.supervisor.notifications.bodies import MessageTooLargeError, Rendered, Sender, render
from cbox_init.supervisor.notifications.messages import Message, MessageStatus

EVIL = 'a "quote" \\ \n <!channel> <@U1> <https://evil|x> @everyone & ``` {title} é \x01'
CRASH = Event(
    7,
    1_767_225_600.25,
    "instance.exited",
    "web",
    "web-0",
    "c1",
    EVIL,
    {"exit_code": 3, "requested": False, "failed": True, "last_output": f"{EVIL}\n{EVIL}"},
)


def message(event: Event = CRASH, status: MessageStatus = MessageStatus.PROBLEM, count: int = 2) -> Message:
    return Message(event=event, status=status, key="web-0/run", count=count, since_unix=event.unix - 5)


def rendered(template: str, one: Message | None = None, url: str = "https://x.test/in") -> Rendered:
    return render(one or message(), Sender("ops", "host-1"), template, url, "r0uting")


def body(template: str, one: Message | None = None, url: str = "https://x.test/in") -> dict[str, Any]:
    found = json.loads(rendered(template, one, url).body)
    assert isinstance(found, dict)
    return found


def texts_in(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(map(texts_in, value.values()))
    return "\n".join(map(texts_in, value)) if isinstance(value, list) else str(value)


def test_json() -> None:
    found = body("json")
    assert found["data"] == CRASH.data
    assert (found["kind"], found["process"], found["instance"]) == ("instance.exited", "web", "web-0")
    assert (found["time"], found["since"]) == ("2026-01-01T00:00:00.250Z", "2025-12-31T23:59:55.250Z")
    assert (found["severity"], found["status"], found["count"]) == ("warning", "problem", 2)
    assert (found["number"], found["change"], found["host"]) == (7, "c1", "host-1")
    assert (found["key"], found["notification"]) == ("host-1/web-0/run", "ops")
    assert found["reason"] == EVIL


def test_slack() -> None:
    found = body("slack")
    assert set(found) == {"text", "attachments"}
    (attachment,) = found["attachments"]
    assert set(attachment) == {"color", "fallback", "fields", "footer", "ts", "text", "mrkdwn_in"}
    assert attachment["color"] == "warning"
    assert all(set(field) == {"title", "value", "short"} for field in attachment["fields"])
    assert {"title": "exit_code", "value": "3", "short": True} in attachment["fields"]
    said = texts_in(found)
    assert "<" not in said
    assert "&lt;!channel&gt;" in said
    assert attachment["text"].count("```") == 2


def test_discord() -> None:
    found = body("discord")
    assert set(found) == {"content", "embeds", "allowed_mentions"}
    assert found["allowed_mentions"] == {"parse": []}
    (embed,) = found["embeds"]
    assert set(embed) == {"title", "color", "timestamp", "footer", "fields", "description"}
    assert isinstance(embed["color"], int)
    assert all(set(field) == {"name", "value", "inline"} for field in embed["fields"])


def test_ntfy() -> None:
    found = body("ntfy", url="https://ntfy.test/alerts?auth=k")
    assert set(found) == {"topic", "title", "message", "priority", "tags"}
    assert found["topic"] == "alerts"
    assert rendered("ntfy", url="https://ntfy.test/alerts?auth=k").url == "https://ntfy.test/?auth=k"
    assert 1 <= found["priority"] <= 5
    assert found["tags"] == ["warning"]


def test_pagerduty() -> None:
    found = body("pagerduty")
    assert set(found) == {"routing_key", "event_action", "dedup_key", "client", "payload"}
    assert (found["routing_key"], found["event_action"]) == ("r0uting", "trigger")
    payload = found["payload"]
    assert {"summary", "source", "severity"} <= set(payload)  # those that are required
    optional = {"timestamp", "component", "group", "class", "custom_details"}
    assert set(payload) <= {"summary", "source", "severity"} | optional
    assert payload["severity"] in ("critical", "error", "warning", "info")
    resolved = body("pagerduty", message(status=MessageStatus.RECOVERY))
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", found["dedup_key"])


def test_a_long_key_of_an_incident_stays_unique() -> None:
    keys = set()
    for end in ("a", "b"):
        one = msgspec.structs.replace(message(), key="x" * 400 + end)
        keys.add(body("pagerduty", one)["dedup_key"])
    assert len(keys) == 2
    assert all(len(key) <= 255 for key in keys)


@pytest.mark.parametrize("template", BUILT_IN)
def test_long_texts_are_cut_to_what_services_take(template: str) -> None:
    long = "\N{ROCKET}" * 1_000
    data = {f"key{number}": long for number in range(40)}
    found = body(template, message(Event(1, 0.0, "instance.given_up", long, long, "", long, data)))
    match template:
        case "discord":
            (embed,) = found["embeds"]
            assert len(found["content"]) <= 2000
            assert len(embed["title"]) <= 256
            assert len(embed["description"]) <= 4096
            assert len(embed["fields"]) <= 25
            parts = (embed["title"], embed["description"], embed["footer"], embed["fields"])
            assert sum(len(texts_in(part)) for part in parts) <= 6000
        case "pagerduty":
            assert len(found["payload"]["summary"]) <= 1024
        case "ntfy":
            assert len(found["message"]) <= 4096
        case "slack":
            assert len(found["text"]) <= 4000


def test_an_event_without_anything() -> None:
    bare = message(Event(1, 0.0, "daemon.stopping"), MessageStatus.INFO, 1)
    for template in BUILT_IN:
        assert body(template, bare)


def test_values_in_a_template_of_json_stay_in_their_strings() -> None:
    made = rendered('{"a": "{reason}", "b": [{count}, {data.exit_code}], "c": "{data.nothing}", "d": {unix}}')
    assert made.content_type == "application/json"
    assert json.loads(made.body) == {"a": EVIL, "b": [2, 3], "c": "", "d": 1_767_225_600.25}


def test_a_template_of_text() -> None:
    made = rendered("{severity}: {title} ({data.exit_code})")
    assert made.content_type.startswith("text/plain")
    assert made.body == b"warning: web-0 has ended (3)"


def test_a_body_that_is_too_large_is_not_sent() -> None:
    template = '{"a": "' + "{reason}" * 1_000 + '"}'
    one = message(Event(1, 0.0, "instance.exited", reason="x" * 1_000))
    with pytest.raises(MessageTooLargeError, match=f"at most {LONGEST_BODY}"):
        rendered(template, one)
