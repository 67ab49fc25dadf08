"""docs/api.md has every operation of the OpenAPI document, and its replies are as that promises."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from cbox_init.api.app import all_resources
from cbox_init.api.context import Context, Traffic
from cbox_init.api.http.limits import API_LIMITS
from cbox_init.api.openapi import document
from cbox_init.api.waiting import Streams
from cbox_init.build import build_daemon
from cbox_init.config.load import examine
from cbox_init.telemetry.figures import Figures
from cbox_init.telemetry.vitals import Vitals
from tests.api.contract import Contract
from tests.docs.markdown import PAGES, ROOT, sections

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs/api.md"
CURL = re.compile(r"^ *curl (?:-X (\w+) )?.*?:\d+(/[\w/.-]+)", re.MULTILINE)
OPERATION = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S+)")
REPLIES = [
    (section.heading, block.text)
    for section in sections(PAGE)
    for block in section.blocks
    if block.language == "http"
]


@pytest.fixture(scope="module")
def contract() -> Iterator[Contract]:
    """The document of a daemon in which nothing runs."""
    config = examine(str(ROOT / "examples/basics.yaml"), {}).config
    assert config is not None
    parts = build_daemon(config, None, environ={}, on_finished=lambda code: None)
    context = Context(parts, Figures(lambda pid: None, 1), Streams(), Vitals(), Traffic())
    yield Contract(json.loads(document(all_resources(context))))
    parts.close()


def test_every_operation_has_a_section_and_every_section_is_one(contract: Contract) -> None:
    page = [found.groups() for section in sections(PAGE) if (found := OPERATION.fullmatch(section.heading))]
    api = [(method.upper(), path) for path, item in contract.document["paths"].items() for method in item]
    assert sorted(page) == sorted(api)


def test_every_operation_is_in_the_table(contract: Contract) -> None:
    (table,) = (table for section in sections(PAGE) for table in section.tables if table[0][0] == "route")
    page = {found.groups() for row in table[1:] if (found := OPERATION.search(row[0].replace("`", " ")))}
    api = {(method.upper(), path) for path, item in contract.document["paths"].items() for method in item}
    assert page == api


def test_calls_by_curl_in_all_pages_are_operations(contract: Contract) -> None:
    calls = {found.groups() for page in PAGES for found in CURL.finditer(page.read_text())}
    assert ("POST", "/api/v1/processes/web/scale") in calls
    operations = [
        (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path)))
        for path, item in contract.document["paths"].items()
        for method in item
    ]
    unknown = [
        call
        for call in sorted(calls, key=str)
        if call[1].startswith("/api/")
        and not any(verb == (call[0] or "GET") and path.fullmatch(call[1]) for verb, path in operations)
    ]
    assert unknown == []


def test_parameters_and_members_are_named(contract: Contract) -> None:
    text = PAGE.read_text()
    names = {
        parameter["name"]
        for item in contract.document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    for schema in ("ProcessEntry", "InstanceEntry", "ScaleRequest", "DaemonEntry"):
        names |= set(contract.document["components"]["schemas"][schema]["properties"])
    assert sorted(name for name in names if f"`{name}`" not in text) == []


@pytest.mark.parametrize(("heading", "reply"), REPLIES, ids=lambda text: text.partition("\n")[0])
def test_replies_are_as_the_document_says(contract: Contract, heading: str, reply: str) -> None:
    head, _, body = reply.partition("\n\n")
    status_line, *lines = head.splitlines()
    status = int(status_line.split()[1])
    headers = httpx.Headers([cast("tuple[str, str]", tuple(line.split(": ", 1))) for line in lines])
    found = OPERATION.fullmatch(heading)
    if found is None:
        assert status >= 400, "a reply that belongs to no operation"
        contract.validate_as("ErrorReply", json.loads(body))
    else:
        contract.check(found[1], found[2].replace("{name}", "web"), status, headers, body.encode())


def test_each_route_has_examples_that_fit_its_schemas(contract: Contract) -> None:
    """Of its path, its body and each reply; they are those of this page."""
    count = 0
    for path, item in contract.document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                if "example" in parameter:
                    contract.validate(parameter["schema"], parameter["example"])
                assert "example" in parameter or parameter["in"] != "path", f"{where} {parameter['name']}"
            contents = [
                (f"{status} {media}", content)
                for status, reply in operation["responses"].items()
                if status != "default"
                for media, content in reply["content"].items()
            ]
            if "requestBody" in operation:
                contents.append(("body", operation["requestBody"]["content"]["application/json"]))
            for part, content in contents:
                several = [one["value"] for one in content.get("examples", {}).values()]
                values = several or [content[name] for name in ("example",) if name in content]
                assert values, f"{where}: no example of {part}; show it in docs/api.md, then make reference"
                for value in values:
                    if part.endswith("text/event-stream"):  # its schema is that of the data of an event
                        assert "\ndata: " in value
                    else:
                        contract.validate(content["schema"], value)
                    count += 1
    assert count > 300


def test_each_status_of_an_error_is_in_the_catalogue(contract: Contract) -> None:
    known = {one["status"] for one in contract.document["x-errors"]}
    described = {
        int(status)
        for item in contract.document["paths"].values()
        for operation in item.values()
        for status in operation["responses"]
        if status.isdigit() and status >= "400"
    }
    assert described <= known
    assert all(one["when"] and one["todo"] for one in contract.document["x-errors"])


def test_limits() -> None:
    (section,) = (section for section in sections(PAGE) if section.heading == "Limits")
    cells = " ".join(cell for row in section.tables[0] for cell in row)
    assert f"{API_LIMITS.head_bytes // 1024} KiB" in cells
    assert f"{API_LIMITS.head_s:g} s" in cells
    assert f"`api_max_connections` ({API_LIMITS.connections}) are open" in PAGE.read_text()
    assert f"`api_max_connections_per_address` ({API_LIMITS.per_address})" in PAGE.read_text()
    assert f"| headers | {API_LIMITS.headers} |" in PAGE.read_text()
    assert f"{API_LIMITS.write_s:g} s, a stream {API_LIMITS.stream_write_s / 60:g} minutes" in cells
