"""``autotune``: explains how PHP-FPM is sized here, or would be elsewhere; needs no daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.config.model import Config
    from cbox_init.container import Capacity
    from cbox_init.php.autotune import Wanted
    from cbox_init.php.sizing import PoolSize
    from cbox_init.php.workers import MeasuredWorkers

_LONGEST_S = 3600.0
_MOST_CPUS = 4096


@click.command()
@click.option("config", "-c", "--config", metavar="FILE", help="Configuration file, as for serve.")
@click.option("--profile", metavar="PROFILE", help="dev, light, medium, heavy, bursty; auto measures.")
@click.option("--memory", metavar="SIZE", help="Memory of the container, such as 512M; default: this one's.")
@click.option("--cpus", type=float, metavar="N", help="Its CPUs, such as 1.5; default: this one's.")
@click.option(
    "--threshold", type=float, metavar="SHARE", help="Share of the memory for PHP-FPM, such as 0.75."
)
@click.option(
    "duration", "--for", default="30s", show_default=True, metavar="TIME", help="How long auto measures."
)
@click.option("as_json", "--json", is_flag=True, help="One JSON object.")
def autotune(
    config: str | None,
    profile: str | None,
    memory: str | None,
    cpus: float | None,
    threshold: float | None,
    duration: str,
    as_json: bool,
) -> int:
    """Show the settings of PHP-FPM for this container, and how each number comes about.

    Without options the settings are those that `serve` would use here. `--profile auto` watches the workers
    of the pools that run in this container, and proposes settings from the memory that they use.
    """
    from cbox_init.cli.console import Console
    from cbox_init.config.model.enums import PhpFpmProfile
    from cbox_init.php.autotune import WORKER_VARIABLE, capacity_of, host_remarks, wanted
    from cbox_init.php.sizing import VARIABLES, size_pool
    from cbox_init.php.workers import measure_workers

    want = wanted(
        os.environ, _configuration(config), profile, threshold, options=("--profile", "--threshold")
    )
    chosen = want.profile or PhpFpmProfile.MEDIUM
    capacity = capacity_of(_bytes(memory), _cpus(cpus))
    measures = chosen is PhpFpmProfile.AUTO and want.sources["profile"] == "--profile"
    measured = measure_workers(_seconds(duration)) if measures else None
    size = size_pool(
        chosen,
        memory=capacity.memory,
        cpus=capacity.cpus,
        share=want.share,
        worker=want.worker if measured is None else measured.worker,
        given={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    )
    remarks = [*host_remarks(capacity), *size.remarks]
    console = Console(sys.stdout, os.environ)
    if as_json:
        console.json(_as_object(want, capacity, size, measured, remarks))
        return 0
    for line in _head(want, capacity, size, measured):
        console.text(line)
    width = max(len(setting.name) + len(setting.value) for setting in size.settings) + 1
    for setting in size.settings:
        console.text(f"{setting.name + '=' + setting.value:{width}}  {setting.reason}")
    for name in VARIABLES:
        if os.environ.get(name):
            console.text(f"{name} is {os.environ[name]} in the environment, and is kept")
    console.text(f"With all workers at work PHP-FPM needs {size.needed} MiB.")
    for remark in remarks:
        console.text(f"warning: {remark}")
    if measured is not None:
        console.text(f"For serve: PHP_FPM_AUTOTUNE_PROFILE=auto {WORKER_VARIABLE}={measured.worker}")
    return 0


def _configuration(path: str | None) -> Config | None:
    """The configuration that ``serve`` would use; None when there is none and none was named."""
    from cbox_init.config.load import examine, find, load

    if path is not None:
        return load(path, os.environ).config
    return examine(None, os.environ).config if find(None, os.environ) else None


def _bytes(text: str | None) -> int | None:
    from cbox_init.config.scalars import parse_size

    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError:
        size = 0
    if size < 1:
        raise click.UsageError(f"--memory is {text!r}: write a size such as 512M or 2G")
    return size


def _cpus(number: float | None) -> float | None:
    if number is not None and not 0 < number <= _MOST_CPUS:
        raise click.UsageError(f"--cpus is {number:g}: write a number above 0, such as 1.5")
    return number


def _seconds(text: str) -> float:
    from cbox_init.config.scalars import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise click.UsageError(f"--for is {text!r}: write a time of at most an hour, such as 30s")
    return seconds


def _head(
    want: Wanted, capacity: Capacity, size: PoolSize, measured: MeasuredWorkers | None
) -> Iterator[str]:
    yield f"profile  {size.profile} ({want.sources.get('profile', 'the default of this command')})"
    yield f"memory   {capacity.memory >> 20} MiB ({capacity.memory_source})"
    yield f"cpus     {capacity.cpus:g} ({capacity.cpus_source})"
    yield f"share    {size.share:g} ({want.sources.get('share', 'of the profile')})"
    source = "measured" if measured is not None else want.sources.get("worker", "of the profile")
    yield f"worker   {size.worker} MiB ({source})"
    if measured is not None:
        pools = ", ".join(measured.pools)
        how = "shared pages in parts" if measured.proportional else "shared pages in full"
        yield (
            f"measured {len(measured.peaks)} workers of {pools} for {measured.seconds:g} s, {how}: "
            f"{measured.mean / 2**20:.1f} MiB on average, {measured.largest / 2**20:.1f} MiB at most"
        )


def _as_object(
    want: Wanted, capacity: Capacity, size: PoolSize, measured: MeasuredWorkers | None, warnings: list[str]
) -> dict[str, object]:
    found: dict[str, object] = {
        "profile": size.profile,
        "memory_bytes": capacity.memory,
        "memory_source": capacity.memory_source,
        "cpus": capacity.cpus,
        "cpus_source": capacity.cpus_source,
        "share": size.share,
        "worker_mb": size.worker,
        "needed_mb": size.needed,
        "sources": want.sources,
        "settings": {one.name: {"value": one.value, "reason": one.reason} for one in size.settings},
        "warnings": warnings,
    }
    if measured is not None:
        found["measured"] = {
            "pools": measured.pools,
            "workers": len(measured.peaks),
            "seconds": measured.seconds,
            "proportional": measured.proportional,
            "mean_bytes": round(measured.mean),
            "largest_bytes": measured.largest,
        }
    return found
