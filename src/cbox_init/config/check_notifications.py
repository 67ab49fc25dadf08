"""What is wrong with ``notifications``. Imported only where a file has some."""

from __future__ import annotations

import json
import stat
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cbox_init.config.check_process import check_command, check_headers
from cbox_init.config.event_kinds import EVENT_KINDS, PROBLEMS
from cbox_init.config.model import notification_name
from cbox_init.config.notification_templates import (
    BUILT_IN,
    LONGEST_TEMPLATE,
    PLACEHOLDERS,
    filled,
    is_json,
    is_placeholder,
    placeholders_in,
)
from cbox_init.config.raw import quoted
from cbox_init.config.secret import Secret
from cbox_init.config.small_file import SmallFileError, read_small_file

if TYPE_CHECKING:
    from cbox_init.config.model import Config, NotificationConfig, WebhookConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_MOST: Final = 50
_MOST_PATTERNS: Final = 200
_OF_NAMES: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LONGEST_NAME: Final = 64
#: Bytes of a file with a secret.
_LARGEST_FILE: Final = 16 * 1024
_ANY_SECRET: Final = Secret("x")
_EXAMPLE: Final = "write webhook: {url: URL, template: slack}, or command: [PROGRAM, ARGUMENT]"


def check_notifications(config: Config, report: ProblemReport) -> None:
    """Report every problem of the notifications that does not depend on this machine."""
    if len(config.notifications) > _MOST:
        report.error(("notifications",), f"has more than {_MOST} entries", "remove some")
        return
    seen: dict[str, int] = {}
    for index, one in enumerate(config.notifications):
        path: Path = ("notifications", index)
        name = notification_name(one, index)
        if not set(name) <= _OF_NAMES or len(name) > _LONGEST_NAME or name in (".", ".."):
            hint = f"use at most {_LONGEST_NAME} letters, digits, - and _"
            report.error((*path, "name"), f"{quoted(name)} is not usable as a name", hint)
        elif name in seen:
            report.error((*path, "name"), f"is also that of notifications[{seen[name]}]", "rename one")
        seen.setdefault(name, index)
        _check_selection(one, path, config, report)
        if one.command and one.webhook is not None:
            report.error(path, "has both command and webhook", "make two entries of it")
        elif one.webhook is not None:
            _check_webhook(one.webhook, (*path, "webhook"), report)
        elif one.command:
            check_command(one.command, (*path, "command"), report)
        else:
            report.missing(path, "has neither webhook nor command", _EXAMPLE)


def check_files(config: Config, report: ProblemReport) -> None:
    """Report files of notifications that this machine does not have, as they may be mounted elsewhere."""
    for index, one in enumerate(config.notifications):
        if one.webhook is None or not one.enabled:
            continue
        path: Path = ("notifications", index, "webhook")
        files = [((*path, key), getattr(one.webhook, key)) for key in ("url_file", "routing_key_file")]
        files += [((*path, "header_files", name), file) for name, file in one.webhook.header_files.items()]
        for key, file in files:
            if file is None:
                continue
            try:
                _, mode = read_small_file(
                    file,
                    _LARGEST_FILE,
                    "name a file that holds the value",
                    "name a file with the value alone",
                )
            except SmallFileError as error:
                report.warning(key, f"{error.message}; messages are not sent until it is there", error.hint)
                continue
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                report.warning(key, f"{file} can be read by every user", f"chmod 600 {file}")


def _check_selection(one: NotificationConfig, path: Path, config: Config, report: ProblemReport) -> None:
    for key in ("events", "processes"):
        if len(getattr(one, key)) > _MOST_PATTERNS:
            report.error((*path, key), f"has more than {_MOST_PATTERNS} entries", "write patterns with *")
            return
    for index, pattern in enumerate(one.events):
        if pattern != PROBLEMS and not any(fnmatchcase(kind, pattern) for kind in EVENT_KINDS):
            hint = report.did_you_mean(
                pattern, (*EVENT_KINDS, PROBLEMS), f"write {PROBLEMS}, or kinds such as instance.given_up"
            )
            report.error((*path, "events", index), f"{quoted(pattern)} matches no kind of event", hint)
    for index, pattern in enumerate(one.processes):
        if not any(fnmatchcase(name, pattern) for name in config.processes):
            hint = report.did_you_mean(
                pattern, config.processes, "name a process, or a pattern such as web-*"
            )
            report.warning((*path, "processes", index), f"{quoted(pattern)} matches no process", hint)


