"""``limits``: a value for both, or a soft and a hard one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.masking import masked
from cbox_init.config.model import LimitsConfig, RlimitConfig, SizeRlimitConfig
from cbox_init.config.model.kinds import UNLIMITED
from cbox_init.config.problems import Severity
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


def limits(read: Read, text: str, **environ: str) -> LimitsConfig:
    found = read(f"processes: {{web: {{command: a, limits: {text}}}}}", environ)
    result = config_of(found).processes["web"].limits
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1024", RlimitConfig(soft=1024, hard=1024)),
        ("unlimited", RlimitConfig(soft=UNLIMITED, hard=UNLIMITED)),
        ("Infinity", RlimitConfig(soft=UNLIMITED, hard=UNLIMITED)),
        ("{soft: 10}", RlimitConfig(soft=10)),
        ("{hard: unlimited}", RlimitConfig(hard=UNLIMITED)),
        ("{soft: 1, hard: 2}", RlimitConfig(soft=1, hard=2)),
    ],
)
def test_a_value_or_two(read: Read, written: str, expected: RlimitConfig) -> None:
    assert limits(read, f"{{nofile: {written}}}").nofile == expected


def test_a_core_takes_a_size(read: Read) -> None:
    assert limits(read, "{core: 8MiB}").core == SizeRlimitConfig(soft=8 << 20, hard=8 << 20)
    assert limits(read, "{core: {soft: 0, hard: unlimited}}").core == SizeRlimitConfig(soft=0, hard=UNLIMITED)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("many", "expected a whole number or unlimited, got 'many'"),
        ("-1", "expected a whole number or unlimited, got '-1'"),
        ("8MiB", "expected a whole number or unlimited, got '8MiB'"),
        ("4294967296", "must be at least 0 and at most 2147483647, got '4294967296'"),
        ("[1, 2]", "expected a mapping of keys, got a list"),
    ],
)
def test_what_is_none(read: Read, written: str, message: str) -> None:
    error = the_error(read(f"processes: {{web: {{command: a, limits: {{nofile: {written}}}}}}}"))
    assert (error.field, error.message) == ("processes.web.limits.nofile", message)
    assert error.recommendation


@pytest.mark.parametrize("soft", ["20", "unlimited"])
def test_a_soft_limit_above_the_hard_one(read: Read, soft: str) -> None:
    found = read(f"processes: {{web: {{command: a, limits: {{nproc: {{soft: {soft}, hard: 10}}}}}}}}")
    assert fields(found) == ["processes.web.limits.nproc.soft"]


def test_from_the_environment(read: Read) -> None:
    found = limits(
        read,
        "{nofile: 1}",
        CBOX_INIT_PROCESS_WEB_LIMITS_NOFILE="65536",
        CBOX_INIT_PROCESS_WEB_LIMITS_NPROC_SOFT="7",
        CBOX_INIT_PROCESS_WEB_LIMITS_CORE="unlimited",
        CBOX_INIT_PROCESS_WEB_LIMITS_CPU="0.5",
    )
    assert found.nofile == RlimitConfig(soft=65536, hard=65536)
    assert found.nproc == RlimitConfig(soft=7)
    assert found.core == SizeRlimitConfig(soft=UNLIMITED, hard=UNLIMITED)
    assert found.cpu == 0.5


def test_what_is_shown_can_be_read_again(read: Read) -> None:
    shown = masked(limits(read, "{nofile: {soft: 5, hard: unlimited}, core: unlimited, memory: 1MiB}"))
    assert shown["nofile"] == {"soft": 5, "hard": "unlimited"}
    assert shown["core"] == {"soft": "unlimited", "hard": "unlimited"}
    assert shown["memory"] == 1 << 20


def test_max_memory_that_never_comes_into_play(read: Read) -> None:
    found = read("processes: {web: {command: a, max_memory_mb: 64, limits: {memory: 64MiB}}}")
    assert fields(found, Severity.SUGGESTION) == ["processes.web.limits.memory"]
