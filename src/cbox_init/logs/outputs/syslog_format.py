"""Encodes records as syslog messages (RFC 5424).

A message is queued as it is sent over TCP: its length, a blank, and its bytes (octet counting, RFC 6587),
so that a record of several lines stays one message.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from msgspec import Raw, json

from cbox_init.config.model import SyslogFacility
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.encode.base import Timestamps, encodable
from cbox_init.logs.record import Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cbox_init.logs.encode.base import Field
    from cbox_init.logs.record import Block, RecordSource

MESSAGE_BYTES: Final = 8000
"""The largest message: rsyslog's default limit is 8,096 bytes, over TCP as well."""

_ENTERPRISE: Final = "32473"  # the number that RFC 5612 reserves for examples
_LONGEST_CHARACTER: Final = 4
_HOST_LENGTH: Final = 255
_APP_NAME_LENGTH: Final = 48
_PROCID_LENGTH: Final = 128
_PARAM_NAME_LENGTH: Final = 32

_FACILITIES: Final = {
    SyslogFacility.USER: 1,
    SyslogFacility.DAEMON: 3,
    SyslogFacility.AUTH: 4,
    SyslogFacility.CRON: 9,
    SyslogFacility.AUTHPRIV: 10,
    **{SyslogFacility(f"local{number}"): 16 + number for number in range(8)},
}
_RAW_MEMBERS: Final = json.Decoder(dict[str, Raw]).decode
_NOT_IN_PARAMS: Final = str.maketrans('="]', "___")
_SEVERITIES: Final = {LogLevel.DEBUG: 7, LogLevel.INFO: 6, LogLevel.WARN: 4, LogLevel.ERROR: 3}


class SyslogFormat:
    """APP-NAME is the process, PROCID the instance, MSGID the stream; everything else is structured data.

    A record that is too long for a message becomes several, all but the last marked as partial.
    """

    def __init__(self, facility: SyslogFacility) -> None:
        self._facility = _FACILITIES[facility]
        self._clock = Timestamps()
        self._host = _name(os.uname().nodename, _HOST_LENGTH)

    def encoder(self, source: RecordSource, labels: Mapping[str, str]) -> SyslogBlocks:
        return SyslogBlocks(self, source, labels)

    def message(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> bytes:
        shown = {name: _text(value) for name, value in fields.items() if value is not None}
        head = f"{self.head(time_ns, level)} cbox-init {os.getpid()} - "
        whole = f"{head}{_element('cbox', shown) if shown else '-'} "
        part = f"{head}{_element('cbox', {**shown, 'partial': 'true'})} "
        return b"".join(self.messages(whole, part, encodable(message).encode()))

    def head(self, time_ns: int, level: LogLevel) -> str:
        """Everything before APP-NAME."""
        priority = self._facility * 8 + _SEVERITIES[level]
        return f"<{priority}>1 {self._clock.microseconds(time_ns)} {self._host}"

    def messages(self, whole: str, part: str, text: bytes) -> Iterator[bytes]:
        """The messages of one record. All but the last begin with ``part``, the last with ``whole``."""
        head = part.encode()
        room = max(MESSAGE_BYTES - len(head), MESSAGE_BYTES // 4)
        while len(text) > room:
            end = _character_start(text, room)
            yield _framed(head + text[:end])
            text = text[end:]
        yield _framed(whole.encode() + text)


class SyslogBlocks:
    """Encodes the blocks of one source."""

    __slots__ = ("_form", "_names", "_part", "_whole")

    def __init__(self, form: SyslogFormat, source: RecordSource, labels: Mapping[str, str]) -> None:
        self._form = form
        app, instance = _name(source.process, _APP_NAME_LENGTH), _name(source.instance, _PROCID_LENGTH)
        self._names = f"{app} {instance} {source.stream} "
        members = source._asdict()
        marked = _element("labels", labels) if labels else ""
        self._whole = _element("cbox", members) + marked
        self._part = _element("cbox", {**members, "partial": "true"}) + marked

    def __call__(self, block: Block) -> Encoded:
        form = self._form
        head = f"{form.head(block.time_ns, block.level)} {self._names}"
        fields = _fields(block.fields) if block.fields else ""
        part = f"{head}{self._part}{fields} "
        whole = part if block.partial else f"{head}{self._whole}{fields} "
        lines = [block.data] if block.single else block.data.split(b"\n")
        messages = [one for line in lines for one in form.messages(whole, part, _utf8(line))]
        return Encoded(b"".join(messages), len(lines))


def messages_in(data: bytes) -> Iterator[bytes]:
    """The messages of a chunk, each with its length before it."""
    start = 0
    while start < len(data):
        blank = data.index(b" ", start)
        end = blank + 1 + int(data[start:blank])
        yield data[start:end]
        start = end


def without_length(message: bytes) -> bytes:
    """A message as it is sent in a datagram."""
    return message[message.index(b" ") + 1 :]


def _framed(message: bytes) -> bytes:
    return b"%d %s" % (len(message), message)


def _element(name: str, members: Mapping[str, str]) -> str:
    """An SD-ELEMENT. Characters that a name cannot contain are replaced."""
    shown = "".join([f' {_param(key)}="{_escaped(value)}"' for key, value in members.items()])
    return f"[{name}@{_ENTERPRISE}{shown}]"


def _fields(fields: bytes) -> str:
    """The members of a JSON object; values other than texts are JSON."""
    shown = {
        key: json.decode(value, type=str) if bytes(value)[:1] == b'"' else bytes(value).decode()
        for key, value in _RAW_MEMBERS(fields).items()
    }
    return _element("fields", shown)


def _param(name: str) -> str:
    return _name(name, _PARAM_NAME_LENGTH).translate(_NOT_IN_PARAMS)


def _escaped(value: str) -> str:
    return encodable(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _name(text: str, length: int) -> str:
    """``text`` as printable ASCII without blanks, and no longer than ``length``."""
    return "".join([one if "!" <= one <= "~" else "_" for one in text[:length]]) or "-"


def _text(value: Field) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _utf8(line: bytes) -> bytes:
    """``line`` with bytes that are not UTF-8 written as ``\\xNN``."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("utf-8", "backslashreplace").encode()
    return line


def _character_start(text: bytes, at: int) -> int:
    """The start of the UTF-8 character around ``at``."""
    for start in range(at, at - _LONGEST_CHARACTER, -1):
        if text[start] & 0xC0 != 0x80:
            return start
    return at
