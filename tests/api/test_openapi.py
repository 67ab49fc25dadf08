"""The document says what there is, all of it, and nothing else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from cbox_init.api import schemas
from cbox_init.api.app import all_resources
from cbox_init.api.context import Context, Traffic
from cbox_init.api.waiting import Streams
from cbox_init.config.model import ProcessType
from cbox_init.config.model.enums import LogLevel
from cbox_init.core.notify import NotifyState
from cbox_init.core.restart import Trigger
from cbox_init.core.states import State
from cbox_init.telemetry.figures import Figures
from cbox_init.telemetry.vitals import Vitals

if TYPE_CHECKING:
    from tests.api.service import Service


def test_every_route_is_described_and_every_description_has_a_route(service: Service) -> None:
    context = Context(service.house.parts, Figures(lambda pid: None, 1), Streams(), Vitals(), Traffic())
    served = {(r.path, method.lower()) for r in all_resources(context) for method in r.operations}
    described = {
        (path, method) for path, item in service.contract.document["paths"].items() for method in item
    }
    assert served == described


async def test_it_is_openapi(service: Service) -> None:
    document = service.contract.document
    assert document["openapi"].startswith("3.1")
    operations = [op for item in document["paths"].values() for op in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref":\s*"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


def test_path_parameters_are_described(service: Service) -> None:
    for path, item in service.contract.document["paths"].items():
        for operation in item.values():
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_health_is_the_only_one_without_a_token(service: Service) -> None:
    open_paths = [
        path
        for path, item in service.contract.document["paths"].items()
        for operation in item.values()
        if "401" not in operation["responses"]
    ]
    assert open_paths == ["/api/v1/health"]
    assert service.contract.document["paths"]["/api/v1/health"]["get"]["security"] == []
    assert service.contract.document["paths"]["/api/v1/sessions"]["post"]["security"] == []


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"scale": 1}, True),
        ({"desired": 1}, True),
        ({"delta": -1}, True),
        ({}, False),
        ({"scale": 1, "delta": 1}, False),
        ({"scale": "1"}, False),
        ({"scale": 1.5}, False),
    ],
)
def test_body_of_scale(service: Service, body: dict[str, Any], valid: bool) -> None:
    operation = service.contract.document["paths"]["/api/v1/processes/{name}/scale"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    components = service.contract.document["components"]
    assert Draft202012Validator({**schema, "components": components}).is_valid(body) == valid


def test_words_are_those_of_the_supervisor() -> None:
    """The types stand alone, for the client's sake; so their words are held against the real ones here."""
    assert tuple(State) == schemas.STATES
    assert tuple(level.name.lower() for level in LogLevel) == schemas.LEVELS
    assert {"longrun", "oneshot"} == {kind.shown for kind in ProcessType}
    assert tuple(NotifyState) == schemas.NOTIFY_STATES
    assert tuple(Trigger) == schemas.TRIGGERS


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/v1/health", 200, {"status": "unwell"}),
        ("GET", "/api/v1/health", 200, {}),
        ("GET", "/api/v1/health", 204, {}),
        ("GET", "/api/v1/health", 401, {"error": "unauthorized"}),
        ("GET", "/api/v1/processes", 200, {"processes": [{}]}),
        ("GET", "/api/v1/processes", 404, {"error": "x"}),
        ("POST", "/api/v1/processes/web/stop", 202, {"message": "x"}),
        ("POST", "/api/v1/processes/web/stop", 404, {"message": "x"}),
        ("GET", "/nowhere", 200, {}),
    ],
)
def test_the_check_can_fail(service: Service, method: str, path: str, status: int, body: object) -> None:
    headers = httpx.Headers({"content-type": "application/json"})
    with pytest.raises((AssertionError, ValidationError)):
        service.contract.check(method, path, status, headers, json.dumps(body).encode())
