"""Records as text (``key=value``), quoted like Go's slog, one block at a time where possible.

Deleting all ordinary printable characters from a block leaves its shape (newlines, characters that need
quotes, anything else), which says how to encode it without a look at each line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, json

from cbox_init.logs.encode.base import Timestamps, encodable
from cbox_init.logs.record import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.encode.base import Field
    from cbox_init.logs.encode.colours import Colours
    from cbox_init.logs.record import Block, RecordSource

_QUOTING = b' ="'
_ORDINARY = bytes(byte for byte in range(0x21, 0x7F) if byte not in _QUOTING)
_DECODE = json.Decoder(dict[str, Raw]).decode
_OTHER = b"?"
_SHAPE = bytes(byte if byte == 0x0A else 0x22 if byte in _QUOTING else _OTHER[0] for byte in range(256))
"""For bytes.translate: keeps a newline, ``"`` stands for characters that need quotes, ``?`` for all
others."""

_ESCAPES = {
    '"': r"\"",
    "\\": r"\\",
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}


class TextFormat:
    """``time=… level=… msg=…``, followed by the members that name the source."""

    def __init__(self, *, timestamps: bool, colours: Colours | None = None) -> None:
        self._clock = Timestamps() if timestamps else None
        self._colours = colours

    def encoder(self, source: RecordSource, labels: Mapping[str, str]) -> TextBlocks:
        members: dict[str, Field] = {
            "process": source.process,
            "instance_id": source.instance,
            "stream": source.stream,
        }
        marked = _members({f"labels.{key}": value for key, value in labels.items()})
        whole = _members(members) + marked
        part = _members(members | {"partial": True}) + marked
        if self._colours is not None:
            whole, part = (self._colours.of_process(source.process, text) for text in (whole, part))
        return TextBlocks(self, suffix=f"{whole}\n".encode(), partial_suffix=f"{part}\n".encode())

    def message(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> bytes:
        return self.head(time_ns, level) + f"{quoted(encodable(message))}{_members(fields)}\n".encode()

    def head(self, time_ns: int, level: LogLevel) -> bytes:
        """Everything before the value of ``msg``."""
        name = level.name if self._colours is None else self._colours.of_level(level)
        if self._clock is None:
            return f"level={name} msg=".encode()
        return f"time={self._clock.milliseconds(time_ns)} level={name} msg=".encode()


class TextBlocks:
    """Encodes the blocks of one source."""

    __slots__ = ("_head", "_partial_suffix", "_suffix")

    def __init__(self, form: TextFormat, *, suffix: bytes, partial_suffix: bytes) -> None:
        self._head = form.head
        self._suffix = suffix
        self._partial_suffix = partial_suffix

    def __call__(self, block: Block) -> Encoded:
        head = self._head(block.time_ns, block.level)
        suffix = self._partial_suffix if block.partial else self._suffix
        if block.single:
            message = quoted(block.data.decode("utf-8", "backslashreplace")).encode()
            if block.fields:
                suffix = b"".join((suffix[:-1], _fields(block.fields), b"\n"))
            return Encoded(b"".join((head, message, suffix)), 1)
        values, records = _values(block.data, suffix + head)
        return Encoded(b"".join((head, values, suffix)), records)


def quoted(value: str) -> str:
    """``value`` as it is written behind ``=``: in quotes when it is empty or contains a character that
    needs them."""
    if value.isprintable():
        if value and not (" " in value or "=" in value or '"' in value):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    escapes = {character: _escaped(character) for character in set(value)}
    return '"' + "".join([escapes[character] for character in value]) + '"'


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _values(data: bytes, seam: bytes) -> tuple[bytes, int]:
    """The lines of a block, each quoted where needed, joined by ``seam``, and their number."""
    shape = data.translate(_SHAPE, _ORDINARY)
    if _OTHER in shape:
        lines = [quoted(line.decode("utf-8", "backslashreplace")).encode() for line in data.split(b"\n")]
    elif b"\n\n" in shape or shape[:1] != b'"' or shape[-1:] != b'"':
        lines = [
            _in_quotes(line) if special or not line else line
            for line, special in zip(data.split(b"\n"), shape.split(b"\n"), strict=True)
        ]
    else:  # every line needs quotes: encode the whole block at once
        seam = b'"' + seam + b'"'
        block = _in_quotes(data)
        values = block.replace(b"\n", seam)
        return values, 1 + (len(values) - len(block)) // (len(seam) - 1)
    return seam.join(lines), len(lines)


def _in_quotes(printable: bytes) -> bytes:
    return b'"' + printable.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _fields(fields: bytes) -> bytes:
    """The members of a JSON object as text; values other than texts, numbers and words stay JSON."""
    return "".join(
        f" {quoted(name)}={quoted(_plain(bytes(value)))}" for name, value in _DECODE(fields).items()
    ).encode()


def _plain(value: bytes) -> str:
    return encodable(json.decode(value, type=str)) if value[:1] == b'"' else value.decode()


def _members(fields: Mapping[str, Field]) -> str:
    return "".join(
        f" {quoted(encodable(name))}={_value(value)}" for name, value in fields.items() if value is not None
    )


def _value(value: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(encodable(value)) if isinstance(value, str) else str(value)
