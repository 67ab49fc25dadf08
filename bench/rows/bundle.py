"""The bundle that `make bundle` builds: what it takes, and the start and memory of its daemon.

The same figures of the wheel are in the rows children-1, memory-1, commands and installed. Memory is the
resident set: what is private depends on which other programs use the same files.
"""

from pathlib import Path

from bench import procfs, workspace
from bench.daemon import Daemon
from bench.figures import Figure
from bench.peers.base import Job
from bench.peers.cbox_init import CboxInit
from bench.rows.base import Effort, Row, Start
from bench.rows.commands import medians
from bench.rows.installed import disk_bytes

FILES = Figure("bundle_files", "bundle: bytes of its files", "MB")
DISK = Figure("bundle_disk", "bundle: on the disk", "MB")
PACKED = Figure("bundle_packed", "bundle: as .tar.gz", "MB")
UP = Figure("bundle_up", "bundle: start to the first child's exec", "ms")
RSS = Figure("bundle_rss", "bundle: memory with one child at rest, resident", "MB")
VERSION = Figure("bundle_version", "bundle: the command `version`", "ms")
VERSION_CPU = Figure("bundle_version_cpu", "bundle: the same, processor time", "ms")


class Bundle(CboxInit):
    """The program of the bundle with the configuration of ours."""

    name = "the bundle"

    def __init__(self, folder: Path) -> None:
        self._programs = folder


def measure(start: Start, effort: Effort) -> dict[str, float]:
    """Nothing without a bundle."""
    folder = workspace.BUNDLE
    if not (folder / "cbox-init").exists():
        return {}
    with Daemon(Bundle(folder), workspace.build_programs(), Job(1)) as daemon:
        (record,) = daemon.wait_up()
        up_ns = record.started_ns - daemon.started_ns
        daemon.settle()
        used = procfs.memory(daemon.supervisors())
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {
        FILES.key: sum(path.stat().st_size for path in files) / 1e6,
        DISK.key: disk_bytes(folder) / 1e6,
        UP.key: up_ns / 1e6,
        RSS.key: used.rss / 1e6,
        **medians((VERSION, VERSION_CPU), [str(folder / "cbox-init"), "version"], effort.commands),
    }
    for packed in folder.parent.glob("cbox-init-linux-*.tar.gz"):
        found[PACKED.key] = packed.stat().st_size / 1e6
    return found


ROW = Row(
    "bundle",
    "The bundle",
    (FILES, DISK, PACKED, UP, RSS, VERSION, VERSION_CPU),
    measure,
    only_ours=True,
)
