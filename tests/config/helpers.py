"""Small views on what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.problems import Problem, Severity

if TYPE_CHECKING:
    from cbox_init.config.load import Examined
    from cbox_init.config.model import Config


def config_of(found: Examined) -> Config:
    """The configuration; fails with the problems when there is an error."""
    assert found.valid, [str(problem) for problem in found.problems]
    assert found.config is not None
    return found.config


def the_error(found: Examined) -> Problem:
    """The only error."""
    (error,) = found.of(Severity.ERROR)
    return error


def fields(found: Examined, severity: Severity = Severity.ERROR) -> list[str]:
    """The keys with problems of one severity."""
    return [problem.field for problem in found.of(severity)]
