"""What a child is started with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cbox_init.system.apply_limits import Pair, Step
    from cbox_init.system.apply_sandbox import CapabilitySets
    from cbox_init.system.identity import Identity


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one child. ``where`` names them in messages, such as the path of a key.

    ``cgroup`` is the directory of the cgroup that it joins. None leaves a limit unchanged.
    """

    where: str
    cgroup: str | None = None
    oom_score_adj: int | None = None
    nice: int | None = None
    core: Pair | None = None
    nproc: Pair | None = None
    nofile: Pair | None = None

    def steps(self) -> list[Step]:
        """The steps, in an order in which none prevents the next."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        for key in ("cgroup", "oom_score_adj", "nice", "core", "nproc", "nofile"):
            value = getattr(self, key)
            if value is not None:
                yield key, value


#: Stands for every capability in a set: a bit more than the kernel has numbers for.
EVERY: Final = 1 << 64


class Sandbox(Struct, frozen=True, kw_only=True):
    """The rights that one child gives up. ``where`` is the path of its process, for messages.

    ``capabilities`` are those to drop, to add and to have as ambient ones, as sets of bits. ``mounts_of`` is
    the pid of a process whose mounts the child shares, if it can, in place of making its own.
    """

    where: str
    no_new_privileges: bool = False
    capabilities: CapabilitySets | None = None
    read_only_paths: tuple[str, ...] = ()
    private_tmp: bool = False
    mounts_of: int | None = None

    @property
    def has_mounts(self) -> bool:
        """Whether the child has mounts of its own."""
        return bool(self.read_only_paths) or self.private_tmp


class SpawnRequest(Struct, frozen=True):
    """All that a child gets. ``env`` is its whole environment; ``argv[0]`` is looked up in its PATH.

    None means the daemon's own, and /dev/null for ``stdin_fd``. The descriptors stay the caller's.
    ``terminal``: ``stdin_fd`` is the daemon's terminal, so that the child stays in its session, as a process
    group of its own.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    identity: Identity | None
    stdout_fd: int
    stderr_fd: int
    limits: Limits | None = None
    umask: int | None = None
    stdin_fd: int | None = None
    sandbox: Sandbox | None = None
    terminal: bool = False
