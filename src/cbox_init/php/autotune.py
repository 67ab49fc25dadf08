"""What ``serve`` and ``autotune`` take from options, environment and file to size PHP-FPM.

The variables that follow go to all children; one that the user has set himself stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.child_variables import inherited
from cbox_init.config.model.enums import PhpFpmProfile
from cbox_init.config.scalars import parse_float, parse_int
from cbox_init.container import Capacity, LimitSource, read_capacity
from cbox_init.errors import AutotuneError
from cbox_init.php.programs import is_php_fpm
from cbox_init.php.sizing import MIB, VARIABLES, PoolSize, size_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cbox_init.config.model import Config

PROFILE_VARIABLE: Final = "PHP_FPM_AUTOTUNE_PROFILE"
SHARE_VARIABLE: Final = "PHP_FPM_AUTOTUNE_MEMORY_THRESHOLD"
WORKER_VARIABLE: Final = "PHP_FPM_AUTOTUNE_WORKER_MB"

_LARGEST_SHARE: Final = 10.0
_LARGEST_WORKER_MB: Final = 1024 * 1024


class Wanted(Struct, frozen=True):
    """How PHP-FPM is to be sized; ``None`` is what the profile says. ``sources`` says where each is from."""

    profile: PhpFpmProfile | None
    share: float | None
    worker: int | None
    sources: dict[str, str]


class Kept(Struct, frozen=True):
    """A variable that the user has set himself, and where."""

    name: str
    value: str
    where: str


class Autotuned(Struct, frozen=True):
    """The size of the pool, and what it was found from. ``added`` are the variables that children get."""

    wanted: Wanted
    capacity: Capacity
    size: PoolSize
    kept: tuple[Kept, ...]
    added: dict[str, str]
    without: tuple[str, ...] = ()
    """The processes that run PHP-FPM, and inherit none of the variables."""


def wanted(
    environ: Mapping[str, str],
    config: Config | None,
    profile: str | None = None,
    share: float | None = None,
    *,
    options: tuple[str, str] = ("--php-fpm-profile", "--autotune-memory-threshold"),
) -> Wanted:
    """The profile, the share of the memory and the size of a worker: option, else environment, else file.

    Values that are empty or 0 count as not set. ``options`` are the names of the two options. Raises
    AutotuneError for a value that cannot be used.
    """
    sources: dict[str, str] = {}
    global_ = config.global_ if config is not None else None
    texts = ((options[0], profile), (PROFILE_VARIABLE, environ.get(PROFILE_VARIABLE)))
    chosen: PhpFpmProfile | None = None
    for source, text in texts:
        if text and text.strip():
            chosen, sources["profile"] = _profile(source, text), source
            break
    else:
        if global_ is not None and global_.php_fpm_profile is not None:
            chosen, sources["profile"] = global_.php_fpm_profile, "global.php_fpm_profile"
    if share:
        share, sources["share"] = _share(options[1], share), options[1]
    elif of_environ := _number(environ, SHARE_VARIABLE):
        share, sources["share"] = _share(SHARE_VARIABLE, of_environ), SHARE_VARIABLE
    elif global_ is not None and global_.autotune_memory_threshold:
        share, sources["share"] = global_.autotune_memory_threshold, "global.autotune_memory_threshold"
    else:
        share = None
    return Wanted(chosen, share, _worker(environ, sources), sources)


def _profile(source: str, text: str) -> PhpFpmProfile:
    try:
        return PhpFpmProfile(text.strip().lower())
    except ValueError:
        *most, last = PhpFpmProfile
        raise AutotuneError(f"{source} is {text!r}: write {', '.join(most)} or {last}") from None


def _number(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        return parse_float(text)
    except ValueError:
        raise AutotuneError(f"{name} is {text!r}: write a share such as 0.75") from None


def _share(source: str, share: float) -> float:
    if not 0 < share <= _LARGEST_SHARE:  # NaN is not either
        hint = f"write {share / 100:g} for {share:g} %" if _LARGEST_SHARE < share <= 100 else "such as 0.75"
        raise AutotuneError(
            f"{source} is {share:g}: it must be above 0 and at most {_LARGEST_SHARE:g}, {hint}"
        )
    return share


def _worker(environ: Mapping[str, str], sources: dict[str, str]) -> int | None:
    text = environ.get(WORKER_VARIABLE, "").strip()
    if not text:
        return None
    try:
        worker = parse_int(text)
    except ValueError:
        worker = -1
    if not 0 <= worker <= _LARGEST_WORKER_MB:
        raise AutotuneError(
            f"{WORKER_VARIABLE} is {text!r}: write the memory of one worker in MiB, such as 48"
        )
    if worker:
        sources["worker"] = WORKER_VARIABLE
    return worker or None


def capacity_of(memory: int | None, cpus: float | None) -> Capacity:
    """The capacity of this container, but for the bytes and CPUs that are given."""
    here = read_capacity()
    memory_here = here.memory, here.memory_source
    cpus_here = here.cpus, here.cpus_source
    return Capacity(
        *(memory_here if memory is None else (memory, LimitSource.GIVEN)),
        *(cpus_here if cpus is None else (cpus, LimitSource.GIVEN)),
    )


def autotuned(
    want: Wanted, profile: PhpFpmProfile, capacity: Capacity, environ: Mapping[str, str], config: Config
) -> Autotuned:
    """What is set for the children of a daemon. Raises PoolDoesNotFit."""
    kept = {name: Kept(name, environ[name], "the environment") for name in VARIABLES if environ.get(name)}
    without = []
    for name, process in config.enabled_processes().items():
        if not is_php_fpm(process.command):
            continue
        given = {key: value.reveal() for key, value in process.variables.given.items()} | dict(process.env)
        for key in VARIABLES:
            if given.get(key):
                kept[key] = Kept(key, given[key], f"the variables of {name}")
        if not inherited(dict.fromkeys(VARIABLES, ""), process.variables):
            without.append(name)
    size = size_pool(
        profile,
        memory=capacity.memory,
        cpus=capacity.cpus,
        share=want.share,
        worker=want.worker,
        given={one.name: one.value for one in kept.values()},
    )
    added = {name: value for name, value in size.variables.items() if not environ.get(name)}
    return Autotuned(want, capacity, size, tuple(kept.values()), added, tuple(without))


def log_autotuned(found: Autotuned, info: Callable[..., object], warn: Callable[..., object]) -> None:
    """Log the settings, and what the operator may want to change about them."""
    capacity, size = found.capacity, found.size
    info(
        "PHP-FPM is sized for this container",
        profile=str(size.profile),
        memory=f"{capacity.memory // MIB} MiB ({capacity.memory_source})",
        cpus=f"{capacity.cpus:g} ({capacity.cpus_source})",
        **{name.lower(): value for name, value in found.added.items()},
    )
    for one in found.kept:
        info(
            "A variable for PHP-FPM was set by hand and is kept",
            variable=one.name,
            value=one.value,
            of=one.where,
        )
    for remark in remarks_of(found):
        warn("PHP-FPM may be sized badly", reason=remark)


def remarks_of(found: Autotuned) -> Iterator[str]:
    """What an operator may want to change."""
    yield from host_remarks(found.capacity)
    yield from found.size.remarks
    if found.size.profile is PhpFpmProfile.AUTO and found.wanted.worker is None:
        yield (
            f"auto without {WORKER_VARIABLE} is medium: measure the workers under their usual load with "
            "cbox-init autotune --profile auto"
        )
    for name in found.without:
        yield f"{name} inherits none of the variables: add 'PHP_FPM_*' to its environment"


def host_remarks(capacity: Capacity) -> Iterator[str]:
    """A warning where the memory of the whole host counts."""
    if capacity.memory_source is LimitSource.HOST:
        yield (
            f"nothing limits the memory of this container, and the host has {capacity.memory // MIB} MiB: "
            "set a memory limit"
        )
