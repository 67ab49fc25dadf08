"""What a configuration may cost is limited: the work of reading it, and the size of what it becomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine_text
from cbox_init.config.substitute import LONGEST_TEXT, expand
from tests.garbage import no_cycles

if TYPE_CHECKING:
    from cbox_init.config.load import Examined
    from cbox_init.config.problems import Problem


def examined(text: str, **environ: str) -> Examined:
    return examine_text(text, "c.yaml", environ)


def errors(text: str, **environ: str) -> list[Problem]:
    return [problem for problem in examined(text, **environ).problems if problem.severity == "error"]


def process(**keys: object) -> str:
    return json.dumps({"processes": {"web": {"command": ["a"], **keys}}})


@pytest.mark.parametrize("repeated", ["${A:-", "${A", "${", "$${", "${A:?", "}", "${A:-x}", "$${A}"])
def test_many_references_are_read_in_one_pass(repeated: str) -> None:
    found = expand(repeated * 40_000, {})
    assert len(found.errors) <= 10
    assert len(found.text) <= LONGEST_TEXT


def test_what_references_become_is_limited() -> None:
    found = expand("${A}" * 1_000, {"A": "a" * 1_000})
    assert found.errors == (
        (f"becomes longer than {LONGEST_TEXT} characters", "refer to fewer or shorter variables"),
    )
    env = {f"N{number}": "${A}" * 100 for number in range(200)}
    (first,) = (one for one in errors(process(env=env), A="a" * 1000) if "together" in one.message)
    assert first.message == "all texts become longer than 16777216 characters together"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"scale": "9" * 10_000}, "expected a whole number or auto, got '9999"),
        ({"scale": "9" * 200_000}, "is longer than 131072 characters"),
        ({"shutdown": {"timeout": "9" * 10_000 + "s"}}, "expected a duration, got '9999"),
        (
            {"env": {f"N{number}": "" for number in range(20_001)}},
            "has 20001 entries, expected 20000 at most",
        ),
        ({f"x{number}": "" for number in range(20_001)}, "has 20002 keys, expected 20000 at most"),
        ({"command": "a'b\\ " * 40_000}, "is longer than 131072 characters"),
        ({"command": ["a", [[]]]}, "expected a text, got a list"),
    ],
)
def test_too_much_is_one_line(keys: dict[str, object], message: str) -> None:
    found = errors(process(**keys))
    assert len(found) == 1
    assert found[0].message.startswith(message)
    assert len(str(found[0])) < 250


def test_a_file_of_values_without_end() -> None:
    (problem,) = errors("processes: [" + "[]," * 250_000 + "]")
    assert problem.message == "more than 400000 keys and values"


def test_aliases_of_aliases() -> None:
    levels = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 30)]
    (problem,) = errors("x0: &x0 [a]\n" + "\n".join(levels))
    assert "aliases expand to more than 100000 values" in problem.message


def test_as_many_problems_as_anybody_reads() -> None:
    found = errors(process(command=[[]] * 15_000))
    assert len(found) == 1_001
    assert found[-1].message == "14000 more errors are not shown"


@pytest.mark.parametrize("value", ["", "commnd: 1", "scale: many"])
def test_what_was_read_is_freed_without_a_collection(value: str) -> None:
    keys = ", ".join(filter(None, ("command: [sleep, '1']", value)))
    with no_cycles():
        examined("processes:\n" + "".join(f"  p{number}: {{{keys}}}\n" for number in range(20)))
