"""Masks secrets before a line goes anywhere: standard output, the ring, the API.

Each pattern is applied to a whole block at once; the expressions are written so that no match leaves its
line. A record that cannot be searched in time is masked completely.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.logs.framing import LINE_LIMIT
from cbox_init.logs.stages.batch import MASK
from cbox_init.logs.stages.guard import TooSlow, pieces

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from cbox_init.logs.stages.batch import LineBatch
    from cbox_init.logs.stages.guard import SearchGuard
    from cbox_init.patterns.compile import Pattern

OVERLAP: Final = 4 * 1024
"""Bytes that are searched behind a cut of a long line, to find a secret across it. A longer secret may be
masked in part."""


class RedactionRule:
    """One pattern and the replacement of its matches, a template of ``re``.

    With ``holds``, only matches for which it is true are replaced.
    """

    __slots__ = ("_holds", "_needles", "_replacement", "lines", "probe", "record")

    def __init__(
        self, pattern: Pattern, replacement: str, holds: Callable[[re.Match[str]], bool] | None = None
    ) -> None:
        self.lines = pattern.lines
        self.record = pattern.record
        self.probe = pattern.probe
        self._needles = pattern.needles
        self._holds = holds
        self._replacement: str | Callable[[re.Match[str]], str] = replacement
        if holds is not None:
            self._replacement = lambda match: match.expand(replacement) if self.is_one(match) else match[0]

    def is_one(self, match: re.Match[str]) -> bool:
        return self._holds is None or self._holds(match)

    def may_match(self, text: str) -> bool:
        return self._needles is None or self._needles.may_match(text)

    def over_lines(self, text: str) -> str:
        return self.lines.sub(self._replacement, text)

    def over_record(self, text: str) -> str:
        return self.record.sub(self._replacement, text)


class Redaction:
    """The rules of one process, applied one after another."""

    __slots__ = ("_guard", "_rules")

    overlap = OVERLAP

    def __init__(self, rules: Sequence[RedactionRule], guard: SearchGuard) -> None:
        self._rules = tuple(rules)
        self._guard = guard

    def __call__(self, batch: LineBatch) -> LineBatch:
        text = self.record(batch.text) if batch.single else self._lines(batch.text)
        return batch if text is batch.text else batch.with_text(text)

    def record(self, text: str) -> str:
        """One record without its secrets."""
        for rule in self._rules:
            if rule.may_match(text):
                text = self._guard.record(rule.over_record, text, MASK, rule.probe)
        return text

    def cut(self, line: bytes, limit: int) -> int:
        """Where to cut a long line: at ``limit``, or earlier so as not to cut a secret.

        ``line`` is its beginning, up to ``overlap`` bytes more than ``limit``.
        """
        text = line.decode("utf-8", "surrogateescape")
        at = len(line[:limit].decode("utf-8", "surrogateescape"))
        for _ in self._rules:  # a secret may begin where another one is cut
            before = at
            for rule in self._rules:
                at = self._guard.record(partial(_before, rule, at), text, at, rule.probe)
            if at == before:
                break
        place = len(text[:at].encode("utf-8", "surrogateescape"))
        return place if place >= limit // 2 else limit

    def _lines(self, text: str) -> str:
        for rule in self._rules:
            if rule.may_match(text):
                try:
                    text = self._guard.block(rule.over_lines, text, rule.probe)
                except TooSlow:
                    return "\n".join([self._piece(piece) for piece in pieces(text)])
        return text

    def _piece(self, text: str) -> str:
        """Some of the lines of a block."""
        if "\n" not in text:
            return self.record(text)
        for rule in self._rules:
            if rule.may_match(text):
                try:
                    text = self._guard.block(rule.over_lines, text, rule.probe)
                except TooSlow:
                    return "\n".join([self.record(line) for line in text.split("\n")])
        return text


def _before(rule: RedactionRule, at: int, text: str) -> int:
    """``at``, or the start of the match that it is inside of."""
    if not rule.may_match(text):
        return at
    for match in rule.lines.finditer(text):
        if match.start() >= at:
            break
        if match.end() > at and rule.is_one(match):
            return match.start()
    return at


assert OVERLAP < LINE_LIMIT // 2
