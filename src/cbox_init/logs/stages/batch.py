"""What one stage gives to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cbox_init.config.model.enums import LogLevel

MASK: Final = "***"
"""Stands for a secret, and for a record that cannot be searched for secrets."""


class LineBatch(Struct, frozen=True, gc=False):
    """Records that have time, level and fields in common: the lines of ``text``, or all of it when
    ``single``.

    In ``text``, bytes that are not UTF-8 are lone surrogates. ``level`` is None until a stage has found
    one. ``fields`` is a JSON object, empty for none. ``line`` is the whole line where ``text`` is the
    message taken out of it.
    """

    text: str
    time_ns: int
    single: bool = False
    level: LogLevel | None = None
    fields: bytes = b""
    line: str | None = None

    def __len__(self) -> int:
        """Number of records."""
        return 1 if self.single else self.text.count("\n") + 1

    def split(self) -> list[LineBatch]:
        """A batch for each record."""
        return [self] if self.single else [self.with_text(line) for line in self.text.split("\n")]

    def with_text(self, text: str) -> LineBatch:
        return LineBatch(text, self.time_ns, self.single, self.level, self.fields, self.line)

    def with_level(self, level: LogLevel) -> LineBatch:
        return LineBatch(self.text, self.time_ns, self.single, level, self.fields, self.line)


def runs(text: str, starts: Sequence[int], others: bool) -> Iterator[tuple[bool, str]]:
    """Splits ``text`` into runs of lines in order: whether a run's lines are those at ``starts``, and the
    run.

    Without ``others`` only the runs of those at ``starts``.
    """
    at = 0
    begin = 0
    while begin < len(starts):
        first = starts[begin]
        if others and first > at:
            yield False, text[at : first - 1]
        end = text.find("\n", first)
        begin += 1
        while end >= 0 and begin < len(starts) and starts[begin] == end + 1:
            end = text.find("\n", end + 1)
            begin += 1
        yield True, text[first : end if end >= 0 else None]
        if end < 0:
            return
        at = end + 1
    if others and (at or not starts):
        yield False, text[at:]
