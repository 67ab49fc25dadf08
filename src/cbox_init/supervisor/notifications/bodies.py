"""The bodies of messages, in the forms that services expect. Pure.

What children write may be in an event. So each form escapes what its service would take for a mention or a
link, and each text is cut to what the service takes.

- Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (Mattermost, too)
- Discord: https://docs.discord.com/developers/resources/webhook#execute-webhook
- ntfy: https://docs.ntfy.sh/publish/#publish-as-json
- PagerDuty: https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import msgspec

from cbox_init.config.notification_templates import LONGEST_BODY, filled, is_json
from cbox_init.supervisor.notifications.messages import MessageStatus
from cbox_init.supervisor.notifications.wording import EventSeverity, severity, text, title_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.notifications.messages import Message

#: What JSON has.
Json: TypeAlias = "dict[str, object]"

_JSON: Final = "application/json"
_MARKS: Final = {
    EventSeverity.WARNING: "warning",
    EventSeverity.ERROR: "danger",
    EventSeverity.CRITICAL: "danger",
}
_COLOURS: Final = {
    EventSeverity.WARNING: 0xF2C744,
    EventSeverity.ERROR: 0xD9534F,
    EventSeverity.CRITICAL: 0xA30200,
}
_GREEN: Final = 0x2EB67D
_GREY: Final = 0x9E9E9E
#: From 1 (least) to 5.
_PRIORITIES: Final = {EventSeverity.WARNING: 4, EventSeverity.ERROR: 4, EventSeverity.CRITICAL: 5}
_TAGS: Final = {
    EventSeverity.WARNING: "warning",
    EventSeverity.ERROR: "rotating_light",
    EventSeverity.CRITICAL: "skull",
}
#: Shown beside the text, where an event has it.
_SHOWN: Final = ("process", "instance", "change", "host", "time")


class MessageTooLargeError(ValueError):
    """A message that is larger than any service takes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the message has {size} bytes, at most {LONGEST_BODY} are sent")


class Rendered(NamedTuple):
    """What is sent: to where, of which type."""

    url: str
    content_type: str
    body: bytes


class Sender(NamedTuple):
    """Who sends a message: the notification's name, and this host's."""

    notification: str
    host: str


def render(message: Message, sender: Sender, template: str, url: str, routing_key: str) -> Rendered:
    """The message in the form of ``template``. Raises MessageTooLargeError."""
    values = values_of(message, sender)
    form = _FORMS.get(template)
    if template == "pagerduty":
        made = Rendered(url, _JSON, msgspec.json.encode(_pagerduty(message, values, routing_key)))
    elif template == "ntfy":
        made = Rendered(_without_topic(url), _JSON, msgspec.json.encode(_ntfy(message, values, url)))
    elif form is not None:
        made = Rendered(url, _JSON, msgspec.json.encode(form(message, values)))
    else:
        content_type = _JSON if is_json(template) else "text/plain; charset=utf-8"
        made = Rendered(
            url, content_type, filled(template, _flat(message, values)).encode("utf-8", "replace")
        )
    if len(made.body) > LONGEST_BODY:
        raise MessageTooLargeError(len(made.body))
    return made


def values_of(message: Message, sender: Sender) -> dict[str, str | int | float]:
    """What a message says, by the names of placeholders, without the event's own data."""
    event = message.event
    return {
        "notification": sender.notification,
        "host": sender.host,
        "number": event.number,
        "time": _time(event.unix),
        "unix": round(event.unix, 3),
        "kind": event.kind,
        "severity": severity(event).value,
        "status": message.status.value,
        "process": event.process,
        "instance": event.instance,
        "change": event.change,
        "reason": event.reason,
        "title": title_with(event, message.others),
        "text": text(event, message.count, message.others),
        "count": message.count,
        "key": f"{sender.host}/{message.key}",
    }


def plain(message: Message, values: dict[str, str | int | float]) -> Json:
    """The message as JSON without a service's form, also for the standard input of commands."""
    return {
        **values,
        "since": _time(message.since_unix),
        "others": list(message.others),
        "data": dict(message.event.data),
    }


def _slack(message: Message, values: dict[str, str | int | float]) -> Json:
    said = _slack_text(_cut(str(values["text"]), 2000))
    attachment: Json = {
        "color": _colour_of(message, good="good", marks=_MARKS, other="#9e9e9e"),
        "fallback": said,
        "fields": [
            {"title": name, "value": _slack_text(_cut(value, 300)), "short": len(value) < 40}
            for name, value in _facts(message, values)
        ],
        "footer": f"cbox-init {_slack_text(str(values['host']))}",
        "ts": int(message.event.unix),
    }
    if output := _output_of(message):
        # Three of them end the block of code.
        attachment["text"] = "```" + _slack_text(_cut(output, 2000, end=True)).replace("```", "'''") + "```"
        attachment["mrkdwn_in"] = ["text"]
    return {"text": said, "attachments": [attachment]}


