from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.errors import AutotuneError
from cbox_init.php.workers import measure_workers

if TYPE_CHECKING:
    from pathlib import Path


def process(proc: Path, pid: int, title: bytes, rollup: int | None = None, resident: int = 0) -> None:
    """``rollup`` and ``resident`` are kB of anonymous memory, each with 100 kB of files and 9 MB shared."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "cmdline").write_bytes(title + b"\0")
    (folder / "status").write_text(f"RssAnon:\t {resident} kB\nRssFile:\t 100 kB\nRssShmem:\t 9000 kB\n")
    if rollup is not None:
        text = f"Pss: 99999 kB\nPss_Anon: {rollup} kB\nPss_File: 100 kB\nPss_Shmem: 9000 kB\n"
        (folder / "smaps_rollup").write_text(text)


def test_workers_of_all_pools_by_their_largest_memory(tmp_path: Path) -> None:
    (tmp_path / "uptime").touch()
    process(tmp_path, 7, b"php-fpm: master process (/etc/php-fpm.conf)", 90_000)
    process(tmp_path, 8, b"php-fpm: pool www", 20_380)
    process(tmp_path, 9, b"php-fpm: pool api", 40_860)
    process(tmp_path, 10, b"grep php-fpm: pool www", 90_000)

    def grow(_: float) -> None:
        process(tmp_path, 8, b"php-fpm: pool www", 30_620)

    found = measure_workers(0.05, 0.05, str(tmp_path), grow)
    assert sorted(found.pools) == ["api", "www"]
    assert sorted(found.peaks) == [30 * 1024 * 1024, 40 * 1024 * 1024]
    assert (found.worker, found.proportional) == (48, True)


def test_workers_whose_maps_are_for_another_user(tmp_path: Path) -> None:
    process(tmp_path, 8, b"php-fpm: pool www   ", None, 20_381)
    found = measure_workers(0, proc=str(tmp_path))
    assert (found.pools, found.worker, found.proportional) == (("www",), 25, False)


def test_one_huge_worker_among_many_does_not_count(tmp_path: Path) -> None:
    for pid in range(100, 120):
        process(tmp_path, pid, b"php-fpm: pool www", 20_380 if pid > 100 else 900_000)
    assert measure_workers(0, proc=str(tmp_path)).worker == 24


def test_nothing_to_measure(tmp_path: Path) -> None:
    process(tmp_path, 7, b"php-fpm: master process (/etc/php-fpm.conf)", 90_000)
    with pytest.raises(AutotuneError, match="no worker of php-fpm runs here"):
        measure_workers(0, proc=str(tmp_path))
