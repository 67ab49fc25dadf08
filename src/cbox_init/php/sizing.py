"""How many workers PHP-FPM may have: a function of memory, CPUs and a profile. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.errors import PoolDoesNotFit

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB: Final = 1024 * 1024

#: Workers for each CPU, at most: more only wait for one another.
WORKERS_PER_CPU: Final = 4

PM: Final = "PHP_FPM_PM"
MAX_CHILDREN: Final = "PHP_FPM_MAX_CHILDREN"
MAX_REQUESTS: Final = "PHP_FPM_MAX_REQUESTS"
START_SERVERS: Final = "PHP_FPM_START_SERVERS"
MIN_SPARE: Final = "PHP_FPM_MIN_SPARE"
MAX_SPARE: Final = "PHP_FPM_MAX_SPARE"

#: The variables that a pool's configuration can refer to.
VARIABLES: Final = (PM, MAX_CHILDREN, MAX_REQUESTS, START_SERVERS, MIN_SPARE, MAX_SPARE)


class Profile(Struct, frozen=True):
    """Figures for one kind of application. Memory is in MiB, the spare workers are percent of all.

    ``share`` is the part of the memory that PHP-FPM may plan with. A profile without spare workers is static.
    """

    worker: int
    opcache: int
    reserved: int
    share: float
    least: int
    spare: tuple[int, int, int] | None
    max_requests: int
    most: int | None = None


PROFILES: Final[Mapping[PhpFpmProfile, Profile]] = {
    PhpFpmProfile.DEV: Profile(32, 64, 64, 0.5, 2, None, 100, most=2),
    PhpFpmProfile.LIGHT: Profile(36, 96, 128, 0.7, 2, (25, 25, 50), 500),
    PhpFpmProfile.MEDIUM: Profile(42, 128, 192, 0.75, 4, (33, 25, 50), 1000),
    PhpFpmProfile.HEAVY: Profile(52, 256, 384, 0.8, 8, (50, 20, 40), 2000),
    PhpFpmProfile.BURSTY: Profile(44, 128, 192, 0.75, 4, (50, 40, 70), 1000),
}


class Setting(Struct, frozen=True):
    """One variable for php-fpm: its value, and how it came about."""

    name: str
    value: str
    reason: str


class PoolSize(Struct, frozen=True):
    """The settings of a pool. ``needed`` is the memory with all workers at work, in MiB.

    ``share`` and ``worker`` (MiB) are what was planned with. ``remarks`` are for the operator: what the
    figures leave open.
    """

    profile: PhpFpmProfile
    share: float
    worker: int
    settings: tuple[Setting, ...]
    needed: int
    remarks: tuple[str, ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        """The settings as variables of an environment."""
        return {setting.name: setting.value for setting in self.settings}


def size_pool(
    profile: PhpFpmProfile,
    *,
    memory: int,
    cpus: float,
    share: float | None = None,
    worker: int | None = None,
    given: Mapping[str, str] | None = None,
) -> PoolSize:
    """The settings for a container with ``memory`` bytes and this many CPUs.

    ``share`` and ``worker`` (MiB) stand for those of the profile, whose figures for ``auto`` are those of
    ``medium``. ``given`` are settings that the user has made: the others are chosen to fit them. Raises
    PoolDoesNotFit when there is not enough memory for one worker.
    """
    figures = PROFILES[PhpFpmProfile.MEDIUM if profile is PhpFpmProfile.AUTO else profile]
    share = figures.share if share is None else share
    worker = figures.worker if worker is None else worker
    total = memory // MIB
    least = figures.reserved + figures.opcache + worker
    if total < least:
        raise PoolDoesNotFit(
            f"the profile {profile} needs {least} MiB ({figures.reserved} reserved, {figures.opcache} for "
            f"OPcache, {worker} for one worker), and this container has {total} MiB: "
            "give it more memory, or choose a smaller profile"
        )
    fixed = {name: int(text) for name, text in (given or {}).items() if text.isascii() and text.isdigit()}
    workers, why = _workers(figures, total, cpus, share, worker)
    count = fixed.get(MAX_CHILDREN) or workers
    needed = figures.reserved + figures.opcache + worker * count
    remarks = []
    if needed > total:
        remarks.append(
            f"{count} workers of {worker} MiB need {needed} MiB with OPcache and what is reserved, and this "
            f"container has {total} MiB: it may be killed for want of memory"
        )
    if share > 1:
        remarks.append(f"a share of {share:g} plans with more memory than there is")
    settings = [
        Setting(PM, *(("static", "a fixed number of workers") if figures.spare is None else _DYNAMIC)),
        Setting(MAX_CHILDREN, str(workers), why),
        Setting(MAX_REQUESTS, str(figures.max_requests), "a worker is replaced after this many requests"),
    ]
    if figures.spare is not None:
        settings += _spare(figures.spare, count, fixed)
    return PoolSize(profile, share, worker, tuple(settings), needed, tuple(remarks))


_DYNAMIC: Final = ("dynamic", "as many workers as the load needs")


def _workers(figures: Profile, total: int, cpus: float, share: float, worker: int) -> tuple[int, str]:
    """The number of workers, and why it is that."""
    room = total * share - figures.reserved - figures.opcache
    by_memory = max(0, math.floor(room / worker))
    text = (
        f"({total} MiB x {share:g} - {figures.reserved} reserved - {figures.opcache} OPcache) "
        f"/ {worker} MiB a worker = {by_memory}"
    )
    by_cpus = math.floor(cpus * WORKERS_PER_CPU)
    count = min(by_memory, by_cpus)
    if by_cpus < by_memory:
        text += f"; at most {WORKERS_PER_CPU} a CPU x {cpus:g} = {by_cpus}"
    if count < figures.least:
        count = figures.least
        text += f"; at least {count}"
    if figures.most is not None and figures.most < count:
        count = figures.most
        text += f"; at most {count}"
    return count, text


def _spare(percents: tuple[int, int, int], count: int, fixed: Mapping[str, int]) -> list[Setting]:
    """The workers at the start and to spare, so that min <= start <= max <= all of them."""
    start, low, high = (-(-percent * count // 100) for percent in percents)
    fixed_start, fixed_high = fixed.get(START_SERVERS), fixed.get(MAX_SPARE)
    low = fixed.get(MIN_SPARE) or min(low, fixed_start or count, fixed_high or count)
    high = fixed_high or min(max(high, fixed_start or start, low), count)
    start = fixed_start or max(low, min(start, high))
    names = (START_SERVERS, MIN_SPARE, MAX_SPARE)
    whats = ("started at once", "idle workers, at least", "idle workers, at most")
    return [
        Setting(name, str(value), _of_all(value, percent, count, what))
        for name, value, percent, what in zip(names, (start, low, high), percents, whats, strict=True)
    ]


def _of_all(value: int, percent: int, count: int, what: str) -> str:
    plain = -(-percent * count // 100)
    text = f"{what}: {percent} % of {count}, rounded up = {plain}"
    return text if plain == value else f"{text}; {value}, so that min <= start <= max"
