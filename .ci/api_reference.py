"""The page docs/api-reference.md, from the OpenAPI document and the replies that docs/api.md shows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from cbox_init.api.app import all_resources
from cbox_init.api.context import Context, Traffic
from cbox_init.api.openapi import document
from cbox_init.api.waiting import Streams
from cbox_init.build import build_daemon
from cbox_init.config.load import examine
from cbox_init.telemetry.figures import Figures
from cbox_init.telemetry.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Json: TypeAlias = "dict[str, Any]"

_HEAD = """\
# API reference

Every route, parameter, body and reply of the [Management API](api.md), made from the OpenAPI 3.1 document at
[`/api/v1/openapi.json`](#get-apiv1openapijson). [The guide](api.md) says how they behave: authentication,
limits, what a command waits for.

The role is the least one that may call a route where [tokens with roles](authentication.md#roles) are set. A
token that is limited to some processes reaches those alone.
"""


def openapi(root: Path) -> Json:
    """The document of a daemon in which nothing runs."""
    config = examine(str(root / "examples/basics.yaml"), {}).config
    assert config is not None
    parts = build_daemon(config, None, environ={}, on_finished=lambda code: None)
    context = Context(parts, Figures(lambda pid: None, 1), Streams(), Vitals(), Traffic())
    found: Json = json.loads(document(all_resources(context)))
    parts.close()
    return found


def examples(root: Path) -> str:
    """The examples of all routes, from the commands and replies of docs/api.md, for the OpenAPI document."""
    found: Json = {}
    for section in re.split(r"^##+ ", (root / "docs/api.md").read_text(), flags=re.MULTILINE):
        heading, _, rest = section.partition("\n")
        if not re.fullmatch(r"[A-Z]+ /\S+", heading):
            continue
        example: Json = {"parameters": {}, "bodies": [], "replies": {}}
        command = ""
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL):
            if language == "sh":
                command = block
                continue
            if language == "http":
                head, _, body = block.partition("\n\n")
                status = head.split()[1]
                _add_reply(example, status, json.loads(body) if _is_json(head) else body)
                if status < "400":
                    _add_command(example, heading.partition(" ")[2], command)
            elif language == "text" and re.search(r"^(data|id|event): ", block, re.MULTILINE):
                _add_reply(example, "200", block)
                _add_command(example, heading.partition(" ")[2], command)
        found[heading] = {name: value for name, value in example.items() if value}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _is_json(head: str) -> bool:
    return "content-type: application/json" in head.lower()


def _add_reply(example: Json, status: str, body: object) -> None:
    replies = example["replies"].setdefault(status, [])
    if body not in replies:
        replies.append(body)


def _add_command(example: Json, path: str, command: str) -> None:
    """The body of a request by curl, and its parameters."""
    for body in re.findall(r"(?:-d|--data) '(.*?)'(?=\s|$)", command, re.DOTALL):
        if (value := json.loads(body)) not in example["bodies"]:
            example["bodies"].append(value)
    for url in re.findall(r"https?://[^\s'\"]+", command):
        parts = urlsplit(url)
        names = re.findall(r"\{(\w+)\}", path)
        if match := re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", path), parts.path):
            values = zip(names, match.groups(), strict=True)
            example["parameters"] = {**dict(parse_qsl(parts.query)), **dict(values), **example["parameters"]}


def page(root: Path) -> str:
    """The whole page."""
    api = openapi(root)
    examples = _examples((root / "docs/api.md").read_text())
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, item in api["paths"].items()
        for method, operation in item.items()
    ]
    operations.sort(key=lambda one: (one[0].split()[1].replace("{", "~"), one[0]))
    lines = [_HEAD, "| route | role | |", "|---|---|---|"]
    for name, operation in operations:
        role = operation.get("x-required-role", "none")
        lines.append(f"| [`{name}`](#{_anchor(name)}) | {role} | {operation['summary']} |")
    for name, operation in operations:
        lines += ["", *_operation(name, operation, examples.get(name, []))]
    lines += ["", *_errors(api), "", "## Types", ""]
    for name, schema in sorted(api["components"]["schemas"].items()):
        lines += [*_schema(name, schema), ""]
    return "\n".join(lines).rstrip() + "\n"


def _operation(name: str, operation: Json, examples: list[str]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"{operation['summary']}."
    yield ""
    role = operation.get("x-required-role")
    limited = ", limited to the processes of the token" if operation.get("x-limited-to-processes") else ""
    yield (
        f"Role: {role}{limited}. See [the guide](api.md#{_anchor(name)})."
        if role
        else (f"Needs no token. See [the guide](api.md#{_anchor(name)}).")
    )
    if parameters := operation.get("parameters"):
        yield from ("", "| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            needed = " Required." if one["required"] else ""
            kind = _type(one["schema"])
            yield f"| `{one['name']}` | {one['in']} | {kind} | {one['description']}{needed} |"
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from ("", f"Body: {_type(body)}.")
    yield from ("", "| status | reply | |", "|---|---|---|")
    for status, reply in operation["responses"].items():
        if status in _statuses(operation, errors=False):
            kinds = [
                f"{_type(one.get('schema', {}))}{_media(media)}"
                for media, one in reply.get("content", {}).items()
            ]
            yield f"| {status} | {', '.join(kinds)} | {reply['description']} |"
    yield from ("", f"[Errors](#errors): {', '.join(_statuses(operation, errors=True))}.")
    for one in examples:
        yield from ("", one)


def _statuses(operation: Json, *, errors: bool) -> list[str]:
    return [one for one in operation["responses"] if one.isdigit() and (one >= "400") is errors]


def _errors(api: Json) -> Iterator[str]:
    found = {
        status: reply
        for item in api["paths"].values()
        for operation in item.values()
        for status, reply in operation["responses"].items()
        if status in _statuses(operation, errors=True)
    }
    (default,) = {
        operation["responses"]["default"]["description"]
        for item in api["paths"].values()
        for operation in item.values()
    }
    yield from (
        "## Errors",
        "",
        "Their body is an [ErrorReply](#errorreply). What the texts mean is [below](#texts-of-errors).",
        "",
        "| status | |",
        "|---|---|",
    )
    for status, reply in sorted(found.items()):
        headers = "".join(f" Header: `{name}`." for name in reply.get("headers", ()))
        yield f"| {status} | {reply['description']}{headers} |"
    yield from ("", default)
    yield from (
        "",
        "### Texts of errors",
        "",
        "Words in braces are replaced in a reply.",
        "",
        "| status | `error` | when | what to do |",
        "|---|---|---|---|",
    )
    for one in api["x-errors"]:
        yield f"| {one['status']} | `{one['error']}` | {_text(one['when'])} | {_text(one['todo'])} |"


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    if text := schema.get("description"):
        yield from ("", _text(text))
    if schema.get("properties"):
        yield from ("", "| member | type | |", "|---|---|---|")
        required = set(schema.get("required", ()))
        for member, one in schema["properties"].items():
            always = "" if member in required else " Not always there." if name != "ScaleRequest" else ""
            yield f"| `{member}` | {_type(one)} | {_text(one.get('description', ''))}{always} |".replace(
                "|  ", "| "
            )


def _type(schema: Json) -> str:
    """A schema in a few words; a named one is a link."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one).strip(chr(34))}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const']).strip(chr(34))}`"
    for several in ("anyOf", "oneOf"):
        if several in schema and "type" not in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    kind: str | list[str] = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        if members := schema.get("prefixItems"):
            return f"[{', '.join(_type(one) for one in members)}]"
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{_type(schema['additionalProperties'])} by name"
    return kind + _range(schema)


def _range(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    words = f"{low} to {high}" if high is not None else f"≥ {low}" if low is not None else ""
    default = schema.get("default")
    words += f"{', ' if words else ''}default {json.dumps(default)}" if default is not None else ""
    return f" ({words})" if words else ""


def _media(media: str) -> str:
    return "" if media == "application/json" else f" (`{media}`)"


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip().replace("|", "\\|")


def _examples(guide: str) -> dict[str, list[str]]:
    """The blocks of commands and replies below the heading of each route in docs/api.md."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^##+ ", guide, flags=re.MULTILINE):
        heading, _, rest = section.partition("\n")
        if re.fullmatch(r"[A-Z]+ /\S+", heading):
            found[heading] = re.findall(r"^```(?:http|sh)\n.*?^```$", rest, re.MULTILINE | re.DOTALL)[:2]
    return found


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
