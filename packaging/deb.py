"""Builds a Debian package of the bundle: /usr/lib/cbox-init and /usr/bin/cbox-init, which depend on nothing.

python packaging/deb.py BUNDLE DIRECTORY
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]

_CONTROL: Final = """\
Package: cbox-init
Version: {version}
Architecture: {architecture}
Maintainer: The cbox-init authors <cbox-init@localhost.localdomain>
Installed-Size: {size}
Section: admin
Priority: optional
Description: process manager for PID 1 of a container, with a REST API
 cbox-init starts the processes of a container in dependency order, restarts
 them by policy, checks their health, runs schedules, collects their logs and
 stops them. Its Management API and its command line show and control them.
 .
 This package has its own Python and C library and needs no other package.
"""

_COPYRIGHT: Final = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Comment: The licenses of Python, its packages and the libraries that are part of this package are in
 /usr/lib/cbox-init/licenses.

Files: *
Copyright: 2026 The cbox-init authors
License: Expat
"""


def build(bundle: Path, directory: Path) -> Path:
    """Build the package of a bundle; gives its path."""
    said = _run(bundle / "cbox-init", "version")
    version, architecture = said.split()[1], _run("dpkg", "--print-architecture").strip()
    stage = directory / "deb"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(bundle, stage / "usr/lib/cbox-init")
    (stage / "usr/bin").mkdir()
    (stage / "usr/bin/cbox-init").symlink_to("../lib/cbox-init/cbox-init")
    documents = stage / "usr/share/doc/cbox-init"
    documents.mkdir(parents=True)
    indented = "".join(
        f" {line.strip() or '.'}\n" for line in (_ROOT / "LICENSE").read_text().splitlines()[4:]
    )
    (documents / "copyright").write_text(_COPYRIGHT + indented)
    changes = gzip.compress((_ROOT / "CHANGELOG.md").read_bytes(), mtime=0)
    (documents / "NEWS.md.gz").write_bytes(changes)
    _write_control(stage, version, architecture)
    for path in stage.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    package = directory / f"cbox-init_{version}_{architecture}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", stage, package)
    return package


def _write_control(stage: Path, version: str, architecture: str) -> None:
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(path.stat().st_size + 1023 for path in files) // 1024
    control = stage / "DEBIAN"
    control.mkdir()
    control.joinpath("control").write_text(
        _CONTROL.format(version=version, architecture=architecture, size=size)
    )
    sums = ((hashlib.md5(path.read_bytes(), usedforsecurity=False), path) for path in files)
    lines = (f"{one.hexdigest()}  {path.relative_to(stage)}\n" for one, path in sums)
    control.joinpath("md5sums").write_text("".join(lines))


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Read the arguments, build, and print the path and size."""
    if len(sys.argv) != 3:
        sys.exit("usage: deb.py BUNDLE DIRECTORY")
    package = build(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{package}: {package.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
