"""What is wrong, or could be better, in a configuration."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """An error stops the start, a warning does not, a suggestion is advice."""

    ERROR = "error"
    WARNING = "warning"
    SUGGESTION = "suggestion"


class Problem(Struct, frozen=True, kw_only=True):
    """One finding: the key's path, what is wrong, how to mend it.

    ``field`` is empty for the file as a whole; ``line`` counts from 1 and is None where no line of the file
    is to blame. No text here holds a secret's value.
    """

    field: str
    message: str
    recommendation: str = ""
    severity: Severity = Severity.ERROR
    line: int | None = None

    def __str__(self) -> str:
        """One line for a person."""
        where = f"line {self.line}: " if self.line is not None else ""
        key = f"{self.field}: " if self.field else ""
        mend = f" ({self.recommendation})" if self.recommendation else ""
        return f"{where}{key}{self.message}{mend}"
