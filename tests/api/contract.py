"""Holds every reply against the API's own description of itself.

For any test that talks to a daemon: ``Contract.fetch(client)``, then ``contract.watch(client)``; from then on
each reply that the client receives is checked, and a reply that the document does not allow is an
AssertionError in the test that asked.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    import httpx

DOCUMENT = "/api/v1/openapi.json"

#: The member of the replies to commands that the description of the API by others does not have.
CHANGE = re.compile(rb',"change":"[0-9a-f]+-[0-9]+"(?=}$)')

#: What the document's ``default`` stands for: refusals of a connection, before there is an operation.
CONNECTION_STATUSES = {400, 408, 431, 503}


def as_others_have_it(content: bytes) -> bytes:
    """The reply to a command, without the member that this daemon adds behind all others."""
    assert CHANGE.search(content), content
    return CHANGE.sub(b"", content)


class Contract:
    """An OpenAPI document that replies are held against."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in sorted(document["paths"])
        ]

        self._errors = [
            re.compile(re.sub(r"\\\{\w+\\\}", ".*", re.escape(one["error"])), re.DOTALL)
            for one in document["x-errors"]
        ]

    @classmethod
    async def fetch(cls, client: httpx.AsyncClient) -> Contract:
        """The document of the daemon that ``client`` talks to."""
        return cls((await client.get(DOCUMENT)).raise_for_status().json())

    def watch(self, client: httpx.AsyncClient) -> None:
        """Check every reply that ``client`` receives."""
        client.event_hooks = {"response": [self._check_response]}

    async def _check_response(self, response: httpx.Response) -> None:
        media = response.headers.get("content-type", "")
        body = b"" if media.startswith("text/event-stream") else await response.aread()
        request = response.request
        raw_path = request.url.raw_path.partition(b"?")[0].decode()
        self.check(request.method, raw_path, response.status_code, response.headers, body)

    def check(self, method: str, path: str, status: int, headers: httpx.Headers, body: bytes) -> None:
        """Raise AssertionError when the document does not allow this reply."""
        template = next((name for pattern, name in self._paths if pattern.fullmatch(path)), None)
        if template is None and (path in ("/", "/docs") or path.startswith("/assets/")):
            assert status in {200, 304, 401, 403, 404, 405, 429, 503, *CONNECTION_STATUSES}
            return  # the pages, which the document does not describe; see test_pages.py
        if template is None:
            assert status in {401, 403, 404, 429, *CONNECTION_STATUSES}, (
                f"{status} for an unknown path {path}"
            )
            self._check_error(headers, body, method)
            return
        operations = self.document["paths"][template]
        operation = operations.get(("get" if method == "HEAD" else method).lower())
        if operation is None:
            assert status in {401, 405, 413, 429}, f"{status} for {method} {template}, which is not described"
            if status == 405:
                self._check_allow(headers, operations)
            self._check_error(headers, body, method)
            return
        reply = operation["responses"].get(str(status))
        if reply is None:
            assert status in CONNECTION_STATUSES, f"{method} {template} does not describe {status}: {body!r}"
            self._check_error(headers, body, method)
            return
        for name, header in reply.get("headers", {}).items():
            assert name in headers, f"{status} without {name}"
            value: object = headers[name]
            if header["schema"].get("type") == "integer":
                value = int(headers[name])
            self.validate(header["schema"], value)
        media = headers["content-type"].partition(";")[0]
        assert media in reply["content"], f"{method} {template} {status} does not describe {media}"
        if media == "application/json" and method != "HEAD":
            self.validate(reply["content"][media]["schema"], json.loads(body))

    def validate_as(self, name: str, value: object) -> None:
        """Raise when ``value`` is not what the document calls ``name``."""
        self.validate({"$ref": f"#/components/schemas/{name}"}, value)

    def _check_error(self, headers: httpx.Headers, body: bytes, method: str) -> None:
        assert headers["content-type"] == "application/json"
        if method != "HEAD":
            reply = json.loads(body)
            self.validate_as("ErrorReply", reply)
            self._check_known(reply["error"])

    def _check_known(self, error: str) -> None:
        """Raise AssertionError when the catalogue of errors does not have this text."""
        assert any(known.fullmatch(error) for known in self._errors), (
            f"{error!r} is not in api/error_catalogue.py"
        )

    def _check_allow(self, headers: httpx.Headers, operations: dict[str, Any]) -> None:
        described = {method.upper() for method in operations}
        allowed = set(headers["allow"].split(", "))
        assert allowed == described | ({"HEAD"} if "GET" in described else set())

    def validate(self, schema: dict[str, Any], value: object) -> None:
        """Raise when the schema, which may refer to the document, does not allow ``value``."""
        Draft202012Validator({**schema, "components": self.document["components"]}).validate(value)
