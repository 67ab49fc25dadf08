"""A pattern that would take long to check or to compile is refused after a fixed amount of work."""

from __future__ import annotations

import json

import pytest

from cbox_init.config import check_logging
from cbox_init.config.load import examine_text
from cbox_init.errors import PatternError
from cbox_init.patterns.compile import compiled
from cbox_init.patterns.tree import MOST_STEPS

HOSTILE = {
    "an alternation of optional parts": "(" + "|".join(["a?"] * 180) + ")*b",
    "the same alternative many times": "(" + "|".join(["a"] * 180) + ")*b",
    "alternatives that cross": "(?:" + "x|.y" * 80 + ")*b",
    "optional parts in a row": "(?:a?){10}" * 1600,
    "repeats in a row": ".*" * 8000,
    "optional groups in a row": "(a?b*)?" * 2000,
    "letters of all scripts": r"\pL" * 5000,
    "letters of all scripts in both cases": "(?i)" + r"[\pL]" * 3000,
    "letters of all scripts in one set": "[" + r"\pL" * 5000 + "]",
    "large sets": r"[\x{100}-\x{fff0}]" * 800,
}


@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=list(HOSTILE))
def test_a_pattern_that_is_too_complex_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="is too complex: it has too many"):
        compiled(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)" + "|".join(f"word{number}" for number in range(1500)),
        "(?:" + "|".join(f"w{number}x" for number in range(75)) + ")+end",
        r"^\pL+ \pLu\pLl+: \pN+$",
        "[a-z]" * 3000,
        "(a?b*)?" * 100,
    ],
)
def test_a_long_one_that_is_simple_is_not(pattern: str) -> None:
    assert compiled(pattern).steps < MOST_STEPS


def test_names_of_categories() -> None:
    assert compiled(r"\p{Lu}").record.search("aÉ")
    for name in ("Lx", "Luu", "X", ""):
        with pytest.raises(PatternError, match="categories such as"):
            compiled(rf"\p{{{name}}}")


def test_all_patterns_of_a_configuration_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_logging, "MOST_PATTERN_STEPS", 3 * MOST_STEPS)
    hostile = HOSTILE["the same alternative many times"]
    config = {"command": "a", "logging": {"filters": {"exclude": [f"{hostile}{n}" for n in range(100)]}}}
    found = examine_text(json.dumps({"processes": {"web": config}}), "c.yaml", {})
    errors = [problem for problem in found.problems if problem.severity == "error"]
    assert len(errors) == 4
    assert "all together are too complex" in str(errors[-1])
