"""Rings of samples: what they keep, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.telemetry.history import MOST_ENDED, SAMPLE_BYTES, History, Ring, Sample, Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 4096


def sample(unix: float, number: int = 1, *, known: bool = True) -> Sample:
    return Sample(
        unix=unix,
        cpu_percent=number * 0.5,
        memory_rss_bytes=number * PAGE,
        memory_vms_bytes=number * 2**40,
        threads=number,
        file_descriptors=number if known else None,
        tree_cpu_percent=number * 2.0,
        tree_memory_rss_bytes=number * PAGE * 3,
        tree_processes=number,
        io_read_bytes_per_second=number * 8.0 if known else None,
        io_write_bytes_per_second=number * 16.0 if known else None,
        cgroup_memory_bytes=number * PAGE if known else None,
        tree_memory_pss_bytes=number * 1024 if known else None,
    )


def kept(ring: Ring, since: float = 0, most: int | None = None) -> list[Sample]:
    columns = ring.since(since, most)
    return [columns.sample(at) for at in range(len(columns))]


@given(
    most=st.integers(0, 7),
    known=st.lists(st.booleans(), max_size=30),
    resized=st.none() | st.tuples(st.integers(0, 30), st.integers(0, 9)),
    since=st.integers(0, 30),
    limit=st.none() | st.integers(1, 9),
)
def test_a_ring_is_the_end_of_a_list(
    most: int, known: Sequence[bool], resized: tuple[int, int] | None, since: int, limit: int | None
) -> None:
    ring, expected = Ring(most), list[Sample]()
    for number, one in enumerate(known):
        if resized is not None and resized[0] == number:
            most = resized[1]
            ring.resize(most)
            expected = expected[max(0, len(expected) - most) :]
        ring.add(sample(number, number + 1, known=one))
        expected = [*expected, sample(number, number + 1, known=one)][-most:] if most else []
    assert kept(ring) == expected
    late = [one for one in expected if one.unix >= since]
    assert kept(ring, since, limit) == (late if limit is None else late[-limit:])
    assert len(ring) == len(expected)


def test_memory_grows_with_the_samples_up_to_the_limit() -> None:
    ring = Ring(100)
    assert ring.size == 0
    for number in range(50):
        ring.add(sample(number, known=False))
    assert ring.size == 50 * SAMPLE_BYTES == 50 * 44
    for number in range(1000):
        ring.add(sample(number, known=False))
    assert ring.size == 100 * SAMPLE_BYTES
    ring.add(sample(0))
    assert ring.size == 100 * (SAMPLE_BYTES + 16), "I/O, cgroup and PSS take theirs when they are known"


def test_a_copy_does_not_change_while_the_ring_goes_on() -> None:
    ring = Ring(3)
    for number in range(3):
        ring.add(sample(number))
    columns = ring.since(0)
    ring.add(sample(9))
    assert [columns.sample(at).unix for at in range(3)] == [0, 1, 2]


def test_averages_and_largest_values_are_of_what_is_known() -> None:
    ring = Ring(10)
    for number, known in ((1, False), (2, True), (6, True)):
        ring.add(sample(number, number, known=known))
    columns, summary = ring.since(0), Summary()
    summary.add(columns, 0, 2)
    summary.add(columns, 2, 3)
    mean, most = summary.mean(), summary.most()
    assert mean.memory_rss_bytes == 3 * PAGE and most.memory_rss_bytes == 6 * PAGE
    assert mean.cpu_percent == pytest.approx(1.5) and most.cpu_percent == 3
    assert mean.file_descriptors == 4 and most.file_descriptors == 6
    assert mean.io_read_bytes_per_second == 32 and most.cgroup_memory_bytes == 6 * PAGE
    summary = Summary()
    summary.add(columns, 0, 1)
    mean, most = summary.mean(), summary.most()
    assert mean.file_descriptors is most.io_write_bytes_per_second is mean.cgroup_memory_bytes is None


def test_what_is_too_large_for_its_array_is_the_largest_it_can_hold() -> None:
    ring = Ring(1)
    ring.add(sample(1)._replace(threads=2**40, memory_rss_bytes=2**60))
    assert kept(ring)[0].threads == 2**32 - 2
    assert kept(ring)[0].memory_rss_bytes == (2**32 - 2) * PAGE


def test_instances_that_do_not_run_are_kept_for_a_time_and_in_a_number() -> None:
    history = History(5)
    for number in range(MOST_ENDED + 20):
        history.add("web", f"web-{number}", sample(1000 + number))
    history.add("job", "job-run-1", sample(10))
    history.prune("web", {"web-0"}, older_than=0)
    left = {instance for process, instance, _ in history.rings() if process == "web"}
    assert left == {"web-0", *(f"web-{number}" for number in range(20, MOST_ENDED + 20))}
    history.prune("web", {"web-0"}, older_than=1000 + MOST_ENDED)
    assert history.ring("web", f"web-{MOST_ENDED - 1}") is None
    assert history.ring("web", "web-0") is not None and history.ring("job", "job-run-1") is not None
    history.forget("web")
    assert [instance for _, instance, _ in history.rings()] == ["job-run-1"]
    history.resize(0)
    assert history.size == 0
