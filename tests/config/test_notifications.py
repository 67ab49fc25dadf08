"""What check-config says of notifications, and what is a secret in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.check_notifications import check_files
from cbox_init.config.masking import masked, secret_values
from cbox_init.config.model import NotificationConfig
from cbox_init.config.notification_templates import filled, is_json
from cbox_init.config.problems import ProblemReport, Severity
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import Read

WEB = "processes: {web: {command: a}}\n"
URL = "url: https://k3y.test/k3y"


def problems(read: Read, entries: str) -> list[tuple[str, str, str, str]]:
    found = read(f"{WEB}notifications: [{entries}]")
    return [(p.severity.value, p.field, p.message, p.recommendation) for p in found.problems]


@pytest.mark.parametrize(
    ("entry", "field", "message", "hint"),
    [
        ("{}", "", "has neither webhook nor command", "template: slack"),
        ("{command: a, webhook: 'https://k3y/'}", "", "both command and webhook", "two entries"),
        ("{name: 'a b', command: a}", "name", "'a b' is not usable as a name", "letters"),
        ("{command: a, events: [instance.givenup]}", "events[0]", "no kind of event", "instance.given_up?"),
        ("{command: a, events: [nonsense]}", "events[0]", "no kind of event", "problems"),
        ("{command: a, processes: [wep]}", "processes[0]", "matches no process", "web?"),
        ("{command: a, min_interval: -1}", "min_interval", "must be at least 0", "range"),
        ("{command: a, timeout: 1h}", "timeout", "must be more than 0 and at most 300", "range"),
        ("{webhook: {template: slack}}", "webhook.url", "is required", "url_file"),
        ("{webhook: 'ftp://k3y/'}", "webhook.url", "is not an HTTP URL", "https://"),
        ("{webhook: 'https://'}", "webhook.url", "is not an HTTP URL", "a host"),
        ("{webhook: 'https://[k3y'}", "webhook.url", "is not a URL", "https://HOST"),
        (f"{{webhook: {{{URL}, url_file: /a}}}}", "webhook.url_file", "url is set as well", "remove one"),
        ("{webhook: {url_file: a}}", "webhook.url_file", "not an absolute path", "begin it with /"),
        (f"{{webhook: {{{URL}, template: slakc}}}}", "webhook.template", "neither a built-in", "slack?"),
        (f"{{webhook: {{{URL}, template: 'a {{titel}}'}}}}", "webhook.template", "{titel} is not", "title?"),
        (
            f"{{webhook: {{{URL}, template: '{{\"a\": {{title}}}}'}}}}",
            "webhook.template",
            "does not make JSON",
            "in quotes",
        ),
        ("{webhook: {template: pagerduty}}", "webhook.routing_key", "is required", "routing_key_file"),
        (f"{{webhook: {{{URL}, routing_key: k3y}}}}", "webhook.routing_key", "no effect", "pagerduty"),
        ("{webhook: {url: 'https://k3y/', template: ntfy}}", "webhook.url", "has no topic", "TOPIC"),
        (
            f"{{webhook: {{{URL}, headers: {{'A B': k3y}}}}}}",
            "webhook.headers.A B",
            "name of a header",
            "dash",
        ),
        (
            f"{{webhook: {{{URL}, headers: {{A: k3y}}, header_files: {{a: /x}}}}}}",
            "webhook.header_files.a",
            "as well",
            "one",
        ),
        (
            f"{{webhook: {{{URL}, header_files: {{A: x}}}}}}",
            "webhook.header_files.A",
            "not an absolute path",
            "/",
        ),
    ],
)
def test_problems(read: Read, entry: str, field: str, message: str, hint: str) -> None:
    (found,) = problems(read, entry)
    assert found[1] == f"notifications[0]{'.' if field else ''}{field}"
    assert message in found[2]
    assert hint in found[3]
    assert "k3y" not in found[2] + found[3]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("notifications: [{command: a, url: 'https://k3y/'}]", "write webhook.url"),
        ("notifications: [{command: a, interval: 1}]", "write min_interval"),
        ("webhooks: []", "write notifications"),
    ],
)
def test_keys_that_others_would_expect(read: Read, text: str, hint: str) -> None:
    (found,) = read(f"{WEB}{text}").problems
    assert (found.message, found.recommendation) == ("unknown key", hint)


def test_names_are_unique(read: Read) -> None:
    (found,) = problems(read, "{command: a, name: notification-1}, {command: a}")
    assert found[1:3] == ("notifications[1].name", "is also that of notifications[0]")


def test_many_entries_and_long_templates_are_refused(read: Read) -> None:
    assert "more than 50" in problems(read, ", ".join(["{command: a}"] * 51))[0][2]
    long = "{title}" * 3000
    assert "longer than" in problems(read, f"{{webhook: {{{URL}, template: '{long}'}}}}")[0][2]
    many = ", ".join(["'*'"] * 201)
    assert "more than 200" in problems(read, f"{{command: a, events: [{many}]}}")[0][2]


def test_what_is_good_has_no_problem(read: Read) -> None:
    entries = (
        "{webhook: 'https://x.test/a'}",
        f"{{webhook: {{{URL}, template: slack}}, events: [problems, 'rollout.*'], processes: ['w*']}}",
        "{webhook: {template: pagerduty, routing_key: a}, min_interval: 0}",
        "{webhook: {url_file: /run/secrets/url, template: '{title}'}}",
        f"{{webhook: {{{URL}, template: '[{{count}}, \"{{data.exit_code}}\"]'}}}}",
        "{command: [notify, --now], enabled: false}",
    )
    assert problems(read, ", ".join(entries)) == []


def test_defaults(read: Read) -> None:
    config = config_of(read(f"{WEB}notifications: [{{command: a}}]"))
    (one,) = config.notifications
    assert one == NotificationConfig(command=("a",))
    assert (one.min_interval, one.timeout, one.retry) == (60, 10, 4)


def test_secrets_are_masked(read: Read) -> None:
    webhook = (
        "url: 'https://h/abcd3fgh', headers: {A: h3aderkey}, routing_key: r0utingkey, template: pagerduty"
    )
    config = config_of(read(f"{WEB}notifications: [{{webhook: {{{webhook}}}}}]"))
    shown = str(masked(config))
    secrets = set(secret_values(config, {}))
    for secret in ("https://h/abcd3fgh", "h3aderkey", "r0utingkey"):
        assert secret not in shown
        assert secret in secrets


def test_variables_of_addresses_are_kept_from_children(read: Read) -> None:
    text = f"{WEB}notifications: [{{webhook: '${{CHAT_ADDRESS}}'}}]"
    found = read(text, {"CHAT_ADDRESS": "https://x.test/a"})
    assert found.withheld == {"CHAT_ADDRESS"}


def test_templates_of_text_and_of_json() -> None:
    assert is_json(' {"a": 1}')
    assert is_json("[{count}]")
    assert not is_json("{title}")
    assert filled("{title} {a b} {} {data.x}", {"title": 'a"b'}) == 'a"b {a b} {} '
    values: dict[str, str | int | float | bool | None] = {"title": 'a"b\n', "n": 1.5, "b": True}
    assert filled('{"t": "{title}", "n": {n}, "b": {b}}', values) == '{"t": "a\\"b\\n", "n": 1.5, "b": true}'


def test_files_that_this_machine_lacks_are_warnings(read: Read, tmp_path: Path) -> None:
    good, open_to_all = tmp_path / "good", tmp_path / "open"
    for file, mode in ((good, 0o600), (open_to_all, 0o644)):
        file.write_text("https://x.test/a")
        file.chmod(mode)
    entries = ", ".join(
        f"{{webhook: {{url_file: {file}}}}}" for file in (good, open_to_all, tmp_path / "none")
    )
    config = config_of(
        read(f"{WEB}notifications: [{entries}, {{webhook: {{url_file: /x}}, enabled: false}}]")
    )
    report = ProblemReport()
    check_files(config, report)
    assert [(one.field, one.severity) for one in report.problems()] == [
        ("notifications[1].webhook.url_file", Severity.WARNING),
        ("notifications[2].webhook.url_file", Severity.WARNING),
    ]