def _discord(message: Message, values: dict[str, str | int | float]) -> Json:
    """``allowed_mentions`` with nothing in it: ``@everyone`` in a text stays a text."""
    embed: Json = {
        "title": _cut(str(values["title"]), 256),
        "color": _colour_of(message, good=_GREEN, marks=_COLOURS, other=_GREY),
        "timestamp": values["time"],
        "footer": {"text": _cut(f"cbox-init {values['host']}", 200)},
        "fields": [
            {"name": name, "value": _cut(value, 300), "inline": True}
            for name, value in _facts(message, values)
        ],
    }
    description = _cut(message.event.reason, 1500)
    if output := _output_of(message):
        description += "\n```\n" + _cut(output, 2000, end=True).replace("```", "'''") + "\n```"
    if description:
        embed["description"] = description
    return {
        "content": _cut(str(values["title"]), 2000),
        "embeds": [embed],
        "allowed_mentions": {"parse": []},
    }


def _ntfy(message: Message, values: dict[str, str | int | float], url: str) -> Json:
    said = [message.event.reason] if message.event.reason else []
    said += [f"{name}: {_cut(value, 300)}" for name, value in _facts(message, values)]
    if output := _output_of(message):
        said.append(_cut(output, 1500, end=True))
    how_bad = severity(message.event)
    good = message.status is MessageStatus.RECOVERY
    return {
        "topic": urlsplit(url).path.strip("/").rpartition("/")[2],
        "title": _cut(str(values["title"]), 200),
        "message": _cut("\n".join(said), 3000) or str(values["title"]),
        "priority": 3 if good else _PRIORITIES.get(how_bad, 3),
        "tags": ["white_check_mark" if good else _TAGS.get(how_bad, "information_source")],
    }


def _pagerduty(message: Message, values: dict[str, str | int | float], routing_key: str) -> Json:
    event = message.event
    body: Json = {
        "routing_key": routing_key,
        "event_action": "resolve" if message.status is MessageStatus.RECOVERY else "trigger",
        "dedup_key": _dedup_key(str(values["key"])),
        "client": "cbox-init",
        "payload": {
            "summary": _cut(f"{values['host']}: {values['text']}", 1024),
            "source": _cut(str(values["host"]), 255),
            "severity": values["severity"],
            "timestamp": values["time"],
            "component": event.process or "cbox-init",
            "class": event.kind,
            "custom_details": {
                **dict(_facts(message, values)),
                **event.data,
                "count": message.count,
            },
        },
    }
    if host_group := event.instance or event.process:
        assert isinstance(body["payload"], dict)
        body["payload"]["group"] = host_group
    return body


_FORMS: Final[dict[str, Callable[[Message, dict[str, str | int | float]], Json]]] = {
    "json": plain,
    "slack": _slack,
    "discord": _discord,
}


def _facts(message: Message, values: dict[str, str | int | float]) -> list[tuple[str, str]]:
    """What is shown beside the text, by name: at most 12."""
    facts = [(name, str(values[name])) for name in _SHOWN if values[name]]
    data = [(name, str(value)) for name, value in message.event.data.items() if name not in _OUTPUT]
    times = [("times", str(message.count))] if message.count > 1 else []
    if message.others:
        times.append(("others", ", ".join(message.others)))
    return [*times, *((name, value) for name, value in (*facts, *data) if value != "")][:12]


#: The names of data that are lines of a child.
_OUTPUT: Final = ("last_output",)


def _output_of(message: Message) -> str:
    """The last output of a child, if the event has it."""
    return next((str(found) for name in _OUTPUT if (found := message.event.data.get(name))), "").strip()


def _flat(
    message: Message, values: dict[str, str | int | float]
) -> dict[str, str | int | float | bool | None]:
    return {**values, **{f"data.{name}": value for name, value in message.event.data.items()}}


def _slack_text(given: str) -> str:
    """As Slack wants it: without these it takes ``<!channel>`` for a mention and ``<url>`` for a link."""
    return given.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _colour_of(
    message: Message,
    *,
    good: object,
    marks: dict[EventSeverity, str] | dict[EventSeverity, int],
    other: object,
) -> object:
    if message.status is MessageStatus.RECOVERY:
        return good
    return marks.get(severity(message.event), other)


def _without_topic(url: str) -> str:
    """The address of the server of ntfy, which takes JSON: the topic is in the body."""
    parts = urlsplit(url)
    above = parts.path.rstrip("/").rpartition("/")[0]
    return urlunsplit(parts._replace(path=f"{above}/"))


def _dedup_key(key: str) -> str:
    """PagerDuty takes 255 characters; of a longer key the rest is replaced by its hash."""
    if len(key) <= 255:
        return key
    from hashlib import sha256

    return f"{key[:180]}/{sha256(key.encode()).hexdigest()}"


def _cut(given: str, most: int, *, end: bool = False) -> str:
    """At most ``most`` characters, from the beginning, or from the end of a text."""
    if len(given) <= most:
        return given
    return (
        "\N{HORIZONTAL ELLIPSIS}" + given[1 - most :]
        if end
        else given[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
