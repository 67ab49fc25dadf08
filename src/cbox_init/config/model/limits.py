"""``processes.NAME.limits`` and ``capabilities``: what an instance may use, and may do."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from cbox_init.config.model.kinds import Rlimit, Size, SizeRlimit


class RlimitConfig(Struct, frozen=True, kw_only=True):
    """A soft and a hard limit of setrlimit(2). One that is None is left as it is.

    In the file a single value, in place of the section, is both.
    """

    one_value_gives: ClassVar[tuple[str, ...]] = ("soft", "hard")

    soft: Rlimit | None = None
    hard: Rlimit | None = None


class SizeRlimitConfig(Struct, frozen=True, kw_only=True):
    """The same, in bytes."""

    one_value_gives: ClassVar[tuple[str, ...]] = ("soft", "hard")

    soft: SizeRlimit | None = None
    hard: SizeRlimit | None = None


class LimitsConfig(Struct, frozen=True, kw_only=True):
    """``cpu`` is in cores, ``memory`` in bytes; these two need a cgroup. What is None is left as it is."""

    nofile: RlimitConfig | None = None
    nproc: RlimitConfig | None = None
    core: SizeRlimitConfig | None = None
    nice: Annotated[int, Meta(ge=-20, le=19)] | None = None
    oom_score_adj: Annotated[int, Meta(ge=-1000, le=1000)] | None = None
    cpu: Annotated[float, Meta(ge=0.01, le=4096)] | None = None
    memory: Size | None = None


class CapabilitiesConfig(Struct, frozen=True, kw_only=True):
    """Names of capabilities, with or without CAP_ in front, and ALL.

    ``add`` and ``ambient`` are exempt from ``drop``. A user other than root has those of ``ambient`` alone.
    """

    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
