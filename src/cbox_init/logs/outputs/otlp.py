"""Sends records as OpenTelemetry logs over HTTP with JSON."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import DecodeError, Raw, Struct, field, json

from cbox_init import __version__
from cbox_init.config.model.enums import LogLevel
from cbox_init.decoders import decoder_of
from cbox_init.imports import whole
from cbox_init.logs.encode.base import encodable
from cbox_init.logs.record import Encoded
from cbox_init.logs.writer import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from cbox_init.config.secret import Secret
    from cbox_init.logs.encode.base import Field
    from cbox_init.logs.outputs.retry import Retry
    from cbox_init.logs.record import Block, RecordSource

_TIMEOUT_S: Final = 10.0
_LATER: Final = (408, 425, 429, 502, 503, 504)
_TOO_LARGE: Final = 413
_FOR_CONTENT: Final = (400, _TOO_LARGE, 422)
_MOST_REFUSALS: Final = 64  # requests for one batch; a collector that refuses everything is not asked more
_SCOPE: Final = json.encode({"name": "cbox-init", "version": __version__})
_INT_64: Final = 2**63
_RAW_MEMBERS: Final = json.Decoder(dict[str, Raw]).decode
_SEVERITIES: Final = {LogLevel.DEBUG: 5, LogLevel.INFO: 9, LogLevel.WARN: 13, LogLevel.ERROR: 17}


class OtlpFormat:
    """Encodes each record as a logRecord followed by a comma. What records share is added by the request."""

    def encoder(self, source: RecordSource, labels: Mapping[str, str]) -> OtlpBlocks:
        return OtlpBlocks(source, labels)

    def message(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> bytes:
        shown = {name: value for name, value in fields.items() if value is not None}
        return _record(time_ns, level, encodable(message), _attributes(shown))


class OtlpBlocks:
    """Encodes the blocks of one source."""

    __slots__ = ("_attributes",)

    def __init__(self, source: RecordSource, labels: Mapping[str, str]) -> None:
        marked = {f"labels.{name}": value for name, value in labels.items()}
        self._attributes = _attributes({"log.iostream": source.stream, **marked})

    def __call__(self, block: Block) -> Encoded:
        attributes = self._attributes
        if block.partial:
            attributes = attributes + _attributes({"partial": True})
        if block.fields:
            attributes = attributes + _attributes(_members(block.fields))
        lines = [block.data] if block.single else block.data.split(b"\n")
        records = [
            _record(block.time_ns, block.level, line.decode("utf-8", "backslashreplace"), attributes)
            for line in lines
        ]
        return Encoded(b"".join(records), len(records))


class OtlpBackend:
    """Posts to ``url``. Requests that fail for now are sent again; records that are refused are lost.

    A request whose answer is lost is sent again, so that records may arrive twice.
    """

    def __init__(self, url: str, headers: Mapping[str, Secret], retry: Retry) -> None:
        self._url = url
        self._headers = headers
        self._retry = retry
        self._client: httpx.Client | None = None

    def write(self, chunks: list[Chunk]) -> int:
        """Deliver all chunks; returns the number of records that were refused or given up.

        A request that is refused for its content is sent again in halves, to lose only the cause.
        """
        if self._retry.drops:
            return _records(chunks)
        lost = 0
        refusals = 0
        waiting = [chunks] if chunks else []
        while waiting:
            batch = waiting.pop()
            answer = self._deliver(batch)
            if isinstance(answer, int):
                lost += answer
                continue
            refusals += not answer.too_large
            if len(batch) == 1 and batch[0].records > 1:
                batch = _split(batch[0])
            if len(batch) == 1 or (refusals > _MOST_REFUSALS and not answer.too_large):
                self._retry.refused(answer.reason)
                lost += _records(batch)
                continue
            half = len(batch) // 2
            waiting += [batch[half:], batch[:half]]
        return lost

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def reopen(self) -> None:
        """Retry at once when waiting."""
        self._retry.hurry()

    def _deliver(self, batch: list[Chunk]) -> int | _Refused:
        """The number of records that are lost; or why the request was refused for what is in it."""
        with whole():  # the event loop may just be imported, without ssl
            import httpx

        body = _request(batch)
        never = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
        while not self._retry.given_up:
            pause_s, hold_s = 0.0, inf
            try:
                response = self._open().post(self._url, content=body)
            except (httpx.HTTPError, OSError) as error:
                reason = str(error) or type(error).__name__
                hold_s = 0.0 if isinstance(error, never) else inf
            except Exception as error:  # noqa: BLE001  # such as a proxy in the environment that cannot be used
                reason = f"{type(error).__name__}: {error}"
                hold_s = 0.0
                self.close()
            else:
                if response.is_success:
                    self._retry.over()
                    return self._rejected(response)
                reason = f"answered with {response.status_code}"
                if response.status_code in _FOR_CONTENT:
                    return _Refused(reason, too_large=response.status_code == _TOO_LARGE)
                if response.status_code not in _LATER:
                    self._retry.refused(reason)
                    return _records(batch)
                pause_s = _seconds(response.headers.get("retry-after", ""))
            if not self._retry.failed(reason, hold_s=hold_s, at_least_s=pause_s):
                break
        return _records(batch)

    def _rejected(self, response: httpx.Response) -> int:
        """How many records of an accepted request the collector has rejected."""
        try:
            found = decoder_of(_Response).decode(response.content) if response.content else _Response()
        except DecodeError:  # an answer that says nothing
            return 0
        rejected = int(found.partial_success.rejected_log_records)  # 64 bits are a text in this JSON
        if rejected:
            self._retry.refused(found.partial_success.error_message or "the collector does not say why")
        return rejected

    def _open(self) -> httpx.Client:
        if self._client is None:
            import httpx

            own = {name: value.reveal() for name, value in self._headers.items()}
            about = {"Content-Type": "application/json", "User-Agent": f"cbox-init/{__version__}"}
            self._client = httpx.Client(headers={**about, **own}, timeout=_TIMEOUT_S)
        return self._client


class _Refused(NamedTuple):
    """A request that the collector does not take for what is in it."""

    reason: str
    too_large: bool


class _PartialSuccess(Struct, rename="camel"):
    rejected_log_records: int | str = 0
    error_message: str = ""


class _Response(Struct, rename="camel"):
    partial_success: _PartialSuccess = field(default_factory=_PartialSuccess)


def _request(chunks: list[Chunk]) -> bytes:
    """The body of a request: the records grouped by resource, each group in order."""
    groups: dict[RecordSource | None, list[bytes]] = {}
    for chunk in chunks:
        groups.setdefault(chunk.source and chunk.source._replace(stream=""), []).append(chunk.data)
    resources = [
        b'{"resource":{"attributes":%s},"scopeLogs":[{"scope":%s,"logRecords":[%s]}]}'
        % (_list(_resource(source)), _SCOPE, b"".join(parts)[:-1])
        for source, parts in groups.items()
    ]
    return b'{"resourceLogs":[%s]}' % b",".join(resources)


def _split(chunk: Chunk) -> list[Chunk]:
    """A chunk for each record."""
    records = json.decode(b"[%s]" % chunk.data[:-1], type=list[Raw])
    return [Chunk(bytes(record) + b",", 1, chunk.source) for record in records]


def _resource(source: RecordSource | None) -> bytes:
    name, instance = (source.process, source.instance) if source else ("cbox-init", "")
    members = {"service.name": name, "service.instance.id": instance, "host.name": os.uname().nodename}
    return _attributes({key: value for key, value in members.items() if value})


def _record(time_ns: int, level: LogLevel, message: str, attributes: bytes) -> bytes:
    return (
        b'{"timeUnixNano":"%d","severityNumber":%d,"severityText":"%s","body":{"stringValue":%s},"attributes":%s},'
        % (time_ns, _SEVERITIES[level], level.name.encode(), json.encode(message), _list(attributes))
    )


def _attributes(members: Mapping[str, object]) -> bytes:
    """Attributes as JSON, with a comma behind each."""
    return b"".join(
        [
            b'{"key":%s,"value":%s},' % (json.encode(encodable(name)), json.encode(_value(value)))
            for name, value in members.items()
        ]
    )


def _members(fields: bytes) -> dict[str, object]:
    """The members of a JSON object. A number that cannot be decoded is a text, and so is what is nested."""
    return {name: _decoded(bytes(value)) for name, value in _RAW_MEMBERS(fields).items()}


def _decoded(value: bytes) -> object:
    if value[:1] in b"[{":
        return value.decode()
    try:
        return json.decode(value)
    except DecodeError:
        return value.decode()


def _list(attributes: bytes) -> bytes:
    return b"[%s]" % attributes[:-1]


def _value(value: object) -> dict[str, object]:
    """An AnyValue; lists and objects are given as JSON texts."""
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -_INT_64 <= value < _INT_64:
            return {"intValue": str(value)}
        case int():
            return {"stringValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": encodable(value)}
    return {"stringValue": json.encode(value).decode()}  # null


def _records(chunks: list[Chunk]) -> int:
    return sum([chunk.records for chunk in chunks])


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0
