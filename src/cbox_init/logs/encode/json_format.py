"""Records as JSON, one block at a time.

All newlines of a block become DEL, the block becomes one JSON string in one call, and each DEL becomes the
end of one record and the beginning of the next. JSON does not escape DEL, so this works for every block
that contains none; other blocks, and those that are not UTF-8, are encoded line by line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.json import Encoder

from cbox_init.logs.encode.base import Timestamps, encodable
from cbox_init.logs.record import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.encode.base import Field
    from cbox_init.logs.record import Block, RecordSource

_DEL = b"\x7f"


class JsonFormat:
    """``{"time":…,"level":…,"msg":…}``, followed by the members that name the source."""

    def __init__(self, *, timestamps: bool) -> None:
        self._clock = Timestamps() if timestamps else None
        self._encode = Encoder().encode
        # One value, so that no thread sees half of a change. The records of one read share it.
        self._last: tuple[int, LogLevel | None, bytes] = (-1, None, b"")

    def encoder(self, source: RecordSource, labels: Mapping[str, str]) -> JsonBlocks:
        members: dict[str, object] = {
            "process": encodable(source.process),
            "instance_id": encodable(source.instance),
            "stream": source.stream,
        }
        whole = self._members(members)
        part = self._members(members | {"partial": True})
        if labels:
            marked = self._members({"labels": {encodable(k): encodable(v) for k, v in labels.items()}})
            whole, part = whole + marked, part + marked
        return JsonBlocks(self, suffix=whole + b"}\n", partial_suffix=part + b"}\n")

    def message(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> bytes:
        members: dict[str, object] = {
            name: encodable(value) if isinstance(value, str) else value
            for name, value in fields.items()
            if value is not None
        }
        return b"".join(
            (self.head(time_ns, level), self._encode(encodable(message)), self._members(members), b"}\n")
        )

    def head(self, time_ns: int, level: LogLevel) -> bytes:
        """Everything before the value of ``msg``."""
        if self._clock is None:
            return f'{{"level":"{level.name}","msg":'.encode()
        last = self._last
        if last[0] != time_ns or last[1] is not level:
            head = f'{{"time":"{self._clock.nanoseconds(time_ns)}","level":"{level.name}","msg":'.encode()
            self._last = last = (time_ns, level, head)
        return last[2]

    def _members(self, members: Mapping[str, object]) -> bytes:
        """The members of an object that already has some."""
        return b"," + self._encode(members)[1:-1] if members else b""


class JsonBlocks:
    """Encodes the blocks of one source."""

    __slots__ = ("_encode", "_head", "_partial_suffix", "_suffix")

    def __init__(self, form: JsonFormat, *, suffix: bytes, partial_suffix: bytes) -> None:
        self._head = form.head
        self._encode = Encoder().encode
        self._suffix = suffix
        self._partial_suffix = partial_suffix

    def __call__(self, block: Block) -> Encoded:
        data = block.data
        head = self._head(block.time_ns, block.level)
        suffix = self._partial_suffix if block.partial else self._suffix
        if block.single:
            message = self._encode(data.decode("utf-8", "backslashreplace"))
            if block.fields:
                suffix = b"".join((suffix[:-2], b",", block.fields[1:], b"\n"))
            record = b"".join((head, message, suffix))
            return Encoded(record if record.isascii() else _escape_separators(record), 1)
        if _DEL not in data:
            try:
                text = str(data.replace(b"\n", _DEL), "utf-8")
            except UnicodeDecodeError:
                pass
            else:
                # The string's own quotes are its first and last byte; the inner ones come with the seam.
                seam = b'"' + suffix + head + b'"'
                message = self._encode(text)
                messages = message.replace(_DEL, seam)
                records = 1 + (len(messages) - len(message)) // (len(seam) - len(_DEL))
                if not text.isascii():
                    messages = _escape_separators(messages)
                return Encoded(b"".join((head, messages, suffix)), records)
        encode = self._encode
        lines = [encode(line.decode("utf-8", "backslashreplace")) for line in data.split(b"\n")]
        return Encoded(b"".join((head, _escape_separators((suffix + head).join(lines)), suffix)), len(lines))


def _escape_separators(messages: bytes) -> bytes:
    """Escape U+0085, U+2028 and U+2029, which JSON allows but many readers take for line ends."""
    messages = messages.replace(b"\xc2\x85", b"\\u0085")
    return messages.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
