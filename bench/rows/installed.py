"""What `pip install .` puts on the disk, in a virtual environment that has nothing else."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench import workspace
from bench.figures import Figure
from bench.rows.base import Effort, Row, Start

SIZE = Figure("installed_size", "installed size, bytecode included", "MB")
PACKAGES = Figure("installed_packages", "packages installed, its own included", "")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with TemporaryDirectory(prefix="cbox-bench-") as directory:
        packages = workspace.install_alone(Path(directory) / "venv")
        return {SIZE.key: disk_bytes(packages) / 1e6, PACKAGES.key: len(list(packages.glob("*.dist-info")))}


def disk_bytes(directory: Path) -> int:
    """Return how much of the disk the files below `directory` take, in whole blocks."""
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))


ROW = Row("installed", "What an installation takes", (SIZE, PACKAGES), measure, only_ours=True, counted=True)
