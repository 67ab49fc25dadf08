"""The OpenAPI 3.1 document, made from the resources and the types that the routes use."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from msgspec.json import schema_components

from cbox_init import __version__
from cbox_init.api import schemas
from cbox_init.api.replies import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cbox_init.api.resource import Operation, Parameter, Reply, Resource

Json = dict[str, object]

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

_CONNECTION_ERRORS: Final = (
    "What is refused before there is an operation: 400 (not HTTP), 408, 431 (headers too large), "
    "503 (too many connections; a change whose audit record cannot be written, with audit_required)."
)


def document(resources: Iterable[Resource]) -> bytes:
    """The document for these resources, as JSON."""
    resources = tuple(resources)
    types = _types(resources)
    references, components = schema_components(types, schema_hook=_schema_of_any, ref_template=_REF)
    schema_of = {id(kind): reference for kind, reference in zip(types, references, strict=True)}
    paths = {
        resource.path: {
            method.lower(): _operation(operation, schema_of)
            for method, operation in resource.operations.items()
        }
        for resource in resources
    }
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
            "paths": paths,
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
