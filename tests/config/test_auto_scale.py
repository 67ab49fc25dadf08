"""``scale: auto``: one instance for each CPU of the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.config.masking import masked
from cbox_init.container import Capacity, LimitSource
from tests.config.helpers import config_of, fields, the_error

if TYPE_CHECKING:
    from tests.config.conftest import Read


@pytest.fixture(autouse=True)
def cpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    count: float = getattr(request, "param", 3.0)
    capacity = Capacity(2**30, LimitSource.HOST, count, LimitSource.CGROUP_V2)
    monkeypatch.setattr("cbox_init.container.read_capacity", lambda: capacity)


@pytest.mark.parametrize(("cpus", "scale"), [(0.25, 1), (1.0, 1), (1.5, 2), (3.0, 3)], indirect=["cpus"])
def test_a_part_of_a_cpu_counts_as_one(read: Read, cpus: None, scale: int) -> None:
    found = config_of(read("processes: {web: {command: a, scale: auto}}"))
    assert found.processes["web"].scale == scale
    assert masked(found.processes["web"])["scale"] == "auto"


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("processes: {web: {command: a, scale: Auto, max_scale: 2}}", 2),
        ("global: {max_process_scale: 1}\nprocesses: {web: {command: a, scale: auto}}", 1),
        ("processes: {web: {command: a, scale: auto, max_scale: 8}}", 3),
    ],
)
def test_it_stops_at_the_limits(read: Read, text: str, scale: int) -> None:
    assert config_of(read(text)).processes["web"].scale == scale


@pytest.mark.parametrize("cpus", [1.0, 3.0], indirect=True)
def test_not_for_a_oneshot_whatever_the_machine(read: Read, cpus: None) -> None:
    found = read("processes: {job: {command: a, type: oneshot, scale: auto}}")
    assert fields(found) == ["processes.job.scale"]


def test_other_words_are_none(read: Read) -> None:
    problem = the_error(read("processes: {web: {command: a, scale: max}}"))
    assert problem.message == "expected a whole number or auto, got 'max'"
    assert "auto for one instance a CPU" in problem.recommendation
