"""The replies about what instances have used."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import Bytes, Count, Percent, Timestamp  # noqa: TC001  # fields of a Struct

_Rate = Annotated[float, Meta(ge=0, description="Bytes per second, of the tree, with storage.")]


class MetricSample(Struct, frozen=True, kw_only=True):
    """What an instance used: its main process, and (``tree_``) that with all processes below it.

    Absent, or null for ``file_descriptors``, is what the kernel did not show. With ``step`` the figures are
    averages over the samples from ``timestamp`` on; then ``samples`` and ``max`` are there.
    """

    timestamp: Timestamp
    cpu_percent: Annotated[Percent, Meta(description="Of one CPU, since the sample before.")]
    memory_rss_bytes: Bytes
    memory_vms_bytes: Bytes
    memory_percent: Annotated[Percent, Meta(description="Of the memory of the container.")]
    threads: Count
    file_descriptors: Count | None
    tree_cpu_percent: Percent
    tree_memory_rss_bytes: Bytes
    tree_processes: Count
    io_read_bytes_per_second: _Rate | UnsetType = UNSET
    io_write_bytes_per_second: _Rate | UnsetType = UNSET
    cgroup_memory_bytes: (
        Annotated[int, Meta(ge=0, description="Of the cgroup of the instance, when it has its own.")]
        | UnsetType
    ) = UNSET
    tree_memory_pss_bytes: (
        Annotated[int, Meta(ge=0, description="Of a minute ago at most; with resource_metrics_pss.")]
        | UnsetType
    ) = UNSET
    samples: Annotated[int, Meta(ge=1, description="How many samples this is of.")] | UnsetType = UNSET
    max: Annotated[dict[str, float | None], Meta(description="Largest figures, by name.")] | UnsetType = UNSET


class MetricsHistory(Struct, frozen=True, kw_only=True):
    """The samples of one instance, oldest first."""

    process: str
    instance: str
    since: Timestamp
    limit: Annotated[int, Meta(ge=1, le=10_000)]
    samples: Annotated[int, Meta(ge=0, description="How many entries data has.")]
    data: tuple[MetricSample, ...]
