"""Strings that UTF-8 cannot hold."""

from __future__ import annotations


def encodable(text: str) -> str:
    """``text`` with lone surrogates (from names and paths that are not UTF-8) written as ``\\udcNN``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
