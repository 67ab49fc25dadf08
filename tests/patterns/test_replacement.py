"""Replacements in Go's syntax."""

from __future__ import annotations

import re

import pytest

from cbox_init.patterns.replacement import template


@pytest.mark.parametrize(
    ("replacement", "result", "unknown"),
    [
        ("x", "x", []),
        ("$1-$2", "ann-org", []),
        ("${1}x$0", "annxann@org", []),
        ("$user at ${host}", "ann at org", []),
        ("$1x", "", ["1x"]),
        ("${9}-$none", "-", ["9", "none"]),
        ("$$1 $", "$1 $", []),
        (r"\1 \g<1> \n", r"\1 \g<1> \n", []),
        ("${a-b} ${", "${a-b} ${", []),
        ("$99999999999", "", ["99999999999"]),
    ],
)
def test_a_template(replacement: str, result: str, unknown: list[str]) -> None:
    text, missing = template(replacement, 2, {"user": 1, "host": 2})
    assert re.sub(r"(\w+)@(\w+)", text, "ann@org") == result
    assert missing == unknown
