"""Keys and words of other process managers are errors with the right key as the hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.foreign import _KEYS
from cbox_init.config.model import Config
from cbox_init.config.problems import Severity
from cbox_init.config.schema import fields_of, section_type
from tests.config.helpers import the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


@pytest.mark.parametrize(
    ("keys", "field", "hint"),
    [
        ("environment: {A: b}", "environment", "write env"),
        ("replicas: 2", "replicas", "write scale"),
        ("cwd: /srv", "cwd", "write working_dir"),
        ("WorkingDirectory: /srv", "WorkingDirectory", "write working_dir"),
        ("stop_grace_period: 5s", "stop_grace_period", "write shutdown.timeout"),
        ("max_memory_restart: 100M", "max_memory_restart", "write max_memory_mb"),
        ("healthcheck: {test: a}", "healthcheck", "write health_check"),
        ("health_check: {command: a, test: b}", "health_check.test", "write command"),
        ("shutdown: {grace_period: 5s}", "shutdown.grace_period", "write timeout"),
        ("image: nginx", "image", "remove it: it is a setting of the container"),
        ("cap_drop: [ALL]", "cap_drop", "write capabilities.drop"),
        ("NoNewPrivileges: true", "NoNewPrivileges", "write no_new_privileges"),
        ("environment: [A=b]", "environment", "write env"),
        ("EnvironmentFile: a", "EnvironmentFile", "write env_file"),
        ("skale: 2", "skale", "did you mean scale?"),
    ],
)
def test_keys(read: Read, keys: str, field: str, hint: str) -> None:
    (problem,) = read(f"processes: {{web: {{command: a, {keys}}}}}").problems
    assert (problem.field, problem.severity) == (f"processes.web.{field}", Severity.WARNING)
    assert (problem.message, problem.recommendation) == ("unknown key", hint)


def test_a_file_of_compose(read: Read) -> None:
    found = read("services: {web: {image: a}}")
    assert next((problem.field, problem.recommendation) for problem in found.problems) == (
        "services",
        "write processes",
    )


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ("restart: unless-stopped", "write always"),
        ('restart: "no"', "write never"),
        ("restart: on-failure:5", "write on-failure, and a number of restarts as max_restarts"),
        ("type: simple", "write longrun"),
    ],
)
def test_words(read: Read, keys: str, hint: str) -> None:
    error = the_error(read(f"processes: {{web: {{command: a, {keys}}}}}"))
    assert error.message.startswith("expected ")
    assert error.recommendation == hint


def test_the_hints_name_keys_that_exist() -> None:
    for section, hints in _KEYS.items():
        for hint in hints.values():
            for path in hint.replace(" or ", ", ").split(", "):
                inner, steps = section, path.split(".")
                if steps[0] in ("global", "hooks"):
                    inner = Config
                for step in steps:
                    field = fields_of(inner).get(step)
                    assert field is not None, path
                    inner = section_type(field.spec) or inner