def _check_webhook(webhook: WebhookConfig, path: Path, report: ProblemReport) -> None:
    """URLs are secrets, so that messages do not show them."""
    pagerduty = webhook.template == "pagerduty"
    for key in ("url", "routing_key"):
        if getattr(webhook, key) and getattr(webhook, f"{key}_file"):
            report.error((*path, f"{key}_file"), f"{key} is set as well", "remove one of them")
    for key in ("url_file", "routing_key_file"):
        _check_file(getattr(webhook, key), (*path, key), report)
    if webhook.url:
        _check_url(webhook.url.reveal(), webhook.template, (*path, "url"), report)
    elif not webhook.url_file and not pagerduty:
        report.missing((*path, "url"), "is required", "write the URL that messages are sent to, or url_file")
    check_headers(webhook.headers, (*path, "headers"), report)
    for name, file in webhook.header_files.items():
        _check_file(file, (*path, "header_files", name), report)
        if name.lower() in (other.lower() for other in webhook.headers):
            report.error((*path, "header_files", name), "is in headers as well", "remove one of them")
    check_headers(dict.fromkeys(webhook.header_files, _ANY_SECRET), (*path, "header_files"), report)
    if pagerduty and not webhook.routing_key and not webhook.routing_key_file:
        hint = "write the integration key of the service (Events API v2), or routing_key_file"
        report.missing((*path, "routing_key"), "is required with template: pagerduty", hint)
    if not pagerduty and (webhook.routing_key or webhook.routing_key_file):
        key = "routing_key" if webhook.routing_key else "routing_key_file"
        report.warning((*path, key), "has no effect", "it is for template: pagerduty; remove it")
    if webhook.template not in BUILT_IN:
        _check_template(webhook.template, (*path, "template"), report)


def _check_file(file: str | None, path: Path, report: ProblemReport) -> None:
    if file is not None and not file.startswith("/"):
        report.error(path, f"{quoted(file)} is not an absolute path", "begin it with /")


def _check_url(url: str, template: str, path: Path, report: ProblemReport) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        report.error(path, "is not a URL", "write https://HOST/PATH")
        return
    if not usable or not url.isprintable() or " " in url:
        report.error(path, "is not an HTTP URL", "begin it with https:// or http:// and a host")
    elif template == "ntfy" and not parts.path.strip("/"):
        report.error(path, "has no topic", "write it behind the host: https://ntfy.sh/TOPIC")


def _check_template(template: str, path: Path, report: ProblemReport) -> None:
    names = placeholders_in(template)
    if len(template) > LONGEST_TEMPLATE:
        report.error(path, f"is longer than {LONGEST_TEMPLATE} characters", "write a shorter one")
        return
    if not names:
        hint = report.did_you_mean(
            template[:40], BUILT_IN, f"write {', '.join(BUILT_IN)}, or a text with {{title}} in it"
        )
        report.error(path, "is neither a built-in template nor a text with placeholders", hint)
        return
    for name in dict.fromkeys(name for name in names if not is_placeholder(name)):
        hint = report.did_you_mean(name, PLACEHOLDERS, f"there are {', '.join(PLACEHOLDERS)}, data.NAME")
        report.error(path, f"{{{name}}} is not a placeholder", hint)
    if is_json(template) and all(is_placeholder(name) for name in names):
        try:
            json.loads(filled(template, PLACEHOLDERS))
        except ValueError as error:
            hint = 'a text stands in quotes: "{title}"; numbers such as {count} may stand without'
            report.error(path, f"does not make JSON: {error}", hint)
