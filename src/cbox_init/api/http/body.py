"""Where the body of a request ends in the bytes of a connection. Pure."""

from __future__ import annotations

import re
from typing import Final

from cbox_init.api.http.head import bad_request

#: The line before a chunk: its size, and extensions that are ignored.
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\0]*)?\r\n")
_LONGEST_LINE: Final = 256

#: Bytes of headers behind the last chunk, which are ignored.
_MOST_TRAILERS: Final = 8 * 1024

#: Sizes and line ends may take as many bytes as the body itself and this: chunks of a byte are an attack.
_MOST_FRAMING: Final = 16 * 1024


class SizedBody:
    """A body whose length was declared. ``left`` is what is still to come."""

    def __init__(self, length: int) -> None:
        self.left: int | None = length

    @property
    def complete(self) -> bool:
        return self.left == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split what came into a part of the body and what is behind its end."""
        assert self.left is not None
        body = data[: self.left]
        self.left -= len(body)
        return body, data[len(body) :]


class ChunkedBody:
    """A body in chunks (RFC 9112 7.1), read strictly."""

    #: Nobody knows how much is still to come.
    left: Final = None

    def __init__(self) -> None:
        self.complete = False
        self._part = b""  # of a line
        self._chunk = 0  # bytes of the present chunk with its line end that are still to come
        self._in_trailers = False
        self._framing = 0
        self._size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split what came into a part of the body and what is behind its end; raises HttpError."""
        data = self._part + data
        self._part = b""
        at, pieces = 0, []
        while not self.complete:
            if self._chunk:
                piece, at = self._of_chunk(data, at)
                pieces.append(piece)
                if self._chunk:
                    break
            elif (end := self._line(data, at)) is None:
                return b"".join(pieces), b""
            else:
                at = end
        return b"".join(pieces), data[at:]

    def _line(self, data: bytes, at: int) -> int | None:
        """Take the line at ``at``: the place behind it, or None when its end has not come yet."""
        end = data.find(b"\n", at)
        if end < 0:
            self._part = data[at:]
            if len(self._part) > (_MOST_TRAILERS if self._in_trailers else _LONGEST_LINE):
                raise bad_request()
            return None
        end += 1
        self._framing += end - at
        if self._in_trailers:
            self._trailer(data[at:end])
        else:
            found = _SIZE.fullmatch(data, at, end)
            if found is None or end - at > _LONGEST_LINE:
                raise bad_request("the size of a chunk is wrong")
            size = int(found[1], 16)
            self._size += size
            self._in_trailers = size == 0
            self._chunk = size + 2 if size else 0
            if self._framing > _MOST_FRAMING + self._size:
                raise bad_request("the chunks of the body are too small")
        return end

    def _trailer(self, line: bytes) -> None:
        if line == b"\r\n":
            self.complete = True
        elif not line.endswith(b"\r\n") or line[:1] in b" \t" or b":" not in line:
            raise bad_request()
        elif self._framing > _MOST_FRAMING + _MOST_TRAILERS + self._size:
            raise bad_request("the headers behind the body are too large")

    def _of_chunk(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The part of the present chunk that begins at ``at``, and the place behind it."""
        wanted = max(0, self._chunk - 2)
        piece = data[at : at + wanted]
        at += len(piece)
        self._chunk -= len(piece)
        if self._chunk <= 2:
            for expected in b"\r\n"[2 - self._chunk :]:
                if at == len(data):
                    break
                if data[at] != expected:
                    raise bad_request("a chunk is longer than its size")
                at += 1
                self._chunk -= 1
                self._framing += 1
        return piece, at
