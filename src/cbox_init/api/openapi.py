"""The OpenAPI 3.1 document, made from the resources and the types that the routes use."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode, schema_components

from cbox_init import __version__
from cbox_init.api import schemas
from cbox_init.api.replies import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cbox_init.api.resource import Operation, Parameter, Reply, Resource

Json = dict[str, Any]
Paths = dict[str, dict[str, Json]]

_REF: Final = "#/components/schemas/{name}"

#: Errors that every operation may answer with, over TCP.
_COMMON_ERRORS: Final = (401, 403, 413, 429)

_ERRORS: Final = {
    400: "The request or its body is malformed or invalid; details say how to fix it.",
    401: "The token is missing or wrong, or has expired.",
    403: "The client is refused by api_acl, is a page of another site, or its role or its processes do not "
    "allow this (see details).",
    404: "No such process.",
    408: "The body did not come in time.",
    409: "Not in this state, or not with these settings.",
    413: "The body is larger than api_max_request_body.",
    422: "Well formed, but no valid configuration; details name every problem. Nothing has changed.",
    429: "Too many requests from this address, or too many unknown tokens.",
    503: "It is not collected.",
}

#: Groups of routes in the order of the document, with the paths behind /api/v1 that are in them.
_GROUPS: Final = (
    (
        "Processes",
        "The processes, and commands to them.",
        r"/processes\b(?!.*/(schedule|logs|events)\b).*|/actions",
    ),
    ("Instances", "Commands to a single instance.", r"/instances/.*"),
    ("Changes", "What has become of commands.", r"/changes\b.*"),
    ("Schedules", "When processes run, and what has become of it.", r".*/schedules?\b.*|/oneshot/.*"),
    ("Logs", "What processes have written.", r".*/logs\b.*"),
    ("Events", "What has happened.", r".*/events\b.*"),
    ("Live", "The present state, as it changes.", r"/live"),
    ("Metrics", "What instances use.", r"/metrics/.*"),
    ("Configuration", "The file, what runs, and the difference.", r"/config\b.*"),
    ("Notifications", "Messages about events.", r"/notifications\b.*"),
    ("Access", "Who one is, and sessions of the web page.", r"/whoami|/sessions\b.*"),
    ("Daemon", "The daemon itself.", r".*"),
)

#: What stands in the example of an error for the words in braces of its text.
_WORDS: Final = {"name": "web", "command": "restart", "bytes": "1048576"}

_CONNECTION_ERRORS: Final = (
    "What is refused before there is an operation: 400 (not HTTP), 408, 431 (headers too large), "
    "503 (too many connections; a change whose audit record cannot be written, with audit_required)."
)


class Example(Struct):
    """What is sent to a route and what it answers, as docs/api.md shows it; see ``.ci/api_reference.py``.

    ``parameters`` by name, ``replies`` by status. A reply that is a text is one of a stream.
    """

    parameters: dict[str, str] = {}
    bodies: list[object] = []
    replies: dict[str, list[object]] = {}


#: The file with the examples of all routes, beside this one.
EXAMPLES: Final = "examples.json"


def document(resources: Iterable[Resource]) -> bytes:
    """The document for these resources, as JSON."""
    from cbox_init.api.error_catalogue import KNOWN_ERRORS

    resources = tuple(resources)
    types = _types(resources)
    references, components = schema_components(types, schema_hook=_schema_of_any, ref_template=_REF)
    schema_of = {id(kind): reference for kind, reference in zip(types, references, strict=True)}
    paths: Paths = {
        resource.path: {
            method.lower(): {"tags": [_group(resource.path)], **_operation(operation, schema_of)}
            for method, operation in resource.operations.items()
        }
        for resource in resources
    }
    _add_examples(paths, _read_examples())
    used = {tag for item in paths.values() for operation in item.values() for tag in operation["tags"]}
    return encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "cbox-init Management API",
                "version": __version__,
                "description": "Manages and inspects processes while they run.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}, {"certificate": []}, {}],
            "tags": [{"name": name, "description": text} for name, text, _ in _GROUPS if name in used],
            "paths": paths,
            "x-errors": KNOWN_ERRORS,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "api_auth or one of api_tokens, where they are set; "
                        "never needed on the Unix socket.",
                    },
                    "certificate": {
                        "type": "mutualTLS",
                        "description": "A client certificate, where api_tls asks for one; "
                        "its role is that of api_certificate_roles.",
                    },
                },
            },
        }
    )


def _group(path: str) -> str:
    path = path.removeprefix("/api/v1")
    return next(name for name, _, pattern in _GROUPS if re.fullmatch(pattern, path))


def _read_examples() -> dict[str, Example]:
    """By method and path; none where the file is not there."""
    try:
        with open(os.path.join(os.path.dirname(__file__), EXAMPLES), "rb") as file:
            return decode(file.read(), type=dict[str, Example])
    except (OSError, DecodeError):
        return {}


def _add_examples(paths: Paths, examples: Mapping[str, Example]) -> None:
    """Put the examples where they belong. A reply without one gets that of another of the same schema."""
    without: list[Json] = []
    by_schema: dict[bytes, object] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            example = examples.get(f"{method.upper()} {path}", Example())
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in example.parameters:
                    parameter["example"] = _typed(example.parameters[parameter["name"]], parameter["schema"])
            if "requestBody" in operation and example.bodies:
                _show(operation["requestBody"]["content"]["application/json"], example.bodies)
            for status, reply in operation["responses"].items():
                for media, content in reply["content"].items():
                    shown = [
                        one
                        for one in example.replies.get(status, ())
                        if isinstance(one, str) is (media != "application/json")
                    ]
                    if shown:
                        _show(content, shown)
                    if shown and status < "400":
                        by_schema.setdefault(_first_of(content["schema"]), shown[0])
                    elif not shown and status < "400":
                        without.append(content)
    for content in without:
        if (known := by_schema.get(_first_of(content["schema"]))) is not None:
            _show(content, [known])
    for item in paths.values():
        for operation in item.values():
            _show_errors(operation["responses"])


def _typed(text: str, schema: Json) -> object:
    """A value of the query or the path as its schema has it."""
    match schema.get("type"):
        case "array":
            return [text]
        case "integer":
            return int(text)
        case "boolean":
            return text == "true"
    return text


def _first_of(schema: Json) -> bytes:
    """A schema, or the first of several, as a key."""
    return encode(schema.get("anyOf", (schema,))[0])


def _show(content: Json, values: list[object]) -> None:
    if len(values) == 1:
        content["example"] = values[0]
    else:
        content["examples"] = {f"example{at}": {"value": one} for at, one in enumerate(values, 1)}


def _show_errors(responses: Mapping[str, Json]) -> None:
    """An error without an example of its own gets the first of its status in the catalogue."""
    from cbox_init.api.error_catalogue import KNOWN_ERRORS

    for status, reply in responses.items():
        content = reply["content"].get("application/json")
        if not status.isdigit() or status < "400" or content is None:
            continue
        if not {"example", "examples"} & content.keys():
            known = next((one for one in KNOWN_ERRORS if str(one.status) == status), None)
            if known is not None:
                text = re.sub(r"\{(\w+)\}", lambda word: _WORDS.get(word[1], "…"), known.error)
                content["example"] = {"error": text}


def _types(resources: Iterable[Resource]) -> list[object]:
    """Every type that the document refers to, each once."""
    types: dict[int, object] = {
        id(kind): kind for kind in (schemas.ErrorReply, schemas.LogEntry, schemas.MissedEvent)
    }
    for resource in resources:
        for operation in resource.operations.values():
            replies = operation.replies.values()
            found = [operation.body, *(one for reply in replies for one in (reply.type, *reply.others))]
            types |= {id(kind): kind for kind in found if kind is not None}
    return list(types.values())


def _operation(operation: Operation, schema_of: Mapping[int, Json]) -> Json:
    common = set(_COMMON_ERRORS) - ({401} if operation.role is None else set())
    errors = sorted({*operation.errors, *common})
    error_schema = schema_of[id(schemas.ErrorReply)]
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            **{str(status): _reply(reply, schema_of) for status, reply in operation.replies.items()},
            **{str(status): _error(status, error_schema) for status in errors},
            "default": {"description": _CONNECTION_ERRORS, "content": _json(error_schema)},
        },
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        # Any Content-Type is taken: existing clients leave it out.
        described["requestBody"] = {"required": True, "content": _json(schema_of[id(operation.body)])}
    if operation.role is None:
        described["security"] = []
        return described
    # Of 3.1 on, the list of a scheme that has no scopes names the roles that are needed.
    needed = [operation.role.value]
    described["security"] = [{"token": needed}, {"certificate": needed}, {}]
    described["x-required-role"] = operation.role.value
    if operation.limited or any(one.where == "path" and one.name == "name" for one in operation.parameters):
        described["x-limited-to-processes"] = True
    return described


def _reply(reply: Reply, schema_of: Mapping[int, Json]) -> Json:
    kinds = (reply.type, *reply.others)
    if reply.others:
        schema: Json = {"anyOf": [schema_of[id(kind)] for kind in kinds]}
    elif reply.type is not None:
        schema = schema_of[id(reply.type)]
    else:
        schema = {"type": "string" if reply.media.startswith("text/") else "object"}
    content: Json = {reply.media: {"schema": schema}}
    if reply.also is not None:
        content[reply.also] = {"schema": {"type": "string"}}
    described: Json = {"description": reply.description, "content": content}
    names_change = any("change" in getattr(kind, "__struct_fields__", ()) for kind in kinds)
    if names_change if reply.located is None else reply.located:
        described["headers"] = {
            "Location": {
                "description": "Where the change is shown that the request has begun.",
                "schema": {"type": "string"},
            }
        }
    return described


def _error(status: int, schema: Json) -> Json:
    reply: Json = {"description": _ERRORS.get(status, HTTPStatus(status).phrase), "content": _json(schema)}
    if status == 401:
        reply["headers"] = {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
    elif status == 429:
        reply["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return reply


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _schema_of_any(kind: type) -> Json:
    """The schema of a type that msgspec does not know: only ``object``, any JSON value."""
    if kind is object:
        return {}
    raise NotImplementedError
